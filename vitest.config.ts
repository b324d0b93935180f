import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/end-to-end/**'], // They need a real cloud: `npm run test:openstack`.
    globalSetup: ['test/support/build.ts', 'test/support/postgres.ts'],
    setupFiles: ['test/support/seed.ts'],
    isolate: false, // Modules keep no state that one file could leave to the next, and loading them takes half of the time.
    maxWorkers: 2, // Each file has a database of its own, so that they run side by side.
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
