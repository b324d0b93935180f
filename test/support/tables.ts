/** All that the service remembers, but for which migrations it has seen. */
import { type Database, runScript } from '../../src/store/connection/database.ts'

export const TABLES = [
  'backup_volumes',
  'claims',
  'os',
  'pools',
  'lead_times',
  'history',
  'ticks',
  'orphans',
  'refusals'
]

/** Quicker than `truncate`, as long as there is little. */
export const empty = (db: Database): Promise<void> =>
  runScript(db, TABLES.map(table => `delete from ${table};`).join(''))

/** However much there is. */
export const truncate = (db: Database): Promise<void> => runScript(db, `truncate ${TABLES.join(', ')}`)
