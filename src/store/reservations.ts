import type { PoolName, Spare } from '../pool/spare.ts'
import type { Spares } from '../pool/stores.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { undefinedIfRival } from './connection/database-errors.ts'
import { changesRow } from './rows.ts'
import { IS_STALE, isCurrent, keptOf, querySpare, querySpares } from './spares.ts'
import { arrive, lockPool } from './waiting.ts'

/**
 * SQL: the ids of the oldest spares that may be handed out, at most `limit`. Rivals pass over a row that is being taken.
 */
export const oldestSpares = (os: string, type: string, limit: string): string => `
  select spare.id
    from backup_volumes spare left join os on os.name = ${os} and os.type = ${type}
   where spare.os = ${os} and spare.type = ${type} and spare.status = 'available'
     and (spare.kept or ${isCurrent('spare')})
   order by spare.created_at, spare.id
   limit ${limit}
     for update of spare skip locked`

/** SQL: the claim is not settled. It is locked, so that nobody settles it before its spare is recorded. */
export const isUnderWay = (claimId: string): string => `exists (
  select from claims where claims.id = ${claimId} and claims.status in ('open', 'creating') for share)`

/** SQL: the spare is the claim's, under this lease. The claim is locked, so that nobody takes it over meanwhile. */
export const IS_HELD = `claim_id = :claimId
        and exists (select from claims where claims.id = :claimId and lease_holder = :holder for share)`

/** SQL, for a claim whose disk is being made: it has no disk any more, so that another may be made for it. */
export const FORGET_DISK =
  'update claims set volume_id = null, volume_type = null, size = null, snapshot_id = null, image_version = null'

/**
 * Rival claims never reserve the same spare. A claim never reserves two, and none once it is settled. A rival request for
 * the same claim is an error here: a transaction cannot go on after it.
 */
export const reserve = (db: Database, claimId: string, { os, type }: PoolName, at: Date): Promise<Spare | undefined> =>
  querySpare(
    db,
    `update backup_volumes
        set status = 'reserved', allocated = true, claim_id = :claimId, updated_at = :at
      where id = (${oldestSpares(':os', ':type', '1')})
        and not exists (select from backup_volumes where claim_id = :claimId)
        and ${isUnderWay(':claimId::uuid')}
      returning *`,
    { claimId, os, type, at }
  )

type Reservations = Pick<
  Spares,
  'reserveOldest' | 'reserveOrWait' | 'endWaiting' | 'hasStale' | 'putBack' | 'noteTransfer'
>

export const reservationsOf = (db: Database): Reservations => ({
  reserveOldest: (claimId, pool, at) => reserve(db, claimId, pool, at).catch(undefinedIfRival),
  reserveOrWait: (claimId, pool, at) =>
    transaction(db, async tx => {
      await lockPool(tx, pool)
      const spare = await reserve(tx, claimId, pool, at)
      if (!spare)
        await query(tx, "update claims set waiting = true where id = :claimId and status = 'open'", { claimId })
      return spare
    }).catch(undefinedIfRival),
  async endWaiting(claimId) {
    await query(db, 'update claims set waiting = false where id = :claimId', { claimId })
  },
  async hasStale({ os, type }) {
    const rows = await query(
      db,
      `select id from backup_volumes spare
        where os = :os and type = :type and status = 'available' and not kept and ${IS_STALE}
        limit 1`,
      { os, type }
    )
    return rows.length > 0
  },
  async putBack(id, lease, at) {
    const sql = `with lost as ( -- The disk may become another claim's before this claim is forgotten.
         ${FORGET_DISK}
          where id = :claimId and status = 'creating' and lease_holder = :holder
            and volume_id = (select volume_id from backup_volumes where id = :id)
       )
       update backup_volumes set status = 'available', allocated = false, claim_id = null, updated_at = :at
        where id = :id and status = 'reserved' and ${IS_HELD} and available_at is not null
        returning *`
    const [spare] = await arrive(db, [id], at, tx => querySpares(tx, sql, { id, at, ...lease }))
    return spare
  },
  noteTransfer: (id, lease, transfer, at, armingUntil) =>
    changesRow(
      db,
      `update backup_volumes
          set transfer_id = :transferId, auth_key = :sealedKey, arming_until = :armingUntil, updated_at = :at
        where id = :id and ${IS_HELD}`,
      { id, ...lease, at, armingUntil, ...keptOf(transfer) }
    )
})
