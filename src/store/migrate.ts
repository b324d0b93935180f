import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PACKAGE_ROOT } from '../package-root.ts'
import type { Clock } from '../pool/ports.ts'
import { type Database, query, runScript, transaction } from './connection/database.ts'

export const MIGRATIONS_FOLDER = join(PACKAGE_ROOT, 'migrations')

interface Recorded {
  readonly name: string
  readonly sha256: string
}

interface Migration extends Recorded {
  readonly sql: string
}

/** Any number will do that no other program locks in our database. */
const LOCK = 7_283_460_551

/** Runs the migrations that have not run yet, and returns their names. Replicas may do so at the same time. */
export async function migrate(db: Database, clock: Clock, folder = MIGRATIONS_FOLDER): Promise<string[]> {
  const migrations = await readMigrations(folder)
  const applied: string[] = []
  // Each round is a transaction that takes the lock and looks again for the next migration. So a killed process leaves neither
  // a lock nor half a migration, and replicas take turns. The first round makes the table, the last one finds nothing.
  for (let round = 0; round <= migrations.length; round++) {
    const name = await transaction(db, tx => applyNext(tx, clock, migrations))
    if (name === undefined) break
    applied.push(name)
  }
  return applied
}

/** What has still to run, and why nothing can: the database does not belong to this version. */
export async function migrationState(
  db: Database,
  folder = MIGRATIONS_FOLDER
): Promise<{ pending: string[]; refused: string | undefined }> {
  const migrations = await readMigrations(folder)
  const [table] = await query<{ exists: boolean }>(db, "select to_regclass('schema_migrations') is not null as exists")
  const recorded = table?.exists ? await readRecorded(db) : []
  const pending = migrations.filter(({ name }) => !recorded.some(done => done.name === name))
  return { pending: pending.map(({ name }) => name), refused: drift(migrations, recorded) }
}

async function applyNext(tx: Database, clock: Clock, migrations: readonly Migration[]): Promise<string | undefined> {
  await runScript(
    tx,
    `set local statement_timeout = 0;
     set local client_connection_check_interval = '1s'; -- If we are killed, the statement ends soon and frees the lock.
     select pg_advisory_xact_lock(${LOCK});
     create table if not exists schema_migrations (
       name       text primary key,
       sha256     text not null,
       applied_at timestamptz not null
     )`
  )
  const recorded = await readRecorded(tx)
  const refused = drift(migrations, recorded)
  if (refused) throw new Error(refused)
  const next = migrations[recorded.length]
  if (!next) return undefined
  await runScript(tx, next.sql)
  const sql = 'insert into schema_migrations (name, sha256, applied_at) values (:name, :sha256, :at)'
  await query(tx, sql, { ...next, at: clock.now() })
  return next.name
}

/** What ran must be what we have, from the first migration on. Otherwise the tables do not fit our statements. */
function drift(migrations: readonly Migration[], recorded: readonly Recorded[]): string | undefined {
  const ours = new Map(migrations.map(({ name, sha256 }) => [name, sha256]))
  for (const { name, sha256 } of recorded) {
    if (!ours.has(name)) {
      return (
        `The database has run migration ${name}, which this version does not have: a newer version has run already. ` +
        'Run that version or a newer one, or restore the database from before it.'
      )
    }
    if (ours.get(name) !== sha256) {
      return (
        `Migration ${name} was changed after it had run on this database. ` +
        'Put its file back as it was, and make the change in a new migration.'
      )
    }
  }
  const late = migrations.slice(0, recorded.length).find(({ name }) => !recorded.some(done => done.name === name))
  return late && `Migration ${late.name} comes before one that has run already: give it the next number.`
}

const readRecorded = (db: Database): Promise<Recorded[]> =>
  query<Recorded>(db, 'select name, sha256 from schema_migrations order by name')

async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter(file => file.endsWith('.sql')).toSorted()
  const unnumbered = files.find(file => !/^[0-9]{4}-[a-z0-9-]+\.sql$/.test(file))
  if (unnumbered) throw new Error(`Migration ${unnumbered} must be named like 0001-spares.sql`)
  return await Promise.all(
    files.map(async file => {
      const sql = (await readFile(join(folder, file), 'utf8')).replaceAll('\r\n', '\n') // A checkout may write CRLF.
      return { name: file.replace(/\.sql$/, ''), sql, sha256: createHash('sha256').update(sql).digest('hex') }
    })
  )
}
