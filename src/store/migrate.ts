import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PACKAGE_ROOT } from '../package-root.ts'
import type { Clock } from '../pool/ports.ts'
import { type Database, query, runScript, transaction } from './connection/database.ts'

export const MIGRATIONS_FOLDER = join(PACKAGE_ROOT, 'migrations')

interface Migration {
  readonly name: string
  readonly sql: string
  readonly sha256: string
}

interface Recorded {
  readonly name: string
  readonly sha256: string
}

/** Any number, so long as no other program locks it in our database. */
const LOCK = 7_283_460_551

/** Runs the migrations that have not run yet, and returns their names. Replicas may do so at the same time. */
export async function migrate(db: Database, clock: Clock, folder = MIGRATIONS_FOLDER): Promise<string[]> {
  const migrations = await readMigrations(folder)
  const applied: string[] = []
  // Each is a transaction of its own that takes the lock and looks anew at what is next. So a process that is killed leaves
  // neither a lock nor half a migration, and replicas take turns. The first round makes the table, the last finds nothing.
  for (let round = 0; round <= migrations.length; round++) {
    const name = await transaction(db, tx => applyNext(tx, clock, migrations))
    if (name === undefined) break
    applied.push(name)
  }
  return applied
}

/** The names of the migrations that have not run yet. Those of a newer service are no concern of ours: it may run beside us. */
export async function pendingMigrations(db: Database, folder = MIGRATIONS_FOLDER): Promise<string[]> {
  const migrations = await readMigrations(folder)
  const recorded = (await hasRecord(db)) ? await readRecorded(db) : []
  const names = new Set(recorded.map(({ name }) => name))
  return migrations.map(({ name }) => name).filter(name => !names.has(name))
}

/** Why no migration could run: the database is not one of this version. Undefined: it is. */
export async function whyRefused(db: Database, folder = MIGRATIONS_FOLDER): Promise<string | undefined> {
  try {
    refuseDrift(await readMigrations(folder), (await hasRecord(db)) ? await readRecorded(db) : [])
    return undefined
  } catch (error) {
    if (error instanceof DriftError) return error.message
    throw error
  }
}

async function applyNext(tx: Database, clock: Clock, migrations: readonly Migration[]): Promise<string | undefined> {
  await runScript(
    tx,
    `set local statement_timeout = 0;
     set local client_connection_check_interval = '1s'; -- A statement ends soon after we were killed, and with it the lock.
     select pg_advisory_xact_lock(${LOCK})`
  )
  await runScript(
    tx,
    `create table if not exists schema_migrations (
       name       text primary key,
       sha256     text not null,
       applied_at timestamptz not null
     )`
  )
  const recorded = await readRecorded(tx)
  refuseDrift(migrations, recorded)
  const next = migrations[recorded.length]
  if (!next) return undefined
  await runScript(tx, next.sql)
  await query(tx, 'insert into schema_migrations (name, sha256, applied_at) values (:name, :sha256, :at)', {
    name: next.name,
    sha256: next.sha256,
    at: clock.now()
  })
  return next.name
}

class DriftError extends Error {}

/** What ran must be what we have, from the first on: otherwise the tables are not those that our statements are for. */
function refuseDrift(migrations: readonly Migration[], recorded: readonly Recorded[]): void {
  const ours = new Map(migrations.map(migration => [migration.name, migration]))
  for (const { name, sha256 } of recorded) {
    const migration = ours.get(name)
    if (!migration) {
      throw new DriftError(
        `The database has run migration ${name}, which this version does not have: a newer version has run already. ` +
          'Run that version or a newer one, or restore the database from before it.'
      )
    }
    if (migration.sha256 !== sha256) {
      throw new DriftError(
        `Migration ${name} was changed after it had run on this database. ` +
          'Put its file back as it was, and make the change in a new migration.'
      )
    }
  }
  const late = migrations.slice(0, recorded.length).find(({ name }) => !recorded.some(done => done.name === name))
  if (late)
    throw new DriftError(`Migration ${late.name} comes before one that has run already: give it the next number.`)
}

async function hasRecord(db: Database): Promise<boolean> {
  const [table] = await query<{ exists: boolean }>(db, "select to_regclass('schema_migrations') is not null as exists")
  return table?.exists ?? false
}

const readRecorded = (db: Database): Promise<Recorded[]> =>
  query<Recorded>(db, 'select name, sha256 from schema_migrations order by name')

async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter(file => file.endsWith('.sql')).toSorted()
  const unnumbered = files.find(file => !/^[0-9]{4}-[a-z0-9-]+\.sql$/.test(file))
  if (unnumbered) throw new Error(`Migration ${unnumbered} must be named like 0001-spares.sql`)
  return await Promise.all(
    files.map(async file => {
      const sql = (await readFile(join(folder, file), 'utf8')).replaceAll('\r\n', '\n') // As a checkout may have it.
      return { name: file.replace(/\.sql$/, ''), sql, sha256: createHash('sha256').update(sql).digest('hex') }
    })
  )
}
