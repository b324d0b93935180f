import { defineConfig } from 'vitest/config'
import { contractAt, HISTORIES, LONG, SERVICE } from './vitest.config.ts'

const { KILLS = 'all', SIMULATION_SEEDS = '5000', MODEL_RUNS = '500', CHAOS_CLAIMS = '20000' } = process.env

/** Each has something of its own; the newest and the oldest are in `npm test`. */
const RELEASES = ['ocata', 'rocky', 'train']

/** The long suites in full, in some hours; the variables say how much of each. `.ci/run` runs them with smaller numbers. */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...SERVICE,
          name: 'long',
          include: [...LONG, ...HISTORIES],
          env: { KILLS, SIMULATION_SEEDS, MODEL_RUNS, CHAOS_CLAIMS }
        }
      },
      ...RELEASES.map(contractAt)
    ]
  }
})
