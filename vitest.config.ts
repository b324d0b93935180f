import { defineConfig } from 'vitest/config'

/** The contract is held against the sandbox at the newest release and at these; at the others in `npm run test:long`. */
const RELEASES = ['mitaka', 'queens', 'latest']

const TIMES = { testTimeout: 30_000, hookTimeout: 60_000 }

/** Whole histories of kills, commands and faults: all of them in `npm run test:long`, and here some of some. */
export const HISTORIES = ['test/{crash,model,simulation}/**/*.test.ts']
const SOME_HISTORIES = ['test/crash/claims.test.ts', 'test/{model,simulation}/**/*.test.ts']

/** What takes long and what few changes break, for `npm run test:long`: other processes, and the same once more in other settings. */
export const LONG = [
  'test/cli/{client,database-url,doctor,sandbox,serve,stopping}.test.ts',
  'test/embedded/**/*.test.ts',
  'test/faults/{failing-statements,outage,pooler,several-hosts}.test.ts',
  'test/http/{fuzz,haproxy,hostile-claims,limits,page,secrets}.test.ts',
  'test/operations/{long-lines,reconcile-pages,releases,restored-backup}.test.ts',
  'test/openstack/oracle.test.ts',
  'test/processes/**/*.test.ts'
]

/** What tests of the service need. */
export const SERVICE = {
  globalSetup: ['test/support/build.ts', 'test/support/postgres.ts'],
  setupFiles: ['test/support/seed.ts'],
  isolate: false, // Modules keep no state that one file could leave to the next, and loading them takes half of the time.
  ...TIMES
}

/** The contract against the sandbox at a release. */
export const contractAt = (release: string) => ({
  test: {
    name: `contract ${release}`,
    include: ['test/contract/**/*.test.ts'],
    env: { CONTRACT_RELEASE: release },
    isolate: false,
    ...TIMES
  }
})

export default defineConfig({
  test: {
    maxWorkers: 2, // Each file has a database of its own, so that they run side by side.
    projects: [
      {
        test: {
          ...SERVICE,
          name: 'service',
          include: ['test/**/*.test.ts'],
          exclude: ['test/end-to-end/**', 'test/contract/**', ...HISTORIES, ...LONG] // Of these one needs a real cloud: `npm run test:openstack`.
        }
      },
      { test: { ...SERVICE, name: 'histories', include: SOME_HISTORIES } },
      ...RELEASES.map(contractAt)
    ]
  }
})
