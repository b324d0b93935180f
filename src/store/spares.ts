import type { Spare, SpareStatus } from '../pool/spare.ts'
import type { Spares } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { changesRow, pageOf } from './rows.ts'

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
  created_at: Date
  updated_at: Date
  available_at: Date | null
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
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  availableAt: row.available_at ?? undefined
})

export const querySpares = async (db: Database, sql: string, bindings: object): Promise<Spare[]> =>
  (await query<SpareRow>(db, sql, bindings)).map(toSpare)

export const querySpare = async (db: Database, sql: string, bindings: object): Promise<Spare | undefined> =>
  (await querySpares(db, sql, bindings))[0]

/** SQL: the spare was made from a snapshot of the image that `os` has now. */
export const isCurrent = (spare: string): string =>
  `(${spare}.snapshot_id = os.snapshot_id or ${spare}.snapshot_id = any(os.replica_snapshot_ids))`

/** SQL: no image has the snapshot of the spare. */
export const IS_STALE = `not exists (
  select from os where os.name = spare.os and os.type = spare.type and ${isCurrent('spare')})`

type Records = Pick<Spares, 'adopt' | 'byVolume' | 'ofVolumes' | 'unlisted' | 'ofClaim' | 'list'>

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export const spareRecordsOf = (db: Database): Records => ({
  adopt: spare =>
    changesRow(
      db,
      `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, volume_id, name, status,
                                   created_at, updated_at, available_at, transfer_id, auth_key)
       values (:id, :os, :type, :snapshotId, :imageVersion, :volumeType, :sizeGib, :volumeId, :name, :status,
               :createdAt, :updatedAt, :availableAt, :transferId, :sealedKey)
       on conflict do nothing
       returning id`,
      { ...spare, transferId: spare.transfer?.id, sealedKey: spare.transfer?.sealedKey }
    ),
  byVolume: volumeId => querySpare(db, 'select * from backup_volumes where volume_id = :volumeId', { volumeId }),
  ofVolumes: (volumeIds, spareIds) =>
    querySpares(
      db,
      'select * from backup_volumes where volume_id = any(:volumeIds::text[]) or id = any(:spareIds::uuid[])',
      { volumeIds, spareIds: spareIds.filter(id => UUID.test(id)) } // Anybody may have changed the metadata.
    ),
  /** Both sides list in the order of volume ids. They are UUIDs, which PostgreSQL and Cinder sort in the same way. */
  unlisted({ what, ids, after, upTo }, limit) {
    const id = `spare.${what}_id`
    return querySpares(
      db,
      `select * from backup_volumes spare
        where status = 'available' and ${id} is not null
          and (:after::text is null or volume_id > :after) and (:upTo::text is null or volume_id <= :upTo)
          and not exists (select from unnest(:ids::text[]) as listed (id) where listed.id = ${id})
        order by volume_id
        limit :limit`,
      { after, upTo, ids, limit }
    )
  },
  ofClaim: claimId => querySpare(db, 'select * from backup_volumes where claim_id = :claimId', { claimId }),
  /** In the order of ids, which never change. */
  async list({ os, type, status, marker, limit }) {
    const spares = await querySpares(
      db,
      `select * from backup_volumes
        where (:os::text is null or os = :os) and (:type::text is null or type = :type)
          and (:status::text is null or status = :status) and (:marker::uuid is null or id > :marker)
        order by id
        limit :limit + 1`,
      { os, type, status, marker, limit }
    )
    return pageOf(spares, limit)
  }
})
