import { type Database, runScript } from '../../src/store/connection/database.ts'
import { TABLES } from './tables.ts'

/** Copies all tables as they are now; gives what brings them back, as a restored backup does, triggers and keys asleep. */
export async function takeBackup(db: Database): Promise<() => Promise<void>> {
  const copies = TABLES.map(table => `create table backup.${table} as select * from ${table};`)
  await runScript(db, `drop schema if exists backup cascade; create schema backup; ${copies.join(' ')}`)
  const rows = TABLES.map(table => `insert into ${table} select * from backup.${table};`)
  return () =>
    runScript(
      db,
      `begin; set local session_replication_role = replica; truncate ${TABLES.join(', ')}; ${rows.join(' ')} commit;`
    )
}
