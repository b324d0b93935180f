/** The cloud that the contract is tested on: the sandbox, or the real one that `test/openstack/up` has brought up. Only this file knows which. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { systemClock } from '../../src/clock.ts'
import { type Environment, type Files, realFiles } from '../../src/openstack/client-files.ts'
import { connect, type OpenStack } from '../../src/openstack/openstack.ts'
import { cloudSettings, type OpenStackConfig } from '../../src/openstack/settings.ts'
import type { Call, Clock, Volume, VolumeFilter, Volumes } from '../../src/pool/ports.ts'
import type { StopSignal } from '../../src/pool/stop.ts'
import { type Delays, PRESETS } from '../../src/sandbox/delays.ts'
import { cloudsYaml, startSandbox } from '../../src/sandbox/server.ts'
import { CLOUDS_YAML, cloudsEntry, ctl } from '../openstack/cloud.ts'
import { type HiddenType, hideType as hideTypeAs, type ProjectQuota, quotaOf } from '../support/administration.ts'
import { eventually } from '../support/eventually.ts'
import { type Body, logIn, type Session } from '../support/session.ts'

export { eventually } from '../support/eventually.ts'
export {
  type Answer,
  assertFault,
  type Body,
  passwordAuth,
  Session,
  send
} from '../support/session.ts'

export interface Test {
  onTestFinished(end: () => Promise<void>): void
}

/** What a test may ask of the cloud besides its own calls. */
interface Ground {
  readonly authUrl: string
  readonly password: string
  /** Where our client finds its clouds.yaml. */
  readonly environment: Environment
  readonly files: Files
  /** Creates, extensions and deletions get no further until the function it gives is called. */
  rest(): Promise<() => Promise<unknown>>
  /** Copies take much longer until the function it gives is called. */
  slowDown(): Promise<() => Promise<unknown>>
  /** What a snapshot holds is lost, though Cinder still lists it: no volume can be made from it any more. */
  spoil(snapshot: Body): Promise<unknown>
}

/** It does everything at once, so that only `rest` and `slowDown` take time. */
async function sandboxGround(): Promise<Ground> {
  const clock = new RestingClock()
  const sandbox = await startSandbox({ clock, delays: 'none' })
  const delayed = async (delays: Partial<Delays>, end: () => void): Promise<() => Promise<void>> => {
    sandbox.cloud.delays = { ...PRESETS.none, ...delays }
    return async () => {
      sandbox.cloud.delays = PRESETS.none
      end()
    }
  }
  return {
    authUrl: sandbox.authUrl,
    password: 'sandbox',
    environment: {},
    files: { home: '/', read: path => (path === 'clouds.yaml' ? cloudsYaml(sandbox) : undefined) },
    rest: () => delayed({ creating: 1, creating_empty: 1, extending: 1, deleting: 1, snapshotting: 1 }, clock.rest()),
    slowDown: () => delayed({ creating: 800 }, () => undefined),
    spoil: async () => sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
  }
}

/** The machine's time, but whoever sleeps does not wake while it rests. */
class RestingClock implements Clock {
  #awake: Promise<void> = Promise.resolve()

  now(): Date {
    return new Date()
  }

  monotonicMs(): number {
    return performance.now()
  }

  async sleep(ms: number, signal?: StopSignal): Promise<void> {
    await systemClock.sleep(ms, signal)
    await this.#awake
  }

  timeout(ms: number): AbortSignal {
    return AbortSignal.timeout(ms)
  }

  limit(ms: number, onLimit: (reason: Error) => void): () => void {
    return systemClock.limit(ms, onLimit)
  }

  every(ms: number, act: () => Promise<void>): () => void {
    return systemClock.every(ms, act)
  }

  rest(): () => void {
    let wake: (() => void) | undefined
    this.#awake = new Promise(resolve => {
      wake = resolve
    })
    return () => wake?.()
  }
}

/** Each operation of the OSD takes that much longer. */
const SLOW_MS = 10

async function realGround(): Promise<Ground> {
  const { authUrl, password } = cloudsEntry('pool-svc')
  return {
    authUrl,
    password,
    environment: { OS_CLIENT_CONFIG_FILE: CLOUDS_YAML },
    files: realFiles,
    rest: async () => {
      await ctl('pause', 'cinder-volume')
      return () => ctl('resume', 'cinder-volume')
    },
    slowDown: async () => {
      await ctl('slow', String(SLOW_MS))
      return () => ctl('slow', '0')
    },
    spoil: async ({ id, volume_id: volumeId }) => {
      const image = `volumes-ssd/volume-${volumeId}@snapshot-${id}`
      await ctl('rbd', 'snap', 'unprotect', image)
      await ctl('rbd', 'snap', 'rm', '--no-progress', image)
    }
  }
}

/** One for all files of a worker, as the real one is. */
const ground = await (process.env['CONTRACT_CLOUD'] === 'openstack' ? realGround() : sandboxGround())

// ---- Who there is ---------------------------------------------------------------------------------------------------

export const { authUrl, password } = ground

export const loginAs = (user: string, project: string): Promise<Session> => logIn({ authUrl, user, password, project })

/** The pool's user, those of two tenants, and an administrator in the pool's project. */
export const [pool, tenant, rival, admin] = await Promise.all([
  loginAs('pool-svc', 'pool'),
  loginAs('tenant-a-user', 'tenant-a'),
  loginAs('tenant-b-user', 'tenant-b'),
  loginAs('admin', 'pool')
])

