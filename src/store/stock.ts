import type { Creation, Holding } from '../pool/replenishment.ts'
import { type Spare, type SpareStatus, spareName } from '../pool/spare.ts'
import type { Spares } from '../pool/stores.ts'
import { type Database, query, transaction } from './connection/database.ts'
import { undefinedIfRival } from './connection/database-errors.ts'
import { toImage } from './images.ts'
import { toPoolState } from './pools.ts'
import { isUnderWay, reserve } from './reservations.ts'
import { type Columns, fieldsOf, type Row } from './rows.ts'
import { querySpares } from './spares.ts'
import { lockPool } from './waiting.ts'

const HOLDING_COLUMNS: Columns<Holding> = {
  os: 'os',
  type: 'type',
  snapshotId: 'snapshot_id',
  status: 'status',
  kept: 'kept',
  making: 'making',
  count: 'count',
  sizeGib: 'size',
  oldestAt: 'oldest_at'
}

/** Any number will do, as long as nothing else in this database takes it. */
const PLANNING_LOCK = 7_217_001

/** What there is, and what is asked for. */
export const stockOf = (db: Database): Pick<Spares, 'stock' | 'request' | 'requestFor'> => ({
  async stock() {
    const [stored] = await query<Record<'images' | 'states' | 'holdings', Row[] | null>>(db, STOCK, {}, 'anew')
    return {
      images: (stored?.images ?? []).map(toImage),
      states: (stored?.states ?? []).map(toPoolState),
      holdings: (stored?.holdings ?? []).map(row => fieldsOf(HOLDING_COLUMNS, row))
    }
  },
  /**
   * One planner at a time, over all replicas: each sees what the others have recorded, so together they never pass a
   * target, a limit or the budget. The lock is the transaction's, which a connection pooler keeps whole.
   */
  request: (plan, newId, at) =>
    transaction(db, async tx => {
      await query(tx, 'select pg_advisory_xact_lock(:lock)', { lock: PLANNING_LOCK })
      const creations = plan(await stockOf(tx).stock())
      if (creations.length === 0) return []
      return await insert(
        tx,
        creations.map(creation => newRow(creation, newId(), 'requested', at))
      )
    }),
  /** From then on it waits, so a spare that has come into stock meanwhile is its own. */
  requestFor: (claimId, creation, id, at, takesSpare = true) =>
    transaction(db, async tx => {
      await lockPool(tx, creation)
      const spare = takesSpare ? await reserve(tx, claimId, creation, at) : undefined
      if (spare) return spare
      const [requested] = await insert(tx, [newRow(creation, id, 'reserved', at, claimId)])
      return requested
    }).catch(undefinedIfRival)
})

/**
 * All in one statement, so that it is of one moment. What may be many is counted from an index alone, and the oldest of a pool
 * is one look into another.
 */
const STOCK = `
  select (select json_agg(os) from os) as images,
         (select json_agg(pools) from pools) as states,
         (select json_agg(holding)
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
                   group by os, type, snapshot_id, status, kept, available_at is null) holding) as holdings`

const newRow = (creation: Creation, id: string, status: SpareStatus, at: Date, claimId?: string) => ({
  id,
  os: creation.os,
  type: creation.type,
  snapshot_id: creation.snapshotId,
  image_version: creation.image.version,
  volume_type: creation.image.volumeType,
  size: creation.sizeGib,
  name: spareName(id),
  status,
  claim_id: claimId,
  created_at: at
})

/** None where the claim has a spare already, is settled or is no more. */
const insert = (db: Database, rows: readonly ReturnType<typeof newRow>[]): Promise<Spare[]> =>
  querySpares(
    db,
    `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, name, status, allocated,
                                 claim_id, created_at, updated_at)
     select id, os, type, snapshot_id, image_version, volume_type, size, name, status, status = 'reserved',
            claim_id, created_at, created_at
       from json_populate_recordset(null::backup_volumes, :rows::json)
      where claim_id is null or ${isUnderWay('claim_id')}
     on conflict do nothing
     returning *`,
    { rows: JSON.stringify(rows) }
  )
