import type { PoolName, Spare } from '../pool/spare.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { undefinedIfRival } from './connection/database-errors.ts'
import { reserve, type SpareRow, toSpare } from './spares.ts'

/** Any number will do, as long as nothing else in this database takes it for locks of two numbers. */
const POOL_LOCKS = 7_217_002

/**
 * Until the transaction ends, nobody else brings a spare of this pool into stock, or has a claim begin to wait for one: of
 * two that did so at once, neither would see the other.
 */
export async function lockPool(tx: Database, { os, type }: PoolName): Promise<void> {
  await query(tx, `select pg_advisory_xact_lock(:locks, ${lockOf(':os::text', ':type::text')})`, {
    locks: POOL_LOCKS,
    os,
    type
  })
}

/** In one order: two that bring in spares of the same pools would come to wait for each other. */
export async function lockPoolsOf(tx: Database, spareIds: readonly string[]): Promise<void> {
  await query(
    tx,
    `select pg_advisory_xact_lock(:locks, pool)
       from (select distinct ${lockOf('os', 'type')} as pool
               from backup_volumes where id = any(:spareIds::uuid[])
              order by pool) pools`,
    { locks: POOL_LOCKS, spareIds }
  )
}

const lockOf = (os: string, type: string): string => `hashtext(${os} || ' ' || ${type})`

const isCurrent = (spare: string): string =>
  `(${spare}.snapshot_id = os.snapshot_id or ${spare}.snapshot_id = any(os.replica_snapshot_ids))`

/**
 * One that waits for the disk that is made for it takes only one that is as large, and leaves its own to the stock: so that
 * must be of the image as it is now. One that waits for stock must still be worked on.
 */
const SERVE_OLDEST = `with pair as (
  select claims.id as claim_id, spare.id as spare_id, made.id as made_id
    from backup_volumes spare
    join claims on claims.os = spare.os and claims.type = spare.type
    left join os on os.name = spare.os and os.type = spare.type
    left join backup_volumes made on made.claim_id = claims.id
   where spare.id = any(:spareIds::uuid[]) and spare.status = 'available' and (spare.kept or ${isCurrent('spare')})
     and (claims.status = 'creating' or (claims.status = 'open' and claims.waiting)) -- So said, it fits its index.
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

/**
 * The claims of a pool that wait longest take the oldest of these spares, which have just come into stock: before anybody
 * else sees them. Gives those that were taken.
 */
export async function serveWaiting(tx: Database, spareIds: readonly string[], at: Date): Promise<Spare[]> {
  const taken: Spare[] = []
  for (;;) {
    const [row] = await query<SpareRow | { id: null }>(tx, SERVE_OLDEST, { spareIds, at })
    if (!row) return taken
    if (row.id !== null) taken.push(toSpare(row)) // Else its own disk has failed in this instant: it waits no more.
  }
}

/** The oldest spare for an open claim; undefined: from now on the next one that comes into stock will be its own. */
export async function reserveOrWait(
  db: Database,
  claimId: string,
  pool: PoolName,
  at: Date
): Promise<Spare | undefined> {
  return await transaction(db, async tx => {
    await lockPool(tx, pool)
    const spare = await reserve(tx, claimId, pool, at)
    if (!spare) await query(tx, "update claims set waiting = true where id = :claimId and status = 'open'", { claimId })
    return spare
  }).catch(undefinedIfRival)
}

/** What has come for it until then is its own. */
export async function endWaiting(db: Database, claimId: string): Promise<void> {
  await query(db, 'update claims set waiting = false where id = :claimId', { claimId })
}
