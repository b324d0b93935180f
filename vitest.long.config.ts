import { defineConfig } from 'vitest/config'
import { HISTORIES, LONG, SERVICE } from './vitest.config.ts'

const { SIMULATION_SEEDS = '5000', MODEL_RUNS = '500', CHAOS_CLAIMS = '20000' } = process.env

/** The long suites in full, in some hours; the variables say how much of each. `.ci/run` runs them with smaller numbers. */
export default defineConfig({
  test: {
    ...SERVICE,
    maxWorkers: 2,
    include: [...LONG, ...HISTORIES],
    env: { SIMULATION_SEEDS, MODEL_RUNS, CHAOS_CLAIMS, KILLS: 'all' }
  }
})
