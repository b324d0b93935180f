import type { Claim, ClaimRequest, Disk, Lease, MissReason, Origin } from '../pool/claim.ts'
import { newClaim } from '../pool/claim.ts'
import type { ClaimFilter, ClaimLease, Given, Listing, Opening, Resumption } from '../pool/claim-store.ts'
import { LEASE_SECONDS } from '../pool/lease.ts'
import { type ClaimRow, diskBindings, one, toClaim } from './claim-rows.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { isFree } from './leases.ts'
import { OLDEST_SPARE, type SpareRow, toSpare } from './spares.ts'

const OPEN = `with opened as (
  insert into claims (id, idempotency_key, fingerprint, project_id, name, hostname, category, os, type,
                      wanted_size, status, lease_holder, lease_until, created_at, updated_at)
  values (:id, :idempotencyKey, :fingerprint, :projectId, :name, :hostname, :category, :os, :type,
          :wantedSizeGib, 'open', :holder, :until, :at, :at)
  on conflict do nothing
  returning id
), reserved as (
  update backup_volumes
     set status = 'reserved', allocated = true, claim_id = :id, updated_at = :at
   where id = (${OLDEST_SPARE}) and exists (select from opened)
   returning *
)
select reserved.* from opened left join reserved on true`

/** The claim's first statement: its record and the oldest spare, at once. */
export async function open(
  db: Database,
  request: ClaimRequest,
  id: string,
  lease: Lease,
  at: Date
): Promise<Opening | undefined> {
  const claim = newClaim(request, id, at)
  const [row] = await query<SpareRow | { id: null }>(db, OPEN, { ...claim, ...lease, at })
  if (!row) return undefined
  return { claim, spare: row.id === null ? undefined : toSpare(row) }
}

export async function living(db: Database, projectId: string, name: string): Promise<Claim | undefined> {
  return one(
    await query<ClaimRow>(
      db,
      "select * from claims where project_id = :projectId and name = :name and status <> 'gone'",
      { projectId, name }
    )
  )
}

export async function byKey(db: Database, projectId: string, key: string): Promise<Claim | undefined> {
  return one(
    await query<ClaimRow>(
      db,
      `select * from claims where project_id = :projectId and idempotency_key = :key
        order by created_at desc, id limit 1`,
      { projectId, key }
    )
  )
}

interface ResumedRow extends ClaimRow {
  is_taken: boolean
  lease_holder: string
  lease_until: Date
}

export async function resume(
  db: Database,
  id: string,
  lease: Lease,
  at: Date,
  watched?: Lease
): Promise<Resumption | undefined> {
  const [row] = await query<ResumedRow>(
    db,
    `with taken as (
       update claims set lease_holder = :holder, lease_until = :until, waiting = false
        where id = :id and status in ('open', 'creating')
          and (lease_holder is null or lease_holder = :watchedHolder and lease_until = :watchedUntil)
        returning *
     )
     select true as is_taken, * from taken
      union all
     select false, * from claims
      where id = :id and status in ('open', 'creating') and lease_holder is not null
        and ${isFree('lease_until', ':until')} and not exists (select from taken)`,
    { id, ...lease, at, watchedHolder: watched?.holder ?? null, watchedUntil: watched?.until ?? null }
  )
  if (!row) return undefined
  return row.is_taken ? { claim: toClaim(row) } : { lapsed: { holder: row.lease_holder, until: row.lease_until } }
}

export async function renew(db: Database, id: string, lease: Lease): Promise<boolean> {
  const rows = await query(
    db,
    'update claims set lease_until = :until where id = :id and lease_holder = :holder returning id',
    { id, ...lease }
  )
  return rows.length > 0
}

export async function release(db: Database, id: string, holder: string): Promise<void> {
  await query(
    db,
    'update claims set lease_holder = null, lease_until = null where id = :id and lease_holder = :holder',
    { id, holder }
  )
}

/** Any number will do, as long as nothing else in this database takes it for locks of two numbers. */
const PROJECT_LOCKS = 7_217_003

/** One at a time for a project, over all replicas: so together they never pass its limit. */
export async function beginCreating(
  db: Database,
  { id, projectId, status }: Claim,
  missReason: MissReason,
  max: number,
  at: Date
): Promise<'begun' | 'too_many' | 'over'> {
  return await transaction(db, async tx => {
    const locks = { locks: PROJECT_LOCKS, projectId }
    await query(tx, 'select pg_advisory_xact_lock(:locks, hashtext(:projectId))', locks)
    const others = await query(
      tx,
      "select id from claims where project_id = :projectId and status = 'creating' and id <> :id limit :max",
      { id, projectId, max }
    )
    if (status === 'open' && others.length >= max) return 'too_many'
    return (await noteCreating(tx, id, missReason, undefined, at)) ? 'begun' : 'over'
  })
}

