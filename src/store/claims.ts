import type { Disk } from '../pool/claim.ts'
import type { Claims } from '../pool/claim-store.ts'
import { LEASE_SECONDS } from '../pool/lease.ts'
import { DISK_COLUMNS, queryClaim, queryClaims, toClaim } from './claim-rows.ts'
import { change, type Database, query, transaction } from './connection/database.ts'
import { isFree } from './leases.ts'
import { changesRow, fieldsOf, pageOf } from './rows.ts'

type Leases = Pick<Claims, 'resume' | 'renew' | 'release' | 'forget' | 'toSettle'>
type Disks = Pick<Claims, 'beginCreating' | 'noteCreating' | 'noteGone'>
type Records = Pick<Claims, 'find' | 'living' | 'byKey' | 'list' | 'knowsVolume' | 'originOf' | 'prune'>

/** Who works on a claim. */
export const claimLeasesOf = (db: Database): Leases => ({
  async resume(id, lease, at, watched) {
    const [row] = await query<{ is_taken: boolean; lease_holder: string; lease_until: Date }>(
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
      { id, ...lease, at, watchedHolder: watched?.holder, watchedUntil: watched?.until }
    )
    if (!row) return undefined
    return row.is_taken ? { claim: toClaim(row) } : { lapsed: { holder: row.lease_holder, until: row.lease_until } }
  },
  renew: (id, lease) =>
    changesRow(db, 'update claims set lease_until = :until where id = :id and lease_holder = :holder', {
      id,
      ...lease
    }),
  async release(id, holder) {
    const sql = 'update claims set lease_holder = null, lease_until = null where id = :id and lease_holder = :holder'
    await query(db, sql, { id, holder })
  },
  forget: lease =>
    changesRow(
      db,
      `delete from claims
        where id = :claimId and status in ('open', 'creating') and lease_holder = :holder
          and not exists (select from backup_volumes where claim_id = :claimId)`,
      lease
    ),
  toSettle: (at, limit, after) =>
    queryClaims(
      db,
      `select * from claims
        where status in ('open', 'creating') and ${isFree('lease_until', ':latest')}
          and (:id::uuid is null or (status = 'creating', id) > (:isCreating, :id))
        order by status = 'creating', id -- Open claims first: a creation may wait long for its caller.
        limit :limit`,
      {
        at,
        latest: new Date(at.getTime() + LEASE_SECONDS * 1000),
        limit,
        id: after?.id,
        isCreating: after?.status === 'creating'
      }
    )
})

/** Any number will do that no other advisory lock of two numbers uses in this database. */
const PROJECT_LOCKS = 7_217_003

/** The disk that is made for a claim, and the end of a claim's disk. */
export const claimDisksOf = (db: Database): Disks => ({
  /** One at a time for a project, over all replicas: together they never exceed its limit. */
  async beginCreating({ id, projectId, status }, missReason, max, at) {
    return await transaction(db, async tx => {
      const locks = { locks: PROJECT_LOCKS, projectId }
      await query(tx, 'select pg_advisory_xact_lock(:locks, hashtext(:projectId))', locks)
      const others = await query(
        tx,
        "select id from claims where project_id = :projectId and status = 'creating' and id <> :id limit :max",
        { id, projectId, max }
      )
      if (status === 'open' && others.length >= max) return 'too_many'
      return (await claimDisksOf(tx).noteCreating(id, missReason, undefined, at)) ? 'begun' : 'over'
    })
  },
  noteCreating: (id, missReason, disk, at) =>
    queryClaim(
      db,
      `with spare as ( -- Locked: its disk may have failed and be retired before it is noted.
         select claim_id from backup_volumes where volume_id = :volumeId for update
       )
       update claims
          set status = 'creating', source = 'created', miss_reason = coalesce(miss_reason, :missReason),
              volume_id = :volumeId, disk_os = :os, disk_type = :type, volume_type = :volumeType, size = :sizeGib,
              snapshot_id = :snapshotId, image_version = :imageVersion, spare_age_seconds = :spareAgeSeconds,
              updated_at = :at
        where id = :id and status in ('open', 'creating')
          and not exists (select from spare where claim_id is distinct from :id)
        returning *`,
      { ...NO_DISK, ...disk, id, missReason, at }
    ),
  async noteGone(id, at) {
    const sql = "update claims set status = 'gone', updated_at = :at where id = :id and status = 'available'"
    await query(db, sql, { id, at })
  }
})

const NO_DISK = fieldsOf<Partial<Disk>>(DISK_COLUMNS, {})

const PRUNED_AT_ONCE = 1_000

export const claimRecordsOf = (db: Database): Records => ({
  find: id => queryClaim(db, 'select * from claims where id = :id', { id }),
  living: (projectId, name) =>
    queryClaim(db, "select * from claims where project_id = :projectId and name = :name and status <> 'gone'", {
      projectId,
      name
    }),
  byKey: (projectId, key) =>
    queryClaim(
      db,
      `select * from claims where project_id = :projectId and idempotency_key = :key
        order by created_at desc, id limit 1`,
      { projectId, key }
    ),
  async list({ projectId, hostname, volumeId, marker, limit }) {
    const claims = await queryClaims(
      db,
      `select * from claims
        where (:projectId::text is null or project_id = :projectId)
          and (:hostname::text is null or hostname = :hostname)
          and (:volumeId::text is null or volume_id = :volumeId)
          and (:marker::uuid is null
               or (created_at, id) < (select created_at, id from claims where id = :marker))
        order by created_at desc, id desc
        limit :limit + 1`,
      { projectId, hostname, volumeId, marker, limit }
    )
    return pageOf(claims, limit)
  },
  knowsVolume: async volumeId =>
    (await query(db, 'select id from claims where volume_id = :volumeId limit 1', { volumeId })).length > 0,
  async originOf(volumeId) {
    const claim = await queryClaim(
      db,
      `select * from claims
        where volume_id = :volumeId and (source <> 'existing' or disk_os is not null)
        order by created_at desc, id limit 1`,
      { volumeId }
    )
    return claim?.disk
  },
  prune: before =>
    change(
      db,
      `delete from claims
        where id = any(array(
                select id from claims
                 where created_at < :before and status in ('available', 'gone')
                 order by created_at limit :limit))`,
      { before, limit: PRUNED_AT_ONCE }
    )
})
