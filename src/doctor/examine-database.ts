import { attempt } from '../operations/attempt.ts'
import { PoolError } from '../pool/errors.ts'
import { judgeDatabaseClock } from './examination.ts'
import type { DatabaseFacts, Examined } from './examined.ts'
import { type CheckId, type Finding, failed, few, ok, skipped, warning } from './finding.ts'
import { readClock } from './read-clock.ts'

const [CONNECTION, MIGRATIONS, CLOCK] = [
  'database.connection',
  'database.migrations',
  'database.clock'
] as const satisfies readonly CheckId[]

/** Whether the database can be used, and is one of this version. */
export async function examineDatabase({ clock }: Examined, facts: DatabaseFacts | undefined | Error) {
  const without = (connection: Finding, why: string): Finding[] => [
    connection,
    skipped(MIGRATIONS, why),
    skipped(CLOCK, why)
  ]
  if (!facts) {
    return without(
      ok(CONNECTION, 'the embedded one does not exist yet: the first start makes it'),
      'it is not there yet'
    )
  }
  if (facts instanceof Error) return without(failed(CONNECTION, ...explain(facts)), 'the database cannot be used')
  return [judgeServer(facts), judgeMigrations(facts), await examineClock(clock, facts)]
}

/** The server's own words, and what ours make of them. */
function explain(error: Error): [found: string, advice: string] {
  if (!(error instanceof PoolError)) return [error.message, 'see database in the configuration']
  const advice = error.message.replace(/ Nothing is lost.*$/, '')
  const { cause } = error
  return [(cause instanceof Error && cause.message) || advice, advice]
}

function judgeServer({ version, isStandby }: DatabaseFacts): Finding {
  const server = `PostgreSQL ${version}`
  if (isStandby) return failed(CONNECTION, `${server}, a read-only standby`, 'let database.url lead to the primary')
  return ok(CONNECTION, server)
}

function judgeMigrations({ pending, refused }: DatabaseFacts): Finding {
  if (refused) return failed(MIGRATIONS, refused, 'as it says')
  if (pending.length === 0) return ok(MIGRATIONS, 'all have run')
  const advice = 'run `spare-pool migrate`, or just start the service, which does the same'
  return warning(MIGRATIONS, `to run: ${few(pending)}`, advice)
}

async function examineClock(clock: Examined['clock'], { time }: DatabaseFacts): Promise<Finding> {
  const reading = await attempt(() => readClock(clock, time))
  return reading instanceof Error ? failed(CLOCK, ...explain(reading)) : judgeDatabaseClock(reading)
}
