import type { ClaimLease, Listing } from '../pool/claim-store.ts'
import type { PoolName, SealedTransfer, Spare, SpareStatus } from '../pool/spare.ts'
import type { Finished, FinishedSpare, Listed, OnTheirWay, SpareFilter } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { undefinedIfRival } from './connection/database-errors.ts'
import { IS_STALE } from './images.ts'
import { isFreeToArm } from './leases.ts'
import { recover } from './pools.ts'

export interface SpareRow {
  id: string
  os: string
  type: string
  snapshot_id: string
  image_version: string
  volume_type: string
  size: number
  volume_id: string | null
  name: string
  status: SpareStatus
  kept: boolean
  claim_id: string | null
  transfer_id: string | null
  auth_key: string | null
  created_at: Date | string
  updated_at: Date | string
  available_at: Date | string | null
}

export const toSpare = (row: SpareRow): Spare => ({
  id: row.id,
  os: row.os,
  type: row.type,
  snapshotId: row.snapshot_id,
  imageVersion: row.image_version,
  volumeType: row.volume_type,
  sizeGib: row.size,
  volumeId: row.volume_id ?? undefined,
  name: row.name,
  status: row.status,
  kept: row.kept,
  claimId: row.claim_id ?? undefined,
  transfer: row.transfer_id && row.auth_key ? { id: row.transfer_id, sealedKey: row.auth_key } : undefined,
  createdAt: new Date(row.created_at), // A string where the row came as JSON.
  updatedAt: new Date(row.updated_at),
  availableAt: row.available_at ? new Date(row.available_at) : undefined
})

export async function noteVolume(db: Database, id: string, volumeId: string, at: Date): Promise<Spare | undefined> {
  const [row] = await query<SpareRow>(
    db,
    `update backup_volumes
        set volume_id = :volumeId, updated_at = :at,
            status = case status when 'requested' then 'creating' else status end
      where id = :id and (volume_id is null or volume_id = :volumeId) -- check_state may have found it first.
      returning *`,
    { id, volumeId, at }
  )
  return row && toSpare(row)
}

/** Also notes the lead times, and that all is well again with pools whose disks need not be armed first. */
export async function noteFinished(
  db: Database,
  finished: readonly Finished[],
  armingUntil: Date,
  at: Date
): Promise<FinishedSpare[]> {
  const rows = await query<SpareRow & { pool_failures: number }>(
    db,
    `with finished as (
       select * from jsonb_to_recordset(:finished::jsonb) as row (id uuid, to_arm boolean, claim_id uuid)
     ), locked as ( -- In one order: replicas that note the same ones would come to wait for each other.
       select spare.id, to_arm
         from backup_volumes spare join finished on finished.id = spare.id and spare.claim_id is not distinct from finished.claim_id
        order by spare.id
          for update of spare
     ), changed as (
       update backup_volumes spare
          set status = case when spare.status = 'creating' and not to_arm then 'available' else spare.status end,
              available_at = coalesce(available_at, :at), updated_at = :at,
              arming_until = case when to_arm then :armingUntil::timestamptz end
         from locked
        where spare.id = locked.id
          and (spare.status = 'creating' and ${isFreeToArm}
               or spare.status = 'reserved' and available_at is null and volume_id is not null)
        returning spare.*
     ), timed as (
       insert into lead_times (spare_id, os, type, seconds, at)
       select id, os, type, extract(epoch from available_at - created_at), :at::timestamptz from changed
       on conflict do nothing -- An orphan that was adopted, or one that is armed anew, keeps the time that it took when it was made.
     ), recovered as (
       ${recover('select os, type from changed where arming_until is null')}
     )
     select changed.*, coalesce(failures, 0) as pool_failures from changed left join pools using (os, type)`,
    { at, armingUntil, finished: JSON.stringify(finished.map(finishedRow)) }
  )
  return rows.map(row => ({ ...toSpare(row), poolFailures: row.pool_failures }))
}

