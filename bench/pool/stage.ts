/** What everything is measured on: a PostgreSQL and a sandbox cloud, each in processes of its own, on this machine. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/clock.ts'
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.ts'
import { type Database, openDatabase, runScript } from '../../src/store/connection/database.ts'
import { migrate } from '../../src/store/migrate.ts'
import type { Lifetime } from '../lifetime.ts'
import { CloudProcess } from './cloud.ts'
import type { Facts } from './cloud-process.ts'

/** The checkout. The program runs compiled, two folders deeper than its source. */
export const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url))

export interface Options {
  readonly rounds: number
  readonly clients: number
  /** Only to see that it runs: small, and judged by nobody. */
  readonly quick: boolean
  /** Of a long run. Absent: as many as its part has by default. */
  readonly claims?: number
  /** Where the service's CPU profiles go. */
  readonly profile?: string
}

export interface BenchDatabase {
  readonly db: Database
  readonly url: string
}

export interface DatabaseWish {
  readonly connectionsMax?: number
  /** Of PostgreSQL, for all who connect to it. */
  readonly defaults?: Readonly<Record<string, string>>
}

export interface Stage {
  readonly options: Options
  readonly cloud: CloudProcess
  readonly facts: Facts
  /** The service's user, with the role of a service that claims into every project. */
  readonly serviceToken: string
  readonly adminToken: string
  /** What the replicas of a service seal transfer keys with. */
  readonly secret: Buffer
  /** Of PostgreSQL. */
  readonly postmaster: number
  readonly folder: string
  /** A migrated database of that name, with a few connections of ours to it; dropped with everything else. */
  openNew(t: Lifetime, name: string, settings?: DatabaseWish): Promise<BenchDatabase>
}

const startedAt = performance.now()
/** What is being done, beside the report. */
export const say = (what: string): void =>
  void process.stderr.write(`[${Math.round((performance.now() - startedAt) / 1_000)} s] ${what}\n`)

export async function openStage(t: Lifetime, options: Options): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'spare-pool-bench-'))
  t.onTestFinished(async () => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
  const cloud = new CloudProcess(t)
  const postgres = await startEmbeddedPostgres({ dataDir: folder })
  t.onTestFinished(() => postgres.stop())
  const { socketDir, user, database } = postgres
  const postmaster = Number(readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8').split('\n', 1)[0])
  const owner = openDatabase({ socketDir, user, database, connectionsMax: 1 })
  t.onTestFinished(async () => await owner.destroy())
  return {
    options,
    cloud,
    facts: await cloud.ask('facts'),
    serviceToken: await cloud.ask('token', { user: 'pool-svc', project: 'pool' }),
    adminToken: await cloud.ask('token', { user: 'admin', project: 'pool' }),
    secret: randomBytes(32),
    postmaster,
    folder,
    async openNew(t, name, { connectionsMax = 4, defaults = {} } = {}) {
      await runScript(owner, `create database ${name}`)
      for (const [setting, value] of Object.entries(defaults)) {
        await runScript(owner, `alter database ${name} set ${setting} = ${value}`)
      }
      t.onTestFinished(() => runScript(owner, `drop database ${name} with (force)`))
      const db = openDatabase({ socketDir, user, database: name, connectionsMax, statementTimeoutSeconds: 600 })
      t.onTestFinished(async () => await db.destroy())
      await migrate(db, systemClock, join(CHECKOUT, 'migrations'))
      return { db, url: `postgres://${user}@/${name}?host=${encodeURIComponent(socketDir)}` }
    }
  }
}
