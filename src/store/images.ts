import type { Image } from '../pool/image.ts'
import type { PoolName } from '../pool/spare.ts'
import type { Purge } from '../pool/stores.ts'
import { type Database, query, transaction } from './database.ts'

export interface ImageRow {
  id: string
  name: string
  type: string
  snapshot_id: string
  replica_snapshot_ids: string[]
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

async function insert(db: Database, image: Image): Promise<void> {
  await query(
    db,
    `insert into os (id, name, type, snapshot_id, replica_snapshot_ids, volume_id, volume_type, size, version,
                     created_at, updated_at)
     values (:id, :os, :type, :snapshotId, :replicaSnapshotIds, :volumeId, :volumeType, :sizeGib, :version,
             :createdAt, :updatedAt)
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
