import { afterAll, inject } from 'vitest'
import { newId } from '../../src/clock.ts'
import {
  type Database,
  type DatabaseSettings,
  openDatabase,
  runScript,
  warmUp
} from '../../src/store/connection/database.ts'

/** What a database is dropped after. Vitest's test context is one. */
export interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

export interface TestDatabaseOptions extends DatabaseSettings {
  /** How many are open from the start: as many as there are rivals in a race. */
  readonly connections?: number
}

/**
 * A fresh, migrated database, dropped when the test ends. Without a test, and then only at a file's top level or in
 * `describe`, it lasts as long as the file.
 */
export async function aDatabase(
  t?: Lifetime,
  { connections = 2, ...settings }: TestDatabaseOptions = {}
): Promise<Database> {
  const { name, drop } = await createDatabase()
  const { socketDir, user } = inject('server')
  const connectionsMax = Math.max(connections, settings.connectionsMax ?? 10)
  const address = { socketDir, user, database: name }
  const db = openDatabase({ connectionsMin: connections, ...settings, connectionsMax, ...address })
  const finish = async () => {
    await db.destroy()
    await drop()
  }
  if (t) t.onTestFinished(finish)
  else afterAll(finish)
  await warmUp(db, connections)
  return db
}

/** How to reach a fresh, migrated database, for those that open it themselves, such as another process. */
export async function aDatabaseAddress(
  t: Lifetime
): Promise<{ socketDir: string; user: string; database: string; url: string }> {
  const { name, drop } = await createDatabase()
  t.onTestFinished(drop)
  const { socketDir, user } = inject('server')
  const url = `postgres://${user}@/${name}?host=${encodeURIComponent(socketDir)}`
  return { socketDir, user, database: name, url }
}

async function createDatabase(): Promise<{ name: string; drop: () => Promise<void> }> {
  const name = `t_${newId().replaceAll('-', '')}`
  await asAdmin(`create database ${name} template ${inject('server').template} strategy file_copy`)
  return { name, drop: () => asAdmin(`drop database ${name} with (force)`) }
}

async function asAdmin(sql: string): Promise<void> {
  const { socketDir, user } = inject('server')
  const admin = openDatabase({ socketDir, user, database: 'postgres', connectionsMax: 1, statementTimeoutSeconds: 60 })
  try {
    await runScript(admin, sql)
  } finally {
    await admin.destroy()
  }
}
