import { afterAll, inject } from 'vitest'
import { newId } from '../../src/clock.ts'
import {
  type Database,
  type DatabaseSettings,
  openDatabase,
  query,
  runScript,
  warmUp
} from '../../src/store/connection/database.ts'
import { SCHEMA } from './schema.ts'
import { empty } from './tables.ts'

/** What a database is given back after. Vitest's test context is one. */
export interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

export interface TestDatabaseOptions extends DatabaseSettings {
  /** How many are open from the start: as many as there are rivals in a race. */
  readonly connections?: number
}

/**
 * A fresh, migrated database, given back when the test ends. Without a test, and then only at a file's top level or in
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

/** Databases that a test has left as it found them, empty: to make one takes ten times as long as to empty it. */
const free: string[] = []

async function createDatabase(): Promise<{ name: string; drop: () => Promise<void> }> {
  const name = free.pop() ?? (await cloned())
  return { name, drop: () => leave(name) }
}

async function cloned(): Promise<string> {
  const name = `t_${newId().replaceAll('-', '')}`
  await asAdmin('postgres', db =>
    runScript(db, `create database ${name} template ${inject('server').template} strategy file_copy`)
  )
  return name
}

/** Cuts whoever is still connected, and empties the database for the next test; drops it where its schema was changed. */
async function leave(name: string): Promise<void> {
  const isAsMade = await asAdmin(name, async db => {
    await query(db, CUT_OTHERS)
    const [now] = await query<{ schema: string }>(db, SCHEMA)
    if (now?.schema !== inject('server').schema) return false
    await empty(db)
    return true
  }).catch(() => false)
  if (isAsMade) free.push(name)
  else await asAdmin('postgres', db => runScript(db, `drop database if exists ${name} with (force)`))
}

const CUT_OTHERS = `select pg_terminate_backend(pid, 5000) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`

async function asAdmin<T>(database: string, work: (db: Database) => Promise<T>): Promise<T> {
  const { socketDir, user } = inject('server')
  const admin = openDatabase({ socketDir, user, database, connectionsMax: 1, statementTimeoutSeconds: 60 })
  try {
    return await work(admin)
  } finally {
    await admin.destroy()
  }
}
