import type { ClaimLease } from '../pool/claim-store.ts'
import { mayBecome, type PoolName, type Spare, type SpareStatus } from '../pool/spare.ts'
import type { Retirement } from '../pool/surplus.ts'
import { type Database, query } from './connection/database.ts'
import { IS_STALE } from './images.ts'
import { isFreeToArm } from './leases.ts'
import { IS_HELD, type SpareRow, toSpare } from './spares.ts'

/**
 * A claim whose disk it was to become has none any more: another may be made for it. One that knows of none is written too,
 * since it may be told in this instant.
 */
const DISK_LOST = `update claims
          set volume_id = null, volume_type = null, size = null, snapshot_id = null, image_version = null
         from spare
        where claims.id = spare.claim_id and claims.status = 'creating'
          and (claims.volume_id is null or claims.volume_id = spare.volume_id)`

export async function retire(
  db: Database,
  id: string,
  from: SpareStatus,
  at: Date,
  lease?: ClaimLease
): Promise<boolean> {
  requireNext(from, 'retiring')
  const rows = await query(db, retireWhere(inStatus(lease)), { id, from, at, ...lease })
  return rows.length > 0
}

const inStatus = (lease: ClaimLease | undefined): string => `status = :from${lease ? ` and ${IS_HELD}` : ''}`

export async function retireUnfinished(db: Database, id: string, at: Date, armingUntil: Date): Promise<boolean> {
  const rows = await query(db, retireWhere(IS_UNFINISHED), { id, at, armingUntil })
  return rows.length > 0
}

/** Or finished, and armed by nobody. */
const IS_UNFINISHED = `(
  status in ('creating', 'reserved') and available_at is null
  or status = 'creating' and ${isFreeToArm})`

const retireWhere = (condition: string): string => `
  with spare as (
    select id, claim_id, volume_id from backup_volumes where id = :id and ${condition} for update
  ), lost as (
    ${DISK_LOST}
  )
  update backup_volumes set status = 'retiring', allocated = false, claim_id = null, updated_at = :at
    from spare
   where backup_volumes.id = spare.id
   returning backup_volumes.id`

function requireNext(from: SpareStatus, to: SpareStatus | 'gone'): void {
  if (!mayBecome(from, to)) throw new Error(`a ${from} spare may not become ${to}`)
}

export async function retireStale(db: Database, at: Date): Promise<number> {
  const [row] = await query<{ retired: number }>(
    db,
    `with retired as (
       update backup_volumes spare set status = 'retiring', updated_at = :at
        where status in ('requested', 'creating', 'available') and not kept and ${IS_STALE}
        returning id
     )
     select count(*)::int as retired from retired`,
    { at }
  )
  return row?.retired ?? 0
}

export async function retireOldest(db: Database, retirements: readonly Retirement[], at: Date): Promise<PoolName[]> {
  // Which ones is decided before any is locked: what a claim or a rival takes meanwhile is not made up for by others.
  return await query<PoolName>(
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
    { plan: 'anew' }
  )
}

export async function nextRetired(db: Database, limit: number, at: Date): Promise<Spare[]> {
  const rows = await query<SpareRow>(
    db,
    `update backup_volumes set updated_at = :at
      where id = any(array(
              select id from backup_volumes where status = 'retiring' and volume_id is not null
               order by updated_at, id limit :limit
                 for update skip locked))
      returning *`,
    { limit, at }
  )
  return rows.map(toSpare)
}

export async function drop(db: Database, id: string, from: SpareStatus, lease?: ClaimLease): Promise<boolean> {
  requireNext(from, 'gone')
  const rows = await query(
    db,
    `with spare as (
       delete from backup_volumes where id = :id and ${inStatus(lease)} returning id, claim_id, volume_id
     ), lost as (
       ${DISK_LOST}
     )
     select id from spare`,
    { id, from, ...lease }
  )
  return rows.length > 0
}
