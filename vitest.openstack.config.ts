import { defineConfig } from 'vitest/config'
import { SERVICE } from './vitest.config.ts'

/** At which older clouds are asked: this one stands in for them, but for what a release does that no microversion tells. */
const PINNED = ['3.0', '3.27', '3.50', '3.55']

/** One file at a time: some break the cloud. What one has broken of it may have cost the next one its logins. */
const REAL = {
  fileParallelism: false,
  isolate: true,
  testTimeout: 300_000,
  hookTimeout: 300_000
}

/** What needs a real Keystone, Cinder and Ceph, which is brought up where it is not yet. */
export default defineConfig({
  test: {
    globalSetup: ['test/openstack/setup.ts'],
    fileParallelism: false,
    maxWorkers: 1, // The projects, too, one after the other.
    projects: [
      ...['auto', '3.0', '3.50'].map(version => ({
        test: {
          ...SERVICE,
          ...REAL,
          name: version === 'auto' ? 'end to end' : `end to end ${version}`,
          include: ['test/end-to-end/**/*.test.ts'],
          exclude: version === 'auto' ? [] : ['**/doctor.test.ts'], // It advises against a pinned version.
          env: { END_TO_END_API_VERSION: version }
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
