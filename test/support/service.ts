import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { CloudOptions } from '../../sandbox/cloud.ts'
import type { Volume as CloudVolume } from '../../sandbox/model.ts'
import type { Golden } from '../../sandbox/seed.ts'
import { poolLogin } from '../../sandbox/seed.ts'
import { type Sandbox, startSandbox } from '../../sandbox/server.ts'
import { parseConfig } from '../../src/config/config.ts'
import type { Config } from '../../src/config/schema.ts'
import type { ClaimRecord, ClaimView, Problem, SpareView, StatsView, SyncView } from '../../src/http/schemas.ts'
import { createLog } from '../../src/log.ts'
import type { Clock } from '../../src/pool/ports.ts'
import { type Service, startService } from '../../src/service.ts'
import { query, warmUp } from '../../src/store/connection/database.ts'
import { CLOUD_SETTING } from './cloud-setting.ts'
import { aDatabaseAddress } from './database.ts'
import { assertDocumented } from './documented.ts'
import { OwnClock } from './own-clock.ts'
import { giveServiceRole, type ServiceRole } from './service-role.ts'
import { TestClock } from './test-clock.ts'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

type Section = Readonly<Record<string, unknown>>

export interface TestServiceOptions {
  /** Sections of the configuration that differ from a small pool of five. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Filled before the test begins. */
  readonly filled?: boolean
  /** Open from the start: as many as there are rivals in a race. */
  readonly connections?: number
  /** The sandbox's user that the service logs in as; default `pool-svc`. */
  readonly user?: string
  /** What `pool-svc` is; default: a member. */
  readonly role?: ServiceRole
  /** Seconds that the sandbox takes for a volume; 0: none. */
  readonly createSeconds?: number
  /** That a request to the cloud may take, by the machine's own time; default 5. */
  readonly cloudSeconds?: number
  readonly golden?: readonly Golden[]
  /** What its cloud is, beyond the setting that the suite runs in. */
  readonly cloud?: Partial<CloudOptions>
  /** Gets every line of the log, of all levels. */
  readonly onLog?: (line: string) => void
  /** A second replica: the same database and cloud. */
  readonly beside?: TestService
  /** Whether its ticks run by themselves, by the machine's own time; default: no. */
  readonly ticking?: boolean
  /** Default: one that runs while a request does. */
  readonly clock?: TestClock
  /** Which time its replicas go by; default: that clock's. */
  readonly sharedTime?: () => Promise<Date>
  /** By how much the cloud's clock is ahead of that. */
  readonly cloudAheadSeconds?: number
}

export interface Answer<T> {
  readonly status: number
  readonly body: T
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>
}

