import { type Database, query } from './connection/database.ts'
import { migrationState } from './migrate.ts'
import { stockOf } from './stock.ts'

/** What the database's clock says now. The clocks of all replicas are set by it. */
export async function databaseTime(db: Database): Promise<Date> {
  const [row] = await query<{ now: Date }>(db, 'select clock_timestamp() as now')
  if (!row) throw new Error('the database did not tell its time')
  return row.now
}

/** Throws on a standby, and then the pool gives up its connections to it. Changes nothing. */
export async function requirePrimary(db: Database): Promise<void> {
  await query(db, 'update ticks set holder = holder where false')
}

/** What a database is. Changes nothing. */
export async function inspectDatabase(db: Database) {
  const [server] = await query<{ version: string; standby: boolean }>(
    db,
    "select current_setting('server_version') as version, pg_is_in_recovery() as standby"
  )
  const { pending, refused } = await migrationState(db)
  return {
    version: server?.version ?? 'unknown',
    isStandby: server?.standby ?? false,
    pending,
    refused,
    stock: pending.length === 0 && refused === undefined ? await stockOf(db).stock() : undefined,
    time: () => databaseTime(db)
  }
}
