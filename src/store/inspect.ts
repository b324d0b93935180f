import { type Database, query } from './connection/database.ts'
import { databaseTime } from './database-time.ts'
import { pendingMigrations, whyRefused } from './migrate.ts'
import { stock } from './stock.ts'

/** Throws on a standby, to which the connections are given up then. Changes nothing. */
export async function requirePrimary(db: Database): Promise<void> {
  await query(db, 'update ticks set holder = holder where false')
}

/** What a database is, without changing it. */
export async function inspectDatabase(db: Database) {
  const [server] = await query<{ version: string; standby: boolean }>(
    db,
    "select current_setting('server_version') as version, pg_is_in_recovery() as standby"
  )
  const pending = await pendingMigrations(db)
  const refused = await whyRefused(db)
  const isReadable = pending.length === 0 && refused === undefined
  return {
    version: server?.version ?? 'unknown',
    isStandby: server?.standby ?? false,
    pending,
    refused,
    stock: isReadable ? await stock(db) : undefined,
    time: () => databaseTime(db)
  }
}