/** A whole service on a database of its own and a sandbox cloud, whose ticks run when the test says so. */
export interface TestService {
  readonly service: Service
  readonly sandbox: Sandbox
  readonly clock: TestClock
  readonly url: string
  readonly config: Config
  /** The id of a project by its name. */
  project(name: string): string
  call<T = Problem>(method: Method, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer<T>>
  claim(body?: Section, headers?: Record<string, string>): Promise<Answer<ClaimView & Problem>>
  stats(): Promise<StatsView>
  spares(): Promise<readonly SpareView[]>
  claims(): Promise<readonly ClaimRecord[]>
  sync(body?: Section): Promise<Answer<SyncView & Problem>>
  /** Replenishes and checks until nothing is missing. */
  fill(): Promise<void>
  rows<Row extends object>(sql: string): Promise<Row[]>
  /** The volumes in the cloud of a project, whoever made them, without the golden ones. */
  volumes(project?: string): CloudVolume[]
}

type Method = 'GET' | 'POST' | 'DELETE' | 'PUT' | 'PATCH'

export const POOLS = [{ os: 'debian12', type: 'ssd', target: 5 }]
export const DEBIAN = { os: 'debian12', type: 'ssd' }

export async function aService(t: Lifetime, options: TestServiceOptions = {}): Promise<TestService> {
  const clock = options.beside?.clock ?? options.clock ?? new TestClock()
  const sandbox = options.beside?.sandbox ?? (await aSandboxCloud(t, clock, options))
  const url = options.beside?.url ?? (await aDatabaseAddress(t)).url
  const config = options.beside?.config ?? aConfig(t, sandbox, url, options)
  const log = options.onLog
    ? createLog('trace', { write: options.onLog })
    : pino({ level: process.env['TEST_LOG'] ?? 'silent' })
  const sharedTime = options.sharedTime ?? (async () => clock.now())
  const service = await startService({ config, env: {}, clock, sharedTime, log, ticking: options.ticking ?? false })
  t.onTestFinished(() => clock.during(service.stop()))
  if (options.connections) await warmUp(service.db, options.connections)
  const it = handles(service, sandbox, clock, url, config)
  if (options.filled ?? true) await it.fill()
  return it
}

async function aSandboxCloud(t: Lifetime, clock: Clock, options: TestServiceOptions): Promise<Sandbox> {
  const creating = (options.createSeconds ?? 0) * 1000
  const sandbox = await startSandbox({
    ...CLOUD_SETTING,
    ...options.cloud,
    clock: new OwnClock(clock, options.cloudAheadSeconds),
    delays: 'none'
  })
  sandbox.cloud.delays = { ...sandbox.cloud.delays, creating }
  giveServiceRole(sandbox.cloud, options.role ?? 'member')
  for (const golden of options.golden ?? []) sandbox.cloud.addSnapshot(golden)
  t.onTestFinished(() => sandbox.close())
  return sandbox
}

function aConfig(t: Lifetime, sandbox: Sandbox, url: string, options: TestServiceOptions): Config {
  const folder = mkdtempSync(join(tmpdir(), 'spare-pool-'))
  t.onTestFinished(async () => rmSync(folder, { recursive: true, force: true }))
  const base = {
    server: { port: 0 },
    database: { url },
    secret_file: join(folder, 'secret'),
    openstack: { auth: poolLogin(sandbox.authUrl, options.user), timeout_seconds: options.cloudSeconds ?? 5 },
    pools: POOLS,
    limits: { creating_max: 100, creating_max_per_snapshot: 100 },
    access: { mode: 'none' }
  }
  return parseConfig({ ...base, ...options.config }, {}, 'the test')
}

function handles(service: Service, sandbox: Sandbox, clock: TestClock, url: string, config: Config): TestService {
  const call: TestService['call'] = async (method, path, body, headers = {}) => {
    const payload = body === undefined ? {} : { payload: body as object }
    const sending = service.app.inject({ method, url: path, headers, ...payload })
    const answer = await clock.during(Promise.resolve(sending))
    const parsed = String(answer.headers['content-type']).includes('json') ? answer.json() : answer.body
    assertDocumented(method, path, answer.statusCode, parsed)
    return { status: answer.statusCode, headers: answer.headers, body: parsed }
  }
  const project = (name: string): string => {
    const found = [...sandbox.cloud.projects.values()].find(one => one.name === name)
    assert.ok(found, `no project ${name}`)
    return found.id
  }
  const get = async <T>(path: string): Promise<T> => {
    const { status, body } = await call<T>('GET', path)
    assert.equal(status, 200, JSON.stringify(body))
    return body
  }
  return {
    service,
    sandbox,
    clock,
    url,
    config,
    project,
    call,
    claim: (body = {}, headers = {}) =>
      call('POST', '/pool/claim', { hostname: 'web-01', ...DEBIAN, project_id: project('tenant-a'), ...body }, headers),
    stats: () => get('/pool/stats'),
    spares: async () => (await get<{ volumes: SpareView[] }>('/pool/volumes')).volumes,
    claims: async () => (await get<{ claims: ClaimRecord[] }>('/pool/claims')).claims,
    sync: body => call('POST', '/os/sync', body),
    async fill() {
      for (let tries = 0; tries < 20; tries += 1) {
        const { body } = await call<{ requested: number }>('POST', '/pool/replenish')
        clock.pass(30)
        const check = await call<{ checked: number }>('POST', '/pool/check')
        if (body.requested + check.body.checked === 0) return
      }
      assert.fail('the pools did not fill')
    },
    rows: sql => query(service.db, sql),
    volumes: name => {
      const golden = new Set([...sandbox.cloud.snapshots.values()].map(({ volumeId }) => volumeId))
      const all = [...sandbox.cloud.volumes.of(name === undefined ? undefined : project(name))]
      return all.filter(({ id }) => !golden.has(id))
    }
  }
}
