/** `npm run simulate:faults`: as many histories as one likes, on a PostgreSQL of its own, or one of them once more. */
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { wholeNumber } from '../../bench/whole-number.ts'
import { systemClock } from '../../src/clock.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.ts'
import { type Database, openDatabase, runScript } from '../../src/store/connection/database.ts'
import { migrate } from '../../src/store/migrate.ts'
import { simulate } from './seeds.ts'

/** At once: while one waits for PostgreSQL, another computes. */
const LANES = 4

const { seeds, from } = new Command('simulate:faults')
  .description(
    'Runs two simulated replicas against a cloud and a network that fail, once a seed, and holds every step against what ' +
      'always holds (docs/guarantees.md). Ends at the first seed that breaks a rule, with its last steps.'
  )
  .option('--seeds <n>', 'how many', wholeNumber(1), 1000)
  .option('--from <seed>', 'the first of them; `--seeds 1 --from S` repeats seed S', wholeNumber(0), randomInt(2 ** 31))
  .parse()
  .opts<{ seeds: number; from: number }>()

async function aMigratedDatabase(server: EmbeddedPostgres, name: string): Promise<Database> {
  const admin = openDatabase(server)
  await runScript(admin, `create database ${name}`)
  await admin.destroy()
  const db = openDatabase({ ...server, database: name })
  await migrate(db, systemClock)
  return db
}

async function run(server: EmbeddedPostgres): Promise<void> {
  const databases: Database[] = []
  for (let lane = 0; lane < Math.min(LANES, seeds); lane += 1) {
    databases.push(await aMigratedDatabase(server, `simulation_${lane}`))
  }
  const startedAt = performance.now()
  try {
    const { counts } = await simulate({
      databases,
      first: from,
      seeds,
      onSeed: done => {
        if (done % 100 === 0) process.stderr.write(`${done} of ${seeds} seeds\n`)
      }
    })
    for (const [what, count] of [...counts].toSorted(([a], [b]) => a.localeCompare(b)))
      process.stdout.write(`${String(count).padStart(9)}  ${what}\n`)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    process.stdout.write(`${seeds} seeds from ${from} in ${seconds} s: no rule was broken, and everything was mended\n`)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  } finally {
    for (const db of databases) await db.destroy()
  }
}

process.stdout.write(`${seeds} seeds from ${from}\n`)
const dataDir = await mkdtemp(join(tmpdir(), 'spare-pool-simulation-'))
const server = await startEmbeddedPostgres({ dataDir, durable: false })
try {
  await run(server)
} finally {
  await server.stop()
  await rm(dataDir, { recursive: true, force: true })
}
