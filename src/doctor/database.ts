import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { createLog } from '../log.ts'
import type { Clock } from '../pool/ports.ts'
import { databaseOf, type Stops } from '../service.ts'
import { inspectDatabase } from '../store/inspect.ts'
import { judgeDatabaseClock, readClock } from './clocks.ts'
import { failed, few, type Outcome, ok, skipped, warning } from './finding.ts'

/** Undefined: the embedded database does not exist yet. */
type DatabaseFacts = Awaited<ReturnType<typeof inspectDatabase>> | undefined

/** An embedded database is started, if it exists. */
export async function readDatabase({ database }: Config, stops: Stops): Promise<DatabaseFacts> {
  if (!database.url && !existsSync(join(database.embedded?.data_dir ?? './data', 'postgres'))) return undefined
  const open = await databaseOf(database, systemClock, createLog('silent'), stops)
  return await inspectDatabase(open())
}

const NOT_YET = skipped('it does not exist yet')

export function judgeServer(facts: DatabaseFacts): Outcome {
  if (!facts) return ok('the embedded database does not exist yet: the first start makes it')
  const server = `PostgreSQL ${facts.version}`
  return facts.isStandby ? failed(`${server}, a read-only standby`, 'point database.url to the primary') : ok(server)
}

export function judgeMigrations(facts: DatabaseFacts): Outcome {
  if (!facts) return NOT_YET
  if (facts.refused) return failed(facts.refused, 'do as it says')
  if (facts.pending.length === 0) return ok('all have run')
  return warning(`to run: ${few(facts.pending)}`, 'run `spare-pool migrate`, or start the service, which does the same')
}

export const examineTime = async (facts: DatabaseFacts, clock: Clock): Promise<Outcome> =>
  facts ? judgeDatabaseClock(await readClock(clock, facts.time)) : NOT_YET
