import { defineConfig } from 'vitest/config'
import { SERVICE } from '../../vitest.config.ts'

/** Every test that finds a planted bug, and the histories in numbers in which all that can happen does. */
export default defineConfig({
  test: {
    ...SERVICE,
    include: ['test/**/*.test.ts'],
    exclude: ['test/end-to-end/**'],
    env: { KILLS: 'all', MODEL_RUNS: '60', SIMULATION_SEEDS: '200' }
  }
})
