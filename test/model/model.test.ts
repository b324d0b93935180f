import { asyncModelRun, asyncProperty, assert as check, commands } from 'fast-check'
import { describe, it } from 'vitest'
import { seed } from '../support/seed.ts'
import { anyCommand } from './commands.ts'
import { Model } from './model.ts'
import { Real } from './real.ts'

const TARGETS = { 'debian12 ssd': 3, 'debian12 sas': 2 }
const RUNS = Number(process.env['MODEL_RUNS'] ?? 5)
/** On average half of them. */
const COMMANDS_MAX = 40

describe.for(['member', 'admin'] as const)('two replicas and their cloud, where the service is %s', role => {
  it(`are as the model has them after every command: ${RUNS} runs`, async t => {
    const real = await Real.start(t, role)
    const setup = async () => {
      await real.reset(TARGETS)
      return { model: new Model(TARGETS), real }
    }
    const runs = asyncProperty(commands([anyCommand], { maxCommands: COMMANDS_MAX, size: 'max' }), one =>
      asyncModelRun(setup, one)
    )
    await check(runs, { seed, numRuns: RUNS })
  }, 7_200_000)
})
