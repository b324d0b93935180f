import { defineConfig } from 'vitest/config'
import ours from './vitest.config.ts'

/** What needs a real Keystone, Cinder and Ceph, which is brought up where it is not yet. One file at a time: some break it. */
export default defineConfig({
  test: {
    ...ours.test,
    include: ['test/contract/**/*.test.ts', 'test/end-to-end/**/*.test.ts'],
    exclude: [],
    globalSetup: ['test/openstack/setup.ts', 'test/support/build.ts', 'test/support/postgres.ts'],
    env: { CONTRACT_CLOUD: 'openstack' },
    fileParallelism: false,
    isolate: true, // What one file has broken of the cloud may have cost the next one its logins.
    testTimeout: 300_000,
    hookTimeout: 300_000
  }
})