const finishedRow = ({ id, toArm, claimId }: Finished) => ({ id, to_arm: toArm, claim_id: claimId })

export async function onTheirWay(db: Database): Promise<OnTheirWay> {
  const rows = await query<SpareRow>(
    db,
    `select * from (
       select * from backup_volumes
        where status not in ('available', 'retiring') and (status <> 'reserved' or available_at is null)
        union all
       select * from backup_volumes where status = 'retiring' and volume_id is null
        union all
       (select * from backup_volumes where status = 'retiring' and volume_id is not null limit 1)
     ) spare
     order by created_at, id`
  )
  const isToDelete = ({ status, volume_id }: SpareRow): boolean => status === 'retiring' && volume_id !== null
  return { spares: rows.filter(row => !isToDelete(row)).map(toSpare), anyToDelete: rows.some(isToDelete) }
}

/** Rival claims never reserve the same spare, and a claim never reserves two, nor one once it is settled. */
export async function reserveOldest(
  db: Database,
  claimId: string,
  pool: PoolName,
  at: Date
): Promise<Spare | undefined> {
  return await reserve(db, claimId, pool, at).catch(undefinedIfRival)
}

/** The same, where a rival is an error: a transaction cannot go on after it. */
export async function reserve(db: Database, claimId: string, pool: PoolName, at: Date): Promise<Spare | undefined> {
  const [row] = await query<SpareRow>(
    db,
    `update backup_volumes
        set status = 'reserved', allocated = true, claim_id = :claimId, updated_at = :at
      where id = (${OLDEST_SPARE})
        and not exists (select from backup_volumes where claim_id = :claimId)
        and ${isUnderWay(':claimId::uuid')}
      returning *`,
    { claimId, os: pool.os, type: pool.type, at }
  )
  return row && toSpare(row)
}

/** Locked, so that nobody settles the claim before its spare is written down. */
export const isUnderWay = (claimId: string): string => `exists (
  select from claims where claims.id = ${claimId} and claims.status in ('open', 'creating') for share)`

/**
 * The ids of the oldest spares of the current image, or kept by a sync; at most so many. Rivals pass over a row that is being
 * taken. All three are SQL.
 */
export const oldestSpares = (os: string, type: string, limit: string): string => `
  select spare.id
    from backup_volumes spare left join os on os.name = ${os} and os.type = ${type}
   where spare.os = ${os} and spare.type = ${type} and spare.status = 'available'
     and (spare.kept or spare.snapshot_id = os.snapshot_id or spare.snapshot_id = any(os.replica_snapshot_ids))
   order by spare.created_at, spare.id
   limit ${limit}
     for update of spare skip locked`

const OLDEST_SPARE = oldestSpares(':os', ':type', '1')

export async function hasStale(db: Database, pool: PoolName): Promise<boolean> {
  const rows = await query(
    db,
    `select id from backup_volumes spare
      where os = :os and type = :type and status = 'available' and not kept and ${IS_STALE}
      limit 1`,
    { os: pool.os, type: pool.type }
  )
  return rows.length > 0
}

/** A spare of a claim that is still worked on under that lease. Locked, so that nobody takes the claim over meanwhile. */
export const IS_HELD = `claim_id = :claimId
        and exists (select from claims where claims.id = :claimId and lease_holder = :holder for share)`

export async function putBack(db: Database, id: string, lease: ClaimLease, at: Date): Promise<Spare | undefined> {
  const [row] = await query<SpareRow>(
    db,
    `with lost as ( -- Its disk may become another claim's before this one is forgotten.
       update claims
          set volume_id = null, volume_type = null, size = null, snapshot_id = null, image_version = null
        where id = :claimId and status = 'creating' and lease_holder = :holder
          and volume_id = (select volume_id from backup_volumes where id = :id)
     )
     update backup_volumes set status = 'available', allocated = false, claim_id = null, updated_at = :at
      where id = :id and status = 'reserved' and ${IS_HELD} and available_at is not null
      returning *`,
    { id, at, ...lease }
  )
  return row && toSpare(row)
}

