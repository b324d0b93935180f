/** What tests of the contract ask of the cloud, whichever it is. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connect, type OpenStack } from '../../src/openstack/openstack.ts'
import { cloudSettings, type OpenStackConfig } from '../../src/openstack/settings.ts'
import type { Call, Volume, VolumeFilter, Volumes } from '../../src/pool/ports.ts'
import { type HiddenType, hideType as hideTypeAs, type ProjectQuota, quotaOf } from '../support/administration.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, assertFault, type Body, logIn, type Session } from '../support/session.ts'
import { ground, RestingClock } from './grounds.ts'

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

// ---- Who there is ---------------------------------------------------------------------------------------------------

export const { authUrl, password } = ground

/** What the release of the cloud does in its own way. A test says which of it it depends on, and what holds without. */
export const { traits, storageTypes } = ground

/** N of the microversion 3.N that the cloud is asked for: the pinned one, or the newest that is of use. */
export const asked =
  ground.volumeApiVersion === 'auto'
    ? Math.min(traits.maxMinor, 60)
    : Number(ground.volumeApiVersion.replace(/^3\./, ''))

/** Where transfers are, at the microversion that the cloud is asked for. */
export const TRANSFERS = asked < 55 ? '/os-volume-transfer' : '/volume-transfers'

export async function loginAs(user: string, project: string): Promise<Session> {
  const session = await logIn({ authUrl, user, password, project })
  return Object.assign(session, { minor: asked, transfersPath: TRANSFERS })
}

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
  const { environment, files, volumeApiVersion: volume_api_version } = ground
  const settings = cloudSettings({ volume_api_version, ...config }, environment, files)
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

/** By the middleware in front of Cinder. */
export function assertUnauthenticated(answer: Answer): void {
  const message = 'The request you have made requires authentication.'
  if (!traits.refusesTokensInPlainText) assertFault(answer, 401, 'error', message)
  else assert.deepEqual([answer.status, answer.body, answer.text], [401, undefined, 'Authentication required'])
}

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
