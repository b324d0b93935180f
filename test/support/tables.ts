/** All that the service remembers, but for which migrations it has seen. */
import { type Database, runScript } from '../../src/store/connection/database.ts'

export const TABLES = [
  'backup_volumes',
  'stock_counts',
  'claims',
  'os',
  'pools',
  'lead_times',
  'timings',
  'timing_totals',
  'ticks',
  'orphans',
  'refusals'
]

/** Quicker than `truncate`, as long as there is little. */
export const empty = (db: Database): Promise<void> =>
  runScript(db, TABLES.map(table => `delete from ${table};`).join(''))

/** However much there is. The counts of the stock go with it, by a trigger that two at once would be in the way of. */
export const truncate = (db: Database): Promise<void> =>
  runScript(db, `truncate ${TABLES.filter(table => table !== 'stock_counts').join(', ')}`)
