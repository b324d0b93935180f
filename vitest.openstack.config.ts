import { defineConfig } from 'vitest/config'
import { SERVICE } from './vitest.config.ts'

/** As old clouds are asked, this one takes for: each stands for those that are like it but for what no microversion tells. */
const PINNED = ['3.0', '3.27', '3.50', '3.55']

/** One file at a time: some break the cloud. What one has broken of it may have cost the next one its logins. */
const REAL = {
  globalSetup: ['test/openstack/setup.ts'],
  fileParallelism: false,
  isolate: true,
  testTimeout: 300_000,
  hookTimeout: 300_000
}

/** What needs a real Keystone, Cinder and Ceph, which is brought up where it is not yet. */
export default defineConfig({
  test: {
    fileParallelism: false,
    maxWorkers: 1,
    projects: [
      ...['auto', '3.0', '3.50'].map(version => ({
        test: {
          ...SERVICE,
          ...REAL,
          name: `end to end ${version}`,
          include: ['test/end-to-end/**/*.test.ts'],
          exclude: version === 'auto' ? [] : ['**/doctor.test.ts'], // It advises against a pinned version.
          env: { END_TO_END_API_VERSION: version },
          globalSetup: [...REAL.globalSetup, ...SERVICE.globalSetup]
        }
      })),
      ...['auto', ...PINNED].map(version => ({
        test: {
          ...REAL,
          name: `contract ${version}`,
          include: ['test/contract/**/*.test.ts'],
          env: { CONTRACT_CLOUD: 'openstack', CONTRACT_API_VERSION: version }
        }
      }))
    ]
  }
})
