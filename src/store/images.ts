import type { Image } from '../pool/image.ts'
import type { PoolName } from '../pool/spare.ts'
import type { Purge } from '../pool/stores.ts'
import { type Database, query, transaction } from './connection/database.ts'

export interface ImageRow {
  id: string
  name: string
  type: string
  snapshot_id: string
  replica_snapshot_ids: string[]
  gone_snapshot_ids: string[]
  volume_id: string
  volume_type: string
  size: number
  version: string
  created_at: Date | string
  updated_at: Date | string
}

export const toImage = (row: ImageRow): Image => ({
  id: row.id,
  os: row.name,
  type: row.type,
  snapshotId: row.snapshot_id,
  replicaSnapshotIds: row.replica_snapshot_ids,
  goneSnapshotIds: row.gone_snapshot_ids,
  volumeId: row.volume_id,
  volumeType: row.volume_type,
  sizeGib: row.size,
  version: row.version,
  createdAt: new Date(row.created_at), // A string where the row came as JSON.
  updatedAt: new Date(row.updated_at)
})

export async function list(db: Database): Promise<Image[]> {
  const rows = await query<ImageRow>(db, 'select * from os order by name, type')
  return rows.map(toImage)
}

export async function find(db: Database, pool: PoolName): Promise<Image | undefined> {
  const [row] = await query<ImageRow>(db, 'select * from os where name = :os and type = :type', { ...pool })
  return row && toImage(row)
}

export async function add(db: Database, images: readonly Image[]): Promise<void> {
  for (const image of images) await insert(db, image)
}

/**
 * Replaces the table and settles what becomes of the stock, all at once: a claim sees either the old images with their
 * spares or the new ones. The images are locked first, so that nobody adds one meanwhile.
 */
export async function replace(db: Database, images: readonly Image[], purge: Purge, at: Date): Promise<number> {
  return await transaction(db, async tx => {
    await query(tx, 'lock table os in share row exclusive mode')
    await query(tx, 'delete from os')
    await add(tx, images)
    await query(tx, 'update pools set newer_in_cinder = null where newer_in_cinder is not null')
    if (purge === 'none') {
      await keepStale(tx)
      return 0
    }
    return await retire(tx, purge, at)
  })
}

/** All at once, as a sync does it, for the images that nothing can be made from; another replica may have been quicker. */
export async function replaceGone(db: Database, images: readonly Image[], at: Date): Promise<number> {
  return await transaction(db, async tx => {
    const pools: PoolName[] = []
    for (const image of images) if (await putInPlace(tx, image, at)) pools.push({ os: image.os, type: image.type })
    if (pools.length === 0) return 0
    const named = '(os, type) in (select os, type from jsonb_to_recordset(:pools::jsonb) as pool (os text, type text))'
    const bindings = { pools: JSON.stringify(pools) }
    await query(tx, `update pools set newer_in_cinder = null where newer_in_cinder is not null and ${named}`, bindings)
    const retired = await query(
      tx,
      `update backup_volumes spare set status = 'retiring', updated_at = :at
        where status in ('requested', 'creating', 'available') and ${named} and ${IS_STALE}
        returning id`,
      { ...bindings, at }
    )
    return retired.length
  })
}

async function putInPlace(db: Database, image: Image, at: Date): Promise<boolean> {
  const rows = await query(
    db,
    `update os
        set snapshot_id = :snapshotId, replica_snapshot_ids = :replicaSnapshotIds, gone_snapshot_ids = '{}',
            volume_id = :volumeId, volume_type = :volumeType, size = :sizeGib, version = :version, updated_at = :at
      where name = :os and type = :type and ${IS_GONE}
      returning id`,
    { ...image, at }
  )
  return rows.length > 0
}

const IS_GONE = 'snapshot_id || replica_snapshot_ids <@ gone_snapshot_ids'

export async function noteGone(db: Database, snapshotId: string): Promise<boolean> {
  const rows = await query(
    db,
    `update os set gone_snapshot_ids = gone_snapshot_ids || :snapshotId::text
      where :snapshotId = any(snapshot_id || replica_snapshot_ids) and :snapshotId <> all(gone_snapshot_ids)
      returning id`,
    { snapshotId }
  )
  return rows.length > 0
}

export async function setGone(db: Database, snapshotIds: readonly string[]): Promise<boolean> {
  const rows = await query(
    db,
    `update os set gone_snapshot_ids = found.gone
       from (select id, array(select gone from unnest(snapshot_id || replica_snapshot_ids) as gone
                               where gone = any(:snapshotIds::text[])) as gone
               from os) found
      where found.id = os.id and not (os.gone_snapshot_ids <@ found.gone and found.gone <@ os.gone_snapshot_ids)
      returning os.id`,
    { snapshotIds }
  )
  return rows.length > 0
}

async function insert(db: Database, image: Image): Promise<void> {
  await query(
    db,
    `insert into os (id, name, type, snapshot_id, replica_snapshot_ids, gone_snapshot_ids, volume_id, volume_type, size,
                     version, created_at, updated_at)
     values (:id, :os, :type, :snapshotId, :replicaSnapshotIds, :goneSnapshotIds, :volumeId, :volumeType, :sizeGib,
             :version, :createdAt, :updatedAt)
     on conflict (name, type) do nothing`,
    { ...image }
  )
}

/** Spares whose snapshot no image has. */
export const IS_STALE = `not exists (
  select from os
   where os.name = spare.os and os.type = spare.type
     and (spare.snapshot_id = os.snapshot_id or spare.snapshot_id = any(os.replica_snapshot_ids)))`

async function keepStale(db: Database): Promise<void> {
  await query(
    db,
    `update backup_volumes spare set kept = true
      where status in ('requested', 'creating', 'available') and not kept and ${IS_STALE}`
  )
}

async function retire(db: Database, purge: Purge, at: Date): Promise<number> {
  const rows = await query(
    db,
    `update backup_volumes spare set status = 'retiring', updated_at = :at
      where status in ('requested', 'creating', 'available') and (:all or ${IS_STALE})
      returning id`,
    { at, all: purge === 'all' }
  )
  return rows.length
}