export async function noteCreating(
  db: Database,
  id: string,
  missReason: MissReason,
  disk: Disk | undefined,
  at: Date
): Promise<Claim | undefined> {
  return one(
    await query<ClaimRow>(
      db,
      `with spare as ( -- Locked, since its disk may have failed, and be retired, before it is noted.
         select claim_id from backup_volumes where volume_id = :volumeId for update
       )
       update claims
          set status = 'creating', source = 'created', miss_reason = coalesce(miss_reason, :missReason),
              volume_id = :volumeId, disk_os = :diskOs, disk_type = :diskType,
              volume_type = :volumeType, size = :sizeGib, snapshot_id = :snapshotId,
              image_version = :imageVersion, spare_age_seconds = :spareAgeSeconds, updated_at = :at
        where id = :id and status in ('open', 'creating')
          and not exists (select from spare where claim_id is distinct from :id)
        returning *`,
      { id, missReason, at, ...diskBindings(disk) }
    )
  )
}

/** Of a claim that this very statement has settled: another's spare stays. */
export const IS_HANDED_OVER = 'spare.claim_id = settled.id and spare.volume_id = settled.volume_id'

/** The claim's last statement. The time it took is that of the first request: a repeat counts on. */
export async function settle(db: Database, lease: ClaimLease, given: Given, at: Date): Promise<boolean> {
  const rows = await query(
    db,
    `with settled as (
       update claims
          set status = 'available', source = :source, miss_reason = :missReason,
              lease_holder = null, lease_until = null,
              volume_id = :volumeId, disk_os = :diskOs, disk_type = :diskType,
              volume_type = :volumeType, size = :sizeGib, snapshot_id = :snapshotId,
              image_version = :imageVersion, spare_age_seconds = :spareAgeSeconds,
              seconds = extract(epoch from :at::timestamptz - created_at), updated_at = :at
        where id = :claimId and status in ('open', 'creating') and lease_holder = :holder
        returning id, os, type, volume_id, seconds
     ), handed_over as (
       delete from backup_volumes spare using settled where ${IS_HANDED_OVER}
     )
     insert into timings (os, type, what, bucket, at)
     select os, type, case when :source = 'created' then coalesce(:missReason, 'empty') else :source end,
            bucket_of(seconds), :at
       from settled
     returning os`,
    { ...lease, at, source: given.source, missReason: given.missReason ?? null, ...diskBindings(given.disk) }
  )
  return rows.length > 0
}

export async function forget(db: Database, lease: ClaimLease): Promise<boolean> {
  const rows = await query(
    db,
    `delete from claims
      where id = :claimId and status in ('open', 'creating') and lease_holder = :holder
        and not exists (select from backup_volumes where claim_id = :claimId)
      returning id`,
    lease
  )
  return rows.length > 0
}

export async function noteGone(db: Database, id: string, at: Date): Promise<void> {
  await query(db, "update claims set status = 'gone', updated_at = :at where id = :id and status = 'available'", {
    id,
    at
  })
}

export async function find(db: Database, id: string): Promise<Claim | undefined> {
  return one(await query<ClaimRow>(db, 'select * from claims where id = :id', { id }))
}

/** A page, the newest first. */
export async function list(db: Database, filter: ClaimFilter): Promise<Listing<Claim>> {
  const rows = await query<ClaimRow>(
    db,
    `select * from claims
      where (:projectId::text is null or project_id = :projectId)
        and (:hostname::text is null or hostname = :hostname)
        and (:volumeId::text is null or volume_id = :volumeId)
        and (:marker::uuid is null
             or (created_at, id) < (select created_at, id from claims where id = :marker))
      order by created_at desc, id desc
      limit :limit + 1`,
    {
      projectId: filter.projectId ?? null,
      hostname: filter.hostname ?? null,
      volumeId: filter.volumeId ?? null,
      marker: filter.marker ?? null,
      limit: filter.limit
    }
  )
  const page = rows.slice(0, filter.limit).map(toClaim)
  return { rows: page, nextMarker: rows.length > filter.limit ? page.at(-1)?.id : undefined }
}

export async function toSettle(db: Database, at: Date, limit: number, after?: Claim): Promise<Claim[]> {
  const latest = new Date(at.getTime() + LEASE_SECONDS * 1000)
  const rows = await query<ClaimRow>(
    db,
    `select * from claims
      where status in ('open', 'creating') and ${isFree('lease_until', ':latest')}
        and (:id::uuid is null or (status = 'creating', id) > (:isCreating, :id))
      order by status = 'creating', id -- Those that broke off first: a creation may wait long for its caller.
      limit :limit`,
    { at, latest, limit, id: after?.id, isCreating: after?.status === 'creating' }
  )
  return rows.map(toClaim)
}

export async function knowsVolume(db: Database, volumeId: string): Promise<boolean> {
  const rows = await query(db, 'select id from claims where volume_id = :volumeId limit 1', { volumeId })
  return rows.length > 0
}

export async function originOf(db: Database, volumeId: string): Promise<Origin | undefined> {
  const claim = one(
    await query<ClaimRow>(
      db,
      `select * from claims
        where volume_id = :volumeId and (source <> 'existing' or disk_os is not null)
        order by created_at desc, id limit 1`,
      { volumeId }
    )
  )
  return claim?.disk
}

const PRUNED_AT_ONCE = 1_000

export async function prune(db: Database, before: Date): Promise<number> {
  const rows = await query(
    db,
    `delete from claims
      where id = any(array(
              select id from claims
               where created_at < :before and status in ('available', 'gone')
               order by created_at limit :limit))
      returning id`,
    { before, limit: PRUNED_AT_ONCE }
  )
  return rows.length
}
