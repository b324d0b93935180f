/** What service processes run on: a sandbox cloud over HTTP, a PostgreSQL that can be restarted, and a configuration. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PRESETS } from '../../sandbox/delays.ts'
import { login } from '../../sandbox/identity.ts'
import type { Caller, User } from '../../sandbox/model.ts'
import { setQuota } from '../../sandbox/quotas.ts'
import type { SeededCloud } from '../../sandbox/seed.ts'
import { poolLogin } from '../../sandbox/seed.ts'
import { startSandbox } from '../../sandbox/server.ts'
import { systemClock } from '../../src/clock.ts'
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.ts'
import { type Database, openDatabase, query } from '../../src/store/connection/database.ts'
import { aConfigFile, aFolder } from '../support/command-line.ts'
import { giveServiceRole, type ServiceRole } from '../support/service-role.ts'
import { until } from '../support/until.ts'

export interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

export interface PoolTarget {
  readonly os: string
  readonly type: string
  readonly target: number
}

export const DEPLOYMENT = 'processes'
/** The longest that a call to the cloud may take. Small, since much here waits for it. */
export const TIMEOUT_SECONDS = 4

/** Of PostgreSQL, on a busy machine. */
const START_SECONDS_MAX = 60

export interface Stage {
  readonly cloud: SeededCloud
  readonly db: Database
  readonly pools: readonly PoolTarget[]
  readonly configFile: string
  /** An administrator of the cloud, in the pool's project. */
  readonly admin: Caller
  user(name: string): User
  project(name: string): string
  /** A new token, however much the cloud refuses to those who ask for one over the network. */
  token(user: string, project: string): string
  /** The process of PostgreSQL; where it is killed or told to stop, another one comes up at the same place. */
  postmaster(): Promise<number>
}

export async function aStage(
  t: Lifetime,
  seed: number,
  pools: readonly PoolTarget[],
  role: ServiceRole = 'member'
): Promise<Stage> {
  const delays = { ...PRESETS.none, creating: 10, deleting: 50, extending: 30 }
  const sandbox = await startSandbox({ clock: systemClock, delays, seed, journalMax: 10_000_000 })
  t.onTestFinished(() => sandbox.close())
  const { cloud } = sandbox
  const dataDir = aFolder(t)
  const postgres = await startEmbeddedPostgres({ dataDir })
  t.onTestFinished(() => postgres.stop())
  const { socketDir, user, database } = postgres
  const db = openDatabase({ socketDir, user, database })
  t.onTestFinished(async () => await db.destroy())
  const url = `postgres://${user}@/${database}?host=${encodeURIComponent(socketDir)}`
  const configFile = aConfigFile(t, configFor(sandbox.authUrl, url, join(dataDir, 'secret'), pools))
  const postmaster = async (): Promise<number> => {
    const answers = (): Promise<boolean> =>
      query(db, 'select').then(
        () => true,
        () => false
      )
    await until(answers, START_SECONDS_MAX)
    const pid = Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n', 1)[0])
    assert.ok(pid > 1)
    return pid
  }
  const people = peopleOf(cloud)
  giveServiceRole(cloud, role)
  return { cloud, db, pools, configFile, postmaster, ...people }
}

const configFor = (authUrl: string, url: string, secret: string, pools: readonly PoolTarget[]): object => ({
  deployment: DEPLOYMENT,
  server: { port: 0 },
  database: { url },
  secret_file: secret,
  openstack: { auth: poolLogin(authUrl), timeout_seconds: TIMEOUT_SECONDS },
  pools,
  limits: { creating_max: 400, creating_max_per_snapshot: 200 },
  ticks: { replenish: '* * * * * *', check_state: '* * * * * *', reconcile: '*/3 * * * * *' },
  access: { mode: 'keystone' }
})

/** Everybody, and no quota in their way but where a fault says so. */
function peopleOf(cloud: SeededCloud): Pick<Stage, 'admin' | 'user' | 'project' | 'token'> {
  const named = <T extends { name: string }>(all: Iterable<T>, name: string): T => {
    const found = [...all].find(one => one.name === name)
    assert.ok(found, `there is no ${name}`)
    return found
  }
  const user = (name: string): User => named(cloud.users.values(), name)
  const project = (name: string): string => named(cloud.projects.values(), name).id
  for (const { id } of cloud.projects.values()) {
    for (const resource of ['volumes', 'gigabytes']) setQuota(cloud, id, resource, -1)
  }
  // Who may claim into every project, as an API server does.
  user('pool-svc').roles.set(project('pool'), new Set(['member', 'service']))
  const domain = { id: 'default' }
  return {
    user,
    project,
    admin: { userId: user('admin').id, projectId: project('pool'), roles: ['admin'], requestId: 'req-admin' },
    token: (name, projectName) =>
      login(cloud, {
        identity: { methods: ['password'], password: { user: { name, domain, password: 'sandbox' } } },
        scope: { project: { name: projectName, domain } }
      }).id
  }
}
