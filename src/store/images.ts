import type { Image } from '../pool/image.ts'
import type { PoolName } from '../pool/spare.ts'
import type { Images } from '../pool/stores.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { retireUnclaimed } from './departures.ts'
import { type Columns, changesRow, fieldsOf, insertInto, type Row } from './rows.ts'
import { IS_STALE } from './spares.ts'

const COLUMNS: Columns<Image> = {
  id: 'id',
  os: 'name',
  type: 'type',
  snapshotId: 'snapshot_id',
  replicaSnapshotIds: 'replica_snapshot_ids',
  goneSnapshotIds: 'gone_snapshot_ids',
  volumeId: 'volume_id',
  volumeType: 'volume_type',
  sizeGib: 'size',
  version: 'version',
  createdAt: 'created_at',
  updatedAt: 'updated_at'
}

export const toImage = (row: Row): Image => fieldsOf(COLUMNS, row)

export const imagesOf = (db: Database): Images => ({
  list: async () => (await query(db, 'select * from os order by name, type')).map(toImage),
  async find({ os, type }) {
    const [row] = await query(db, 'select * from os where name = :os and type = :type', { os, type })
    return row && toImage(row)
  },
  add: images => add(db, images),
  /** A claim sees either the old images with their spares or the new ones. The lock keeps others from adding an image. */
  replace: (images, purge, at) =>
    transaction(db, async tx => {
      await query(tx, 'lock table os in share row exclusive mode')
      await query(tx, 'delete from os')
      await add(tx, images)
      await query(tx, 'update pools set newer_in_cinder = null where newer_in_cinder is not null')
      if (purge !== 'none') return await retireUnclaimed(tx, purge === 'all' ? 'true' : IS_STALE, { at })
      await query(tx, KEEP_STALE)
      return 0
    }),
  replaceGone: (images, at) =>
    transaction(db, async tx => {
      const replaced: PoolName[] = []
      for (const image of images) if (await changesRow(tx, PUT_IN_PLACE, { ...image, at })) replaced.push(image)
      const bindings = { pools: JSON.stringify(replaced), at }
      await query(
        tx,
        `update pools set newer_in_cinder = null where newer_in_cinder is not null and ${IN_POOLS}`,
        bindings
      )
      return await retireUnclaimed(tx, `${IN_POOLS} and ${IS_STALE}`, bindings)
    }),
  noteGone: snapshotId =>
    changesRow(
      db,
      `update os set gone_snapshot_ids = gone_snapshot_ids || :snapshotId::text
        where :snapshotId = any(snapshot_id || replica_snapshot_ids) and :snapshotId <> all(gone_snapshot_ids)`,
      { snapshotId }
    ),
  setGone: snapshotIds =>
    changesRow(
      db,
      `update os set gone_snapshot_ids = found.gone
         from (select id, array(select gone from unnest(snapshot_id || replica_snapshot_ids) as gone
                                 where gone = any(:snapshotIds::text[])) as gone
                 from os) found
        where found.id = os.id and not (os.gone_snapshot_ids <@ found.gone and found.gone <@ os.gone_snapshot_ids)`,
      { snapshotIds }
    )
})

async function add(db: Database, images: readonly Image[]): Promise<void> {
  for (const image of images) await query(db, insertInto('os', COLUMNS), image)
}

const KEEP_STALE = `update backup_volumes spare set kept = true
  where status in ('requested', 'creating', 'available') and not kept and ${IS_STALE}`

/** Only while all snapshots of the image are gone: another replica may have replaced it already. */
const PUT_IN_PLACE = `
  update os
     set snapshot_id = :snapshotId, replica_snapshot_ids = :replicaSnapshotIds, gone_snapshot_ids = '{}',
         volume_id = :volumeId, volume_type = :volumeType, size = :sizeGib, version = :version, updated_at = :at
   where name = :os and type = :type and snapshot_id || replica_snapshot_ids <@ gone_snapshot_ids`

const IN_POOLS = '(os, type) in (select os, type from jsonb_to_recordset(:pools::jsonb) as pool (os text, type text))'
