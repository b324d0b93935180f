/** Settings in which promises were broken before: an admin as the service's user, no transfer that guards, callers without quota. */
import assert from 'node:assert/strict'
import { beforeAll, beforeEach, describe, it, type TestContext } from 'vitest'
import { newId } from '../../src/clock.ts'
import { ctl } from '../openstack/cloud.ts'
import { settled } from '../openstack/golden.ts'
import { quotaOf } from '../support/administration.ts'
import { takeBackup } from '../support/backup.ts'
import { eventually } from '../support/eventually.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import type { Body, Session } from '../support/session.ts'
import { audit } from './audit.ts'
import {
  aRealProcess,
  aRealService,
  assertProblem,
  given,
  people,
  type RealPool,
  type RealService,
  withPoolRole
} from './support.ts'
import { allTransfers, allVolumes } from './sweep.ts'

const NEVER = '0 0 0 1 1 *'
/** Reconciles when it is told to. */
const settings = (target: number, claims: object = {}): Record<string, unknown> => ({
  pools: [{ os: 'debian12', type: 'ssd', target }],
  ticks: { replenish: '*/2 * * * * *', check_state: '* * * * * *', reconcile: NEVER },
  claims
})

async function reconcile(real: RealPool): Promise<void> {
  const { status, text } = await real.call(real.admin, 'POST', '/pool/reconcile')
  assert.equal(status, 200, text)
}

/** What reconcile sees for the first time it leaves alone. */
async function reconcileTwice(real: RealPool): Promise<void> {
  await reconcile(real)
  await reconcile(real)
}

const spares = async (real: RealPool): Promise<Body[]> =>
  (await real.call(real.admin, 'GET', '/pool/volumes')).body.volumes

const stock = async (real: RealPool): Promise<string[]> =>
  (await spares(real)).map(({ volume_id: id }) => id as string).toSorted()

/** As an administrator sees them, to the last field. */
const looksOf = async (real: RealPool, ids: readonly string[]): Promise<Body[]> =>
  await Promise.all(ids.map(async id => (await real.admin.get(`/volumes/${id}`)).volume))

const usageOf = async (admin: Session, { projectId }: Session): Promise<Body> =>
  (await admin.get(`/os-quota-sets/${projectId}?usage=true`)).quota_set

const projectOf = (volume: Body): string => volume['os-vol-tenant-attr:tenant_id']

const assertDisjoint = (some: readonly string[], others: readonly string[]): void =>
  assert.deepEqual(
    some.filter(id => others.includes(id)),
    []
  )

describe("the service, as an admin in the pool's project, is killed in the middle of accepts", () => {
  it('and takes back no disk that they have given', async t => {
    await withPoolRole(t, await people(), 'admin')
    const real = await aRealProcess(t, settings(3))
    const { admin, tenantA, tenantB, apiServer } = real
    await real.full()
    const before = await stock(real)
    const toB = { hostname: 'named', project_id: tenantB.projectId }
    await underAccept(
      t,
      real,
      [tenantA, tenantB],
      [() => real.claim(tenantA, { hostname: 'own' }), () => real.claim(apiServer, toB)]
    )
    const moved = await eventually<string[]>('Cinder has moved both', async () => {
      const volumes = (await allVolumes(admin)).filter(({ id }) => before.includes(id))
      const [own, named] = [tenantA, tenantB].map(({ projectId }) => volumes.find(one => projectOf(one) === projectId))
      return own && named && [own.id, named.id]
    })
    await real.process.start()
    await reconcile(real)
    assert.deepEqual(await disksOf(real, tenantA, tenantB), moved)
    const again = given(await real.served(tenantA, { hostname: 'own' }))
    assert.deepEqual(again, { status: 200, source: 'pool', volumeId: moved[0] })
    await eventually('reconcile has settled the other one', async () => {
      await reconcile(real)
      const { claims } = (await real.call(admin, 'GET', '/pool/claims')).body
      return claims.every(({ status }: Body) => status === 'available')
    })
    const named = given(await real.claim(apiServer, toB))
    assert.deepEqual(named, { status: 200, source: 'pool', volumeId: moved[1] })
    assert.deepEqual(await disksOf(real, tenantA, tenantB), moved)
    await reconcileTwice(real)
    assertDisjoint(await stock(real), moved)
    assertDisjoint(
      (await allTransfers(admin)).map(({ volume_id: id }) => id),
      moved
    )
    const other = given(await real.claim(tenantB, { hostname: 'own' }))
    assertDisjoint([other.volumeId], moved)
    await real.full()
    await audit(real)
  })
})