export async function noteTransfer(
  db: Database,
  id: string,
  lease: ClaimLease,
  transfer: SealedTransfer | undefined,
  at: Date
): Promise<boolean> {
  const rows = await query(
    db,
    `update backup_volumes set transfer_id = :transferId, auth_key = :sealedKey, updated_at = :at
      where id = :id and ${IS_HELD}
      returning id`,
    { id, ...lease, at, transferId: transfer?.id ?? null, sealedKey: transfer?.sealedKey ?? null }
  )
  return rows.length > 0
}

export async function adopt(db: Database, spare: Spare): Promise<boolean> {
  const rows = await query(
    db,
    `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, volume_id, name, status,
                                 created_at, updated_at, available_at, transfer_id, auth_key)
     values (:id, :os, :type, :snapshotId, :imageVersion, :volumeType, :sizeGib, :volumeId, :name, :status,
             :createdAt, :updatedAt, :availableAt, :transferId, :sealedKey)
     on conflict do nothing
     returning id`,
    {
      ...spare,
      availableAt: spare.availableAt ?? null,
      transferId: spare.transfer?.id ?? null,
      sealedKey: spare.transfer?.sealedKey ?? null
    }
  )
  return rows.length > 0
}

export async function byVolume(db: Database, volumeId: string): Promise<Spare | undefined> {
  const [row] = await query<SpareRow>(db, 'select * from backup_volumes where volume_id = :volumeId', { volumeId })
  return row && toSpare(row)
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export async function ofVolumes(
  db: Database,
  volumeIds: readonly string[],
  spareIds: readonly string[]
): Promise<Spare[]> {
  const rows = await query<SpareRow>(
    db,
    'select * from backup_volumes where volume_id = any(:volumeIds::text[]) or id = any(:spareIds::uuid[])',
    { volumeIds, spareIds: spareIds.filter(id => UUID.test(id)) } // Metadata may have been changed by hand.
  )
  return rows.map(toSpare)
}

/** Both list in order of volume ids, which is the same in PostgreSQL and in Cinder: they are UUIDs. */
export async function unlisted(db: Database, { what, ids, after, upTo }: Listed, limit: number): Promise<Spare[]> {
  const id = `spare.${what}_id`
  const rows = await query<SpareRow>(
    db,
    `select * from backup_volumes spare
      where status = 'available' and ${id} is not null
        and (:after::text is null or volume_id > :after) and (:upTo::text is null or volume_id <= :upTo)
        and not exists (select from unnest(:ids::text[]) as listed (id) where listed.id = ${id})
      order by volume_id
      limit :limit`,
    { after: after ?? null, upTo: upTo ?? null, ids, limit }
  )
  return rows.map(toSpare)
}

export async function ofClaim(db: Database, claimId: string): Promise<Spare | undefined> {
  const [row] = await query<SpareRow>(db, 'select * from backup_volumes where claim_id = :claimId', { claimId })
  return row && toSpare(row)
}

/** A page in order of id, which a spare keeps for life. */
export async function list(db: Database, filter: SpareFilter): Promise<Listing<Spare>> {
  const rows = await query<SpareRow>(
    db,
    `select * from backup_volumes
      where (:os::text is null or os = :os) and (:type::text is null or type = :type)
        and (:status::text is null or status = :status) and (:marker::uuid is null or id > :marker)
      order by id
      limit :limit + 1`,
    {
      os: filter.os ?? null,
      type: filter.type ?? null,
      status: filter.status ?? null,
      marker: filter.marker ?? null,
      limit: filter.limit
    }
  )
  const page = rows.slice(0, filter.limit).map(toSpare)
  return { rows: page, nextMarker: rows.length > filter.limit ? page.at(-1)?.id : undefined }
}
