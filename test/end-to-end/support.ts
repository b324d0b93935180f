/** The whole service on the real cloud: its own ticks, its own port, a database of its own, and everyone logged in. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { stringify } from 'yaml'
import { newId } from '../../src/clock.ts'
import { parseConfig } from '../../src/config/config.ts'
import type { Config } from '../../src/config/schema.ts'
import type { StatsView } from '../../src/http/schemas.ts'
import { type Service, startService } from '../../src/service.ts'
import { cloudsEntry, loggedIn } from '../openstack/cloud.ts'
import { ServiceProcess } from '../processes/service-process.ts'
import { aDatabaseAddress } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, type Body, type Session, send } from '../support/session.ts'
import { sweep } from './sweep.ts'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** Everyone who has to do with it. */
export interface People {
  /** Administrator of the cloud, in the pool's project. */
  readonly admin: Session
  /** The service's own user, in the pool's project. */
  readonly pool: Session
  readonly tenantA: Session
  readonly tenantB: Session
  /** The main API server: role `service` in a project of its own. */
  readonly apiServer: Session
}

/** A service on the real cloud, in this process or in one of its own. */
export interface RealPool extends People {
  readonly config: Config
  /** A call to the service with somebody's token. */
  call(
    who: { token: string } | undefined,
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object
  ): Promise<Answer>
  /** A claim of a debian12 disk on ssd, unless it says otherwise. */
  claim(who: { token: string }, body: object): Promise<Answer>
  stats(): Promise<StatsView>
  /** Repeats a claim until it is given its disk. */
  served(who: { token: string }, body: object): Promise<Answer>
  /** Waits until every pool holds its target, nothing is on its way, and nothing is left to delete. */
  full(secondsMax?: number): Promise<void>
}

export interface RealService extends RealPool {
  readonly service: Service
}

export interface RealProcess extends RealPool {
  readonly process: ServiceProcess
}

/** The microversion that the service asks this cloud for, `3.N`: what an older one offers. Default: what suits it best. */
export const API_VERSION = process.env['END_TO_END_API_VERSION'] ?? 'auto'

/** Small, so that it fills in seconds, and quick to notice. */
export const configFor = (databaseUrl: string, folder: string): Record<string, unknown> => {
  const { authUrl, user, password, project } = cloudsEntry('pool-svc')
  return {
    deployment: `test-${newId().slice(0, 8)}`,
    server: { port: 0 },
    database: { url: databaseUrl },
    secret_file: join(folder, 'secret'),
    openstack: {
      auth: {
        auth_url: authUrl,
        username: user,
        password,
        project_name: project,
        user_domain_name: 'Default',
        project_domain_name: 'Default'
      },
      volume_api_version: API_VERSION
    },
    pools: [
      { os: 'debian12', type: 'ssd', target: 3 },
      { os: 'windows2022', type: 'ssd', target: 1 }
    ],
    ticks: { replenish: '*/2 * * * * *', check_state: '* * * * * *', reconcile: '*/5 * * * * *' },
    access: { mode: 'keystone' }
  }
}

export async function people(): Promise<People> {
  const [admin, pool, tenantA, tenantB, apiServer] = await Promise.all(
    ['admin', 'pool-svc', 'tenant-a-user', 'tenant-b-user', 'cld-api-server'].map(user => loggedIn(user))
  )
  assert.ok(admin && pool && tenantA && tenantB && apiServer)
  return { admin, pool, tenantA, tenantB, apiServer }
}

type Changes = Readonly<Record<string, unknown>>

/** Nothing but golden disks is in the cloud before it and after it. */
async function ground(t: Lifetime, changes: Changes) {
  const folder = mkdtempSync(join(tmpdir(), 'spare-pool-'))
  t.onTestFinished(async () => rmSync(folder, { recursive: true, force: true }))
  const everyone = await people()
  await sweep(everyone.admin)
  const { url: databaseUrl } = await aDatabaseAddress(t)
  t.onTestFinished(async () => await sweep(await loggedIn('admin'))) // Its token may have been revoked meanwhile.
  const document = { ...configFor(databaseUrl, folder), ...changes }
  return { everyone, folder, document, config: parseConfig(structuredClone(document), {}, 'the test') }
}

export async function aRealService(t: Lifetime, changes: Changes = {}): Promise<RealService> {
  const { everyone, config } = await ground(t, changes)
  const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' })
  const service = await startService({ config, env: {}, log })
  t.onTestFinished(() => service.stop())
  return { ...everyone, service, config, ...callsTo(service, everyone.admin) }
}

/** A process of its own, to be killed. */
export async function aRealProcess(t: Lifetime, changes: Changes = {}): Promise<RealProcess> {
  const { everyone, folder, document, config } = await ground(t, changes)
  const file = join(folder, 'config.yaml')
  writeFileSync(file, stringify(document))
  const process = new ServiceProcess(t, file)
  await process.start()
  return { ...everyone, process, config, ...callsTo(process, everyone.admin) }
}

/** Wherever it can be reached now. */
function callsTo(
  service: { readonly url: string | undefined },
  admin: Session
): Pick<RealPool, 'call' | 'claim' | 'served' | 'stats' | 'full'> {
  const call: RealPool['call'] = (who, method, path, body) =>
    send(method, `${service.url}${path}`, { 'x-auth-token': who?.token }, body)
  const stats = async (): Promise<StatsView> => {
    const { status, body, text } = await call(admin, 'GET', '/pool/stats')
    assert.equal(status, 200, text)
    return body
  }
  const claim: RealPool['claim'] = (who, body) =>
    call(who, 'POST', '/pool/claim', { os: 'debian12', type: 'ssd', ...body })
  return {
    call,
    claim,
    served: (who, body) =>
      eventually('the claim is served', async () => {
        const answer = await claim(who, body)
        return answer.status === 200 && answer
      }),
    stats,
    async full(secondsMax = 180) {
      let last = ''
      const isFull = async (): Promise<boolean> => {
        const { pools } = await stats()
        last = JSON.stringify(
          pools.map(({ os, condition, spares, last_error }) => ({ os, condition, spares, last_error }))
        )
        return pools.every(
          ({ condition, spares: { available, ...others } }) =>
            condition === 'full' && available && Object.values(others).every(count => count === 0)
        )
      }
      await eventually('all pools are full', isFull, secondsMax).catch((error: Error) => {
        throw new Error(`${error.message}; ${last}`, { cause: error })
      })
    }
  }
}

/** Gives the service's user a role in the pool's project besides what it has, until the test ends. */
export async function withPoolRole(t: Lifetime, { admin, pool }: People, name: string): Promise<void> {
  const { roles } = (await admin.keystone('GET', '/roles')).body
  const { id } = roles.find((role: Body) => role.name === name)
  const change = async (method: 'PUT' | 'DELETE'): Promise<void> => {
    const path = `/projects/${pool.projectId}/users/${pool.userId}/roles/${id}`
    const { status, text } = await admin.keystone(method, path)
    assert.equal(status, 204, text)
  }
  t.onTestFinished(() => change('DELETE'))
  await change('PUT')
}

/** The members of an answer that say what was given. */
export function given({ status, body, text }: Answer): { status: number; source: string; volumeId: string } {
  assert.ok(status === 200 || status === 202, text)
  return { status, source: body.source, volumeId: body.volume_id }
}

export function assertProblem(answer: Answer, status: number, code: string, detail: RegExp): void {
  assert.deepEqual([answer.status, answer.body.code], [status, code], answer.text)
  assert.match(answer.body.detail, detail)
}