/** Kills the service while Cinder is at the accepts of these claims, which it carries out all the same. */
async function underAccept(
  t: TestContext,
  { admin, process }: Pick<Awaited<ReturnType<typeof aRealProcess>>, 'admin' | 'process'>,
  projects: readonly Session[],
  claims: readonly (() => Promise<unknown>)[]
): Promise<void> {
  const resume = (): Promise<string> => ctl('resume', 'cinder-volume')
  t.onTestFinished(async () => void (await resume()))
  await ctl('pause', 'cinder-volume')
  const answers = Promise.allSettled(claims.map(claim => claim()))
  // It reserves what a disk takes of its project's quota, and then has cinder-volume do it.
  await eventually('Cinder is at the accepts', async () => {
    const usages = await Promise.all(projects.map(project => usageOf(admin, project)))
    return usages.every(({ volumes }) => volumes.reserved > 0)
  })
  await process.kill()
  await resume()
  assert.ok((await answers).every(({ status }) => status === 'rejected'))
}

/** The one disk that each has, which bears its claim's name and nothing of ours. */
async function disksOf({ admin }: RealPool, own: Session, named: Session): Promise<string[]> {
  const volumes = await allVolumes(admin)
  return [[own, 'own_sys'] as const, [named, 'named_sys'] as const].flatMap(([{ projectId }, name]) => {
    const its = volumes.filter(volume => projectOf(volume) === projectId)
    assert.deepEqual(
      its.map(volume => [volume.name, volume.status, volume.metadata]),
      [[name, 'available', {}]]
    )
    return its.map(({ id }) => id as string)
  })
}

/** Takes a volume as Nova does, in each way that it has or had; frees it when the test ends. */
const TAKERS = {
  'in-use': async (admin: Session, id: string): Promise<() => Promise<unknown>> => {
    const wish = { instance_uuid: newId(), mountpoint: '/dev/vda', mode: 'rw' }
    assert.equal((await admin.action(id, 'os-attach', wish)).status, 202)
    const { volume } = await admin.get(`/volumes/${id}`)
    return () => admin.action(id, 'os-detach', { attachment_id: volume.attachments[0].attachment_id })
  },
  attaching: async (admin: Session, id: string): Promise<() => Promise<unknown>> => {
    assert.equal((await admin.action(id, 'os-reserve')).status, 202)
    return () => admin.action(id, 'os-unreserve')
  },
  reserved: async (admin: Session, id: string): Promise<() => Promise<unknown>> => {
    const wish = { attachment: { volume_uuid: id, instance_uuid: newId() } }
    const { status, body, text } = await admin.call('POST', '/attachments', wish)
    assert.equal(status, 200, text)
    return () => admin.call('DELETE', `/attachments/${body.attachment.id}`)
  }
} as const
type Taker = keyof typeof TAKERS

async function taken(t: TestContext, { admin }: RealPool, how: Taker, id: string): Promise<void> {
  const free = await TAKERS[how](admin, id)
  t.onTestFinished(async () => void (await free()))
  await eventually(`it is ${how}`, async () => (await admin.get(`/volumes/${id}`)).volume.status === how)
}

/** Nothing is refilled, so that what is in stock is all that there is. */
const paused = (real: RealPool): Promise<unknown> => real.call(real.admin, 'POST', '/pool/pause')
const resumed = (real: RealPool): Promise<unknown> => real.call(real.admin, 'POST', '/pool/resume')

/** Claims one after the other, each of them served from stock. */
async function fromStock(real: RealService, who: Session, ...hostnames: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const hostname of hostnames) {
    const { source, volumeId } = given(await real.claim(who, { hostname }))
    assert.equal(source, 'pool')
    ids.push(volumeId)
  }
  return ids
}

/**
 * Gives disks out, forgets it by a backup of before, and claims again at once, until nothing is left: what was given, and what
 * somebody has taken out of the stock, stays as it is.
 */
