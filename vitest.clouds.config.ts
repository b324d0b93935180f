import { defineConfig } from 'vitest/config'
import { SERVICE } from './vitest.config.ts'

/**
 * What the service does with claims must come out the same on every cloud. Each of these differs in what it does behind its API;
 * the newest does not heed that English is asked for.
 */
const CLOUDS = {
  mitaka: { SANDBOX_RELEASE: 'mitaka' },
  queens: { SANDBOX_RELEASE: 'queens' },
  rocky: { SANDBOX_RELEASE: 'rocky' },
  chinese: { SANDBOX_LOCALE: 'zh_CN' }
}

const { KILLS = 'all', SIMULATION_SEEDS = '200' } = process.env

/** The suites of claims, of kills at each step, and of simulated faults. `npm test` runs them at the newest release, in English. */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: Object.entries(CLOUDS).map(([name, env]) => ({
      test: {
        ...SERVICE,
        name,
        include: [
          'test/operations/claim-*.test.ts',
          'test/operations/{hand-over,in-project,refused-claims,restored-backup,room,told-as-it-is,waiting}.test.ts',
          'test/operations/{reconcile,stray-transfers,refill}.test.ts',
          'test/http/hostile-claims.test.ts',
          'test/crash/**/*.test.ts',
          'test/simulation/**/*.test.ts'
        ],
        env: { KILLS, SIMULATION_SEEDS, ...env }
      }
    }))
  }
})
