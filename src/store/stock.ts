import type { Creation, Holding } from '../pool/replenishment.ts'
import { type PoolName, type Spare, type SpareStatus, spareName } from '../pool/spare.ts'
import type { StoredStock } from '../pool/stores.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { undefinedIfRival } from './connection/database-errors.ts'
import { type ImageRow, toImage } from './images.ts'
import { type PoolRow, toPoolState } from './pools.ts'
import { isUnderWay, reserve } from './reservations.ts'
import { type SpareRow, toSpare } from './spares.ts'
import { lockPool } from './waiting.ts'

interface HoldingRow extends PoolName {
  snapshot_id: string
  status: SpareStatus
  kept: boolean
  making: boolean
  count: number
  size: number
  oldest_at: string | null
}

const toHolding = (row: HoldingRow): Holding => ({
  os: row.os,
  type: row.type,
  snapshotId: row.snapshot_id,
  status: row.status,
  kept: row.kept,
  making: row.making,
  count: row.count,
  sizeGib: row.size,
  oldestAt: row.oldest_at ? new Date(row.oldest_at) : undefined
})

type StockRow =
  | { kind: 'image'; row: ImageRow }
  | { kind: 'state'; row: PoolRow }
  | { kind: 'holding'; row: HoldingRow }

/**
 * All in one statement, so that it is of one moment. What may be many is counted from an index alone, and the oldest of a pool
 * is one look into another.
 */
export async function stock(db: Database): Promise<StoredStock> {
  const rows = await query<StockRow>(
    db,
    `select 'image' as kind, row_to_json(os) as row from os
      union all
     select 'state', row_to_json(pools) from pools
      union all
     select 'holding', row_to_json(holding)
       from (select alike.*, false as making, oldest.created_at as oldest_at
               from (select os, type, snapshot_id, status, kept, count(*)::int as count, sum(size)::int as size
                       from backup_volumes
                      where status in ('available', 'retiring')
                      group by os, type, snapshot_id, status, kept) alike
               left join lateral (
                 select created_at from backup_volumes spare
                  where spare.os = alike.os and spare.type = alike.type and spare.status = 'available'
                  order by spare.created_at, spare.id
                  limit 1
               ) oldest on alike.status = 'available'
              union all
             select os, type, snapshot_id, status, kept, count(*)::int, sum(size)::int, available_at is null, null
               from backup_volumes
              where status not in ('available', 'retiring')
              group by os, type, snapshot_id, status, kept, available_at is null) holding`,
    {},
    { plan: 'anew' }
  )
  return {
    images: rows.flatMap(({ kind, row }) => (kind === 'image' ? [toImage(row)] : [])),
    states: rows.flatMap(({ kind, row }) => (kind === 'state' ? [toPoolState(row)] : [])),
    holdings: rows.flatMap(({ kind, row }) => (kind === 'holding' ? [toHolding(row)] : []))
  }
}

/** Any number will do, as long as nothing else in this database takes it. */
const PLANNING_LOCK = 7_217_001

/**
 * One planner at a time, over all replicas: each sees what the others have recorded, so together they never pass a
 * target, a limit or the budget. The lock is the transaction's, which a connection pooler keeps whole.
 */
export async function request(
  db: Database,
  plan: (stock: StoredStock) => readonly Creation[],
  newId: () => string,
  at: Date
): Promise<Spare[]> {
  return await transaction(db, async tx => {
    await query(tx, 'select pg_advisory_xact_lock(:lock)', { lock: PLANNING_LOCK })
    const creations = plan(await stock(tx))
    if (creations.length === 0) return []
    const rows = creations.map(creation => newRow(creation, newId(), 'requested', null))
    return await insert(tx, rows, at)
  })
}

/** From then on it waits, so a spare that has come into stock meanwhile is its own. */
export async function requestFor(
  db: Database,
  claimId: string,
  creation: Creation,
  id: string,
  at: Date,
  takesSpare = true
): Promise<Spare | undefined> {
  return await transaction(db, async tx => {
    await lockPool(tx, creation)
    const spare = takesSpare ? await reserve(tx, claimId, creation, at) : undefined
    if (spare) return spare
    const [requested] = await insert(tx, [newRow(creation, id, 'reserved', claimId)], at)
    return requested
  }).catch(undefinedIfRival)
}

const newRow = (creation: Creation, id: string, status: SpareStatus, claimId: string | null) => ({
  id,
  os: creation.os,
  type: creation.type,
  snapshot_id: creation.snapshotId,
  image_version: creation.image.version,
  volume_type: creation.image.volumeType,
  size: creation.sizeGib,
  name: spareName(id),
  status,
  claim_id: claimId
})

/** None where the claim has a spare already, is settled or is no more. */
async function insert(db: Database, rows: readonly ReturnType<typeof newRow>[], at: Date): Promise<Spare[]> {
  const inserted = await query<SpareRow>(
    db,
    `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, name, status, allocated,
                                 claim_id, created_at, updated_at)
     select id, os, type, snapshot_id, image_version, volume_type, size, name, status, status = 'reserved',
            claim_id, :at::timestamptz, :at::timestamptz
       from jsonb_to_recordset(:rows::jsonb) as row (id uuid, os text, type text, snapshot_id text, image_version text,
                                                     volume_type text, size int, name text, status text, claim_id uuid)
      where claim_id is null or ${isUnderWay('claim_id')}
     on conflict do nothing
     returning *`,
    { at, rows: JSON.stringify(rows) }
  )
  return inserted.map(toSpare)
}