async function keepsOff(t: TestContext, real: RealService, who: Session, takers: readonly Taker[]): Promise<void> {
  await real.full()
  await paused(real)
  const restore = await takeBackup(real.service.db)
  const earlier = await fromStock(real, who, 'first', 'second')
  const left = await stock(real)
  const occupied = left.splice(0, takers.length)
  const [first = ''] = earlier
  await taken(t, real, 'in-use', first)
  for (const [index, how] of takers.entries()) await taken(t, real, how, occupied[index] ?? '')
  const others = [...earlier, ...occupied]
  const before = await looksOf(real, others)
  await restore()
  const later = await fromStock(real, who, ...left.map((_, index) => `later-${index}`))
  assert.deepEqual(later.toSorted(), left)
  const miss = given(await real.claim(who, { hostname: 'last' }))
  assert.deepEqual([miss.status, miss.source], [202, 'created'])
  assert.equal(given(await real.served(who, { hostname: 'last' })).volumeId, miss.volumeId)
  await audit(real, others)
  await reconcileTwice(real)
  assert.deepEqual(await looksOf(real, others), before)
  await resumed(real)
}

describe.for([
  ['handover: rename', { handover: 'rename' }, ['in-use', 'attaching']],
  ['prearm: false', { prearm: false }, ['in-use', 'reserved']]
] as const)("with %s, where no transfer guards a hand-over within the pool's project,", ([, claims, takers]) => {
  it('hands out no spare that somebody has taken, and nobody a disk that was given since a backup', async t => {
    const real = await aRealService(t, settings(5, claims))
    await keepsOff(t, real, real.pool, takers)
  })
})

describe('the stock, with transfers made ahead of time,', () => {
  const lifetime = whileTestsRun()
  let real: RealService
  beforeAll(async () => {
    real = await aRealService(lifetime, settings(4))
  })
  beforeEach(() => real.full())

  /** Whatever is refused: the same stock, all of it as large as it was, and nothing made. */
  async function costsNothing(refused: () => Promise<void>): Promise<void> {
    const seen = async (): Promise<unknown> => ({
      stock: await stock(real),
      usage: await usageOf(real.admin, real.pool),
      volumes: (await allVolumes(real.admin)).map(({ id, size, status }) => `${id} ${size} ${status}`).toSorted()
    })
    await paused(real) // A spare that a claim only has in hand for a moment may be refilled as if it were gone.
    const before = await seen()
    await refused()
    assert.deepEqual(await seen(), before)
    await reconcileTwice(real)
    await resumed(real)
    await real.full()
    assert.deepEqual(await seen(), before)
    await audit(real)
  }

  it("loses nothing to a size beyond its project's quota, for which nothing is extended or made", async t => {
    const { admin, tenantB } = real
    const quota = await quotaOf(admin, tenantB)
    t.onTestFinished(quota.undo)
    await quota.limit({ gigabytes: (await usageOf(admin, tenantB))['gigabytes'].in_use + 2 })
    await costsNothing(async () => {
      for (const os of ['debian12', 'windows2022']) {
        // Of windows2022 there is no spare.
        for (const size of [3, 4_000]) {
          const answer = await real.claim(tenantB, { os, size, hostname: `large-${size}` })
          assertProblem(answer, 403, 'quota_exceeded', /gigabytes/)
        }
      }
      const asked = await real.call(admin, 'GET', '/metrics')
      assert.doesNotMatch(asked.text, /operation="volume_extend"/)
    })
  })

  it('loses nothing to a name that Cinder cannot hold', async () => {
    const { tenantA } = real
    await costsNothing(async () => {
      for (const hostname of ['\u{1f600}-01', 'db-\u{1f600}']) {
        assertProblem(await real.claim(tenantA, { hostname }), 400, 'invalid_request', /hostname/)
      }
    })
  })

  it('is kept from a fault that is real: Cinder itself fails at such a name', async t => {
    const { tenantA } = real
    const { id, name } = await tenantA.create({ name: 'by hand' })
    t.onTestFinished(async () => void (await tenantA.call('DELETE', `/volumes/${id}`)))
    await settled(tenantA, 'volume', id)
    const { status, body } = await tenantA.call('PUT', `/volumes/${id}`, { volume: { name: '\u{1f600}-01_sys' } })
    assert.deepEqual([status, Object.keys(body)], [500, ['computeFault']])
    assert.equal((await tenantA.get(`/volumes/${id}`)).volume.name, name)
  })

  it('gives nobody a disk that was given since, after an older backup came back', async t => {
    await keepsOff(t, real, real.tenantA, [])
  })
})
