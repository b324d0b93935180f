import type { ClaimLease } from '../pool/claim-store.ts'
import { mayBecome, type PoolName, type SpareStatus } from '../pool/spare.ts'
import type { Spares } from '../pool/stores.ts'
import { change, type Database, query } from './connection/database.ts'
import { isFreeToArm } from './leases.ts'
import { FORGET_DISK, IS_HELD } from './reservations.ts'
import { changesRow } from './rows.ts'
import { IS_STALE, querySpares } from './spares.ts'

type Departures = Pick<Spares, 'retire' | 'retireUnfinished' | 'retireStale' | 'retireOldest' | 'nextRetired' | 'drop'>

/** A spare's way out of stock: retired, then dropped. */
export const departuresOf = (db: Database): Departures => ({
  async retire(id, from, at, lease) {
    requireNext(from, 'retiring')
    return await changesRow(db, retireWhere(inStatus(lease)), { id, from, at, ...lease })
  },
  retireUnfinished: (id, at, armingUntil) => changesRow(db, retireWhere(IS_UNFINISHED), { id, at, armingUntil }),
  retireStale: at => retireUnclaimed(db, `not kept and ${IS_STALE}`, { at }),
  // Which spares go is decided before any is locked: what a claim takes meanwhile is not made up for by others.
  retireOldest: (retirements, at) =>
    query<PoolName>(
      db,
      `with ranked as (
         select spare.id, created_at, wish.count as wanted, keep, before, count(*) over pool as held,
                row_number() over (partition by os, type order by spare.created_at, spare.id) as place
           from jsonb_to_recordset(:retirements::jsonb) as wish (os text, type text, count int, keep int, before timestamptz)
           join backup_volumes spare using (os, type)
          where spare.status = 'available' and (spare.kept or not ${IS_STALE})
         window pool as (partition by os, type)
       )
       update backup_volumes set status = 'retiring', updated_at = :at
        where id in (select id from ranked
                      where place <= least(wanted, held - keep) and created_at < coalesce(before, 'infinity'))
          and status = 'available'
       returning os, type`,
      { retirements: JSON.stringify(retirements), at },
      'anew'
    ),
  nextRetired: (limit, at) =>
    querySpares(
      db,
      `update backup_volumes set updated_at = :at
        where id = any(array(
                select id from backup_volumes where status = 'retiring' and volume_id is not null
                 order by updated_at, id limit :limit
                   for update skip locked))
        returning *`,
      { limit, at }
    ),
  async drop(id, from, lease) {
    requireNext(from, 'gone')
    const sql = `
      with spare as (
        delete from backup_volumes where id = :id and ${inStatus(lease)} returning id, claim_id, volume_id
      ), lost as (
        ${LOSE_DISK}
      )
      select id from spare`
    return await changesRow(db, sql, { id, from, ...lease })
  }
})

function requireNext(from: SpareStatus, to: SpareStatus | 'gone'): void {
  if (!mayBecome(from, to)) throw new Error(`a ${from} spare may not become ${to}`)
}

const inStatus = (lease: ClaimLease | undefined): string => `status = :from${lease ? ` and ${IS_HELD}` : ''}`

/** Still being made; or finished, and nobody arms it. */
const IS_UNFINISHED = `(
  status in ('creating', 'reserved') and available_at is null
  or status = 'creating' and ${isFreeToArm})`

/** A claim that does not name its disk yet is updated too: it may be told which disk at this moment. */
const LOSE_DISK = `${FORGET_DISK}
  from spare
 where claims.id = spare.claim_id and claims.status = 'creating'
   and (claims.volume_id is null or claims.volume_id = spare.volume_id)`

const retireWhere = (condition: string): string => `
  with spare as (
    select id, claim_id, volume_id from backup_volumes where id = :id and ${condition} for update
  ), lost as (
    ${LOSE_DISK}
  )
  update backup_volumes set status = 'retiring', allocated = false, claim_id = null, updated_at = :at
    from spare
   where backup_volumes.id = spare.id`

/** Retires the spares without a claim that fit a condition, in SQL; gives how many. */
export const retireUnclaimed = (db: Database, condition: string, bindings: { readonly at: Date }): Promise<number> =>
  change(
    db,
    `update backup_volumes spare set status = 'retiring', updated_at = :at
      where status in ('requested', 'creating', 'available') and ${condition}`,
    bindings
  )
