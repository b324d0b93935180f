import type { PoolName, Spare } from '../pool/spare.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { isCurrent, toSpare } from './spares.ts'

/** Any number will do that no other advisory lock of two numbers uses in this database. */
const POOL_LOCKS = 7_217_002

/**
 * Until the transaction ends, nobody else brings a spare of this pool into stock or lets a claim begin to wait for one. If
 * both happened at once, neither would see the other.
 */
export async function lockPool(tx: Database, { os, type }: PoolName): Promise<void> {
  const sql = `select pg_advisory_xact_lock(:locks, ${lockOf(':os::text', ':type::text')})`
  await query(tx, sql, { locks: POOL_LOCKS, os, type })
}

const lockOf = (os: string, type: string): string => `hashtext(${os} || ' ' || ${type})`

/** In one order: otherwise two transactions with spares of the same pools could deadlock. */
const LOCK_POOLS = `
  select pg_advisory_xact_lock(:locks, pool)
    from (select distinct ${lockOf('os', 'type')} as pool
            from backup_volumes where id = any(:ids::uuid[])
           order by pool) pools`

/**
 * Every statement that brings spares into stock runs in here. Waiting claims take the new spares in the same transaction,
 * before anybody else sees them. Gives the spares as they are then.
 */
export async function arrive<S extends Spare>(
  db: Database,
  ids: readonly string[],
  at: Date,
  bringIn: (tx: Database) => Promise<S[]>
): Promise<S[]> {
  return await transaction(db, async tx => {
    await query(tx, LOCK_POOLS, { locks: POOL_LOCKS, ids })
    const changed = await bringIn(tx)
    const arrived = changed.filter(({ status }) => status === 'available').map(({ id }) => id)
    const taken = arrived.length > 0 ? await serveWaiting(tx, arrived, at) : []
    return changed.map(spare => ({ ...spare, ...taken.find(({ id }) => id === spare.id) }))
  })
}

/**
 * A claim that waits for the disk that is made for it takes only a spare of the same size. Its own disk is left to the
 * stock, so that must be of the current image. A claim that waits for stock must still be worked on.
 */
const SERVE_OLDEST = `with pair as (
  select claims.id as claim_id, spare.id as spare_id, made.id as made_id
    from backup_volumes spare
    join claims on claims.os = spare.os and claims.type = spare.type
    left join os on os.name = spare.os and os.type = spare.type
    left join backup_volumes made on made.claim_id = claims.id
   where spare.id = any(:spareIds::uuid[]) and spare.status = 'available' and (spare.kept or ${isCurrent('spare')})
     and (claims.status = 'creating' or (claims.status = 'open' and claims.waiting)) -- The predicate of the index.
     and (claims.status = 'open' and claims.lease_until >= :at and made.id is null
          or claims.status = 'creating' and made.available_at is null and made.size = spare.size
             and ${isCurrent('made')})
   order by claims.created_at, claims.id, spare.created_at, spare.id
   limit 1
     for update of claims, spare
), left_to_stock as (
  update backup_volumes made
     set status = case when volume_id is null then 'requested' else 'creating' end, allocated = false, claim_id = null,
         updated_at = :at
    from pair
   where made.id = pair.made_id and made.claim_id = pair.claim_id and made.available_at is null
  returning made.id
), taken as (
  update backup_volumes spare
     set status = 'reserved', allocated = true, claim_id = pair.claim_id, updated_at = :at
    from pair left join left_to_stock on left_to_stock.id = pair.made_id
   where spare.id = pair.spare_id and (pair.made_id is null or left_to_stock.id is not null)
  returning spare.*
), served as (
  update claims
     set waiting = false,
         volume_id = case claims.status when 'creating' then taken.volume_id end,
         volume_type = case claims.status when 'creating' then taken.volume_type end,
         size = case claims.status when 'creating' then taken.size end,
         snapshot_id = case claims.status when 'creating' then taken.snapshot_id end,
         image_version = case claims.status when 'creating' then taken.image_version end
    from taken
   where claims.id = taken.claim_id
)
select taken.* from pair left join taken on true`

/** The claim that has waited longest is served first. Gives the spares that claims took. */
async function serveWaiting(tx: Database, spareIds: readonly string[], at: Date): Promise<Spare[]> {
  const taken: Spare[] = []
  for (;;) {
    const [row] = await query<{ id: string | null }>(tx, SERVE_OLDEST, { spareIds, at })
    if (!row) return taken
    if (row.id !== null) taken.push(toSpare(row)) // Null: its own disk has just failed, and it no longer waits.
  }
}