/** The service's own way into the cloud, as one of its users. */
export const clientOf = (t: Test, user: string): OpenStack => clientWith(t, { cloud: user })

export function clientWith(t: Test, config: OpenStackConfig): OpenStack {
  const { environment, files } = ground
  const settings = cloudSettings(config, environment, files)
  const client = connect({ settings, clock: new RestingClock() })
  t.onTestFinished(() => client.close())
  return client
}

export const CALL: Call = { requestId: 'req-00000000-0000-4000-8000-00000000c0de' }

/** All pages. */
export async function listed(volumes: Volumes, filter: VolumeFilter): Promise<Volume[]> {
  const all: Volume[] = []
  for await (const page of volumes.pages(filter, CALL)) all.push(...page)
  return all
}

// ---- What there is, while a test runs ------------------------------------------------------------------------------

export const NOBODY = '00000000-0000-4000-8000-000000000000'

/** Of this run only, so that nothing left over from another disturbs. */
export const unique = (name: string): string => `${name}-${randomBytes(4).toString('hex')}`

/** A snapshot of the pool's with a system on it, as the operator uploaded it. */
export async function golden(): Promise<Body> {
  const { snapshots } = await pool.get('/snapshots/detail?name=debian12_ssd_20261101')
  assert.ok(snapshots[0], 'there is no golden snapshot')
  return snapshots[0]
}

/** An empty volume unless the wish names a source; still `creating`. Gone when the test is over. */
export async function newVolume(t: Test, owner: Session, wish: object = {}): Promise<Body> {
  const volume = await owner.create({ name: unique('disk'), ...wish })
  t.onTestFinished(() => discard(volume.id))
  return volume
}

/** The same, `available`. */
export async function aVolume(t: Test, owner: Session, wish: object = {}): Promise<Body> {
  return await becomes(owner, (await newVolume(t, owner, wish)).id, 'available')
}

/** A snapshot, `available`; gone when the test is over. */
export async function aSnapshot(t: Test, owner: Session, volumeId: string, wish: object = {}): Promise<Body> {
  const snapshot = { volume_id: volumeId, name: unique('snapshot'), ...wish }
  const made = await owner.call('POST', '/snapshots', { snapshot })
  assert.equal(made.status, 202, made.text)
  const { id } = made.body.snapshot
  t.onTestFinished(() => discardSnapshot(id))
  return await eventually(`snapshot ${id} becomes available`, async () => {
    const shown = (await owner.get(`/snapshots/${id}`)).snapshot
    return shown.status === 'available' && shown
  })
}

/** A volume and its transfer. */
export async function anArmedVolume(t: Test, owner: Session, more: object = {}): Promise<Body> {
  const { id } = await aVolume(t, owner)
  return await owner.arm(id, { name: unique('transfer'), ...more })
}

export async function shown(owner: Session, volumeId: string): Promise<Body> {
  return (await owner.get(`/volumes/${volumeId}`)).volume
}

export async function becomes(owner: Session, volumeId: string, status: string): Promise<Body> {
  return await eventually(`volume ${volumeId} becomes ${status}`, async () => {
    const volume = await shown(owner, volumeId)
    return volume.status === status && volume
  })
}

export async function vanishes(path: string): Promise<void> {
  await eventually(`${path} is gone`, async () => (await admin.call('GET', path)).status === 404)
}

/** Whoever has it, and whatever its status has become. */
export async function discard(volumeId: string): Promise<void> {
  const isGone = async (): Promise<boolean> => (await admin.call('GET', `/volumes/${volumeId}`)).status === 404
  await eventually(`volume ${volumeId} is gone`, async () => {
    if (await isGone()) return true
    const { status } = await shown(admin, volumeId)
    if (['creating', 'deleting', 'extending'].includes(status)) return false
    await admin.action(volumeId, 'os-force_delete')
    return await isGone()
  })
}

async function discardSnapshot(id: string): Promise<void> {
  await admin.call('DELETE', `/snapshots/${id}`)
  await vanishes(`/snapshots/${id}`)
}

// ---- What an administrator sets ------------------------------------------------------------------------------------

/** What sets limits of a project, until the test is over. */
export async function limiterOf(t: Test, project: Session): Promise<ProjectQuota['limit']> {
  const { limit, undo } = await quotaOf(admin, project)
  t.onTestFinished(undo)
  return limit
}

/** How much a project has of what is limited. */
export async function usageOf(session: Session): Promise<{ volumes: number; gigabytes: number }> {
  const { absolute } = (await session.get('/limits')).limits
  return { volumes: absolute.totalVolumesUsed, gigabytes: absolute.totalGigabytesUsed }
}

/** A volume type that only the pool may use, until the test is over. */
export async function hideType(t: Test, name: string): Promise<HiddenType> {
  const type = await hideTypeAs(admin, name)
  t.onTestFinished(type.undo)
  await type.show(pool)
  return type
}

// ---- How the cloud itself fares ------------------------------------------------------------------------------------

/** Whatever is asked for meanwhile stays on its way: what is seen then does not depend on anybody's speed. */
export async function whileWorkRests<T>(look: () => Promise<T>): Promise<T> {
  const resume = await ground.rest()
  try {
    return await look()
  } finally {
    await resume()
  }
}

/** Copies take much longer than a look at them, until the test is over. */
export async function slowly(t: Test): Promise<void> {
  const end = await ground.slowDown()
  t.onTestFinished(async () => void (await end()))
}

export const spoil = (snapshot: Body): Promise<unknown> => ground.spoil(snapshot)
