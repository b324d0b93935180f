import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/end-to-end/**'], // They need a real cloud: `npm run test:openstack`.
    globalSetup: ['test/support/build.ts', 'test/support/postgres.ts'],
    setupFiles: ['test/support/seed.ts'],
    maxWorkers: 2, // Each file has a database of its own, so that they run side by side.
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
