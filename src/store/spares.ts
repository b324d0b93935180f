import type { SealedTransfer, Spare } from '../pool/spare.ts'
import type { Spares } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { type Columns, changesRow, fieldsOf, insertInto, pageOf, type Row } from './rows.ts'

/** A transfer is kept in two columns of its own. */
type Kept = Omit<Spare, 'transfer'> & {
  readonly transferId: string | undefined
  readonly sealedKey: string | undefined
}

const COLUMNS: Columns<Kept> = {
  id: 'id',
  os: 'os',
  type: 'type',
  snapshotId: 'snapshot_id',
  imageVersion: 'image_version',
  volumeType: 'volume_type',
  sizeGib: 'size',
  volumeId: 'volume_id',
  name: 'name',
  status: 'status',
  kept: 'kept',
  claimId: 'claim_id',
  transferId: 'transfer_id',
  sealedKey: 'auth_key',
  createdAt: 'created_at',
  updatedAt: 'updated_at',
  availableAt: 'available_at',
  armingUntil: 'arming_until'
}

export function toSpare(row: Row): Spare {
  const { transferId, sealedKey, ...spare } = fieldsOf(COLUMNS, row)
  return { ...spare, transfer: transferId && sealedKey ? { id: transferId, sealedKey } : undefined }
}

/** The bindings that a transfer is kept by. */
export const keptOf = (transfer: SealedTransfer | undefined) => ({
  transferId: transfer?.id,
  sealedKey: transfer?.sealedKey
})

export const querySpares = async (db: Database, sql: string, bindings: object): Promise<Spare[]> =>
  (await query(db, sql, bindings)).map(toSpare)

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
  adopt: spare => changesRow(db, insertInto('backup_volumes', COLUMNS), { ...spare, ...keptOf(spare.transfer) }),
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
