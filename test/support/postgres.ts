/** One PostgreSQL for the whole run, thrown away after it, with one migrated database that each test's own is cloned from. */
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { systemClock } from '../../src/clock.ts'
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.ts'
import { openDatabase, query, runScript } from '../../src/store/connection/database.ts'
import { migrate } from '../../src/store/migrate.ts'
import { SCHEMA } from './schema.ts'

/** Where the run's server is, and the database to clone. */
export interface TestServer {
  readonly socketDir: string
  readonly user: string
  readonly template: string
  /** What the schema of its clones is, by `SCHEMA`. */
  readonly schema: string
}

declare module 'vitest' {
  interface ProvidedContext {
    server: TestServer
    seed: number
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { SEED } = process.env
  const seed = Number(SEED ?? randomInt(2 ** 31))
  process.stdout.write(`Seed ${seed}; SEED=${seed} repeats this run.\n`)
  project.provide('seed', seed)

  const dataDir = await mkdtemp(join(tmpdir(), 'spare-pool-test-'))
  const postgres = await startEmbeddedPostgres({ dataDir, durable: false, settings: { max_connections: '200' } })
  const template = 'template_pool'
  const schema = await makeTemplate(postgres, template)
  project.provide('server', { socketDir: postgres.socketDir, user: postgres.user, template, schema })
  return async () => {
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function makeTemplate(
  server: { socketDir: string; user: string; database: string },
  name: string
): Promise<string> {
  const admin = openDatabase(server)
  await runScript(admin, `create database ${name}`)
  await admin.destroy()
  const template = openDatabase({ ...server, database: name })
  await migrate(template, systemClock)
  const [made] = await query<{ schema: string }>(template, SCHEMA)
  await template.destroy() // It cannot be cloned while anyone is connected.
  return made?.schema ?? ''
}
