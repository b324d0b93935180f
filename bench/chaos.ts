/** The chaos test of test/processes with other numbers. Exit code 1: something was not as promised. */
import { randomInt } from 'node:crypto'
import { Command, Option } from 'commander'
import { chaos } from '../test/processes/chaos.ts'
import { counts, faultsOf } from '../test/processes/counts.ts'
import { SERVICE_ROLES, type ServiceRole } from '../test/support/service-role.ts'
import { withLifetime } from './lifetime.ts'
import { wholeNumber } from './whole-number.ts'

interface Options {
  readonly claims: number
  readonly callers: number
  readonly restarts: number
  readonly seconds: number
  readonly seed: number
  readonly role: ServiceRole
}

const command = new Command('chaos')
  .description(
    'Two service processes that are killed at random, many callers, a sandbox cloud with all its faults and a PostgreSQL ' +
      'that is restarted; then counts what was lost, doubled or touched.'
  )
  .option('--claims <n>', 'claims, about twice as many requests', wholeNumber(1), 2_000)
  .option('--callers <n>', 'at once', wholeNumber(1), 32)
  .option('--restarts <n>', 'of PostgreSQL', wholeNumber(0), 2)
  .option('--seconds <n>', 'for all claims, and then again until all is whole, at most', wholeNumber(1), 3_600)
  .addOption(new Option('--role <role>', "the service's user").choices(SERVICE_ROLES).default('member'))
  .option('--seed <n>', 'repeats what happens, though not when', wholeNumber(0), randomInt(2 ** 31))

const { seconds, ...options } = command.parse().opts<Options>()
process.stderr.write(`seed ${options.seed}\n`)
const outcome = await withLifetime(t => chaos(t, { ...options, secondsMax: seconds }))
process.stdout.write(`${counts(outcome)}\n`)
const faults = faultsOf(outcome)
for (const fault of faults) process.stdout.write(`${fault}\n`)
process.exitCode = faults.length === 0 ? 0 : 1
