import assert from 'node:assert/strict'
import { afterEach, beforeAll, beforeEach, describe, it } from 'vitest'
import { ctl } from '../openstack/cloud.ts'
import { settled, snapshotOf } from '../openstack/golden.ts'
import { hideType, quotaOf } from '../support/administration.ts'
import { eventually } from '../support/eventually.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import type { Body, Session } from '../support/session.ts'
import { audit } from './audit.ts'
import { aRealService, assertProblem, given, type RealService } from './support.ts'
import { allVolumes } from './sweep.ts'

const lifetime = whileTestsRun()
let real: RealService
/** Volumes that tests have made by hand. */
const foreign: string[] = []

beforeAll(async () => {
  real = await aRealService(lifetime)
})
beforeEach(() => real.full())
afterEach(async () => {
  await real.full()
  await audit(real, foreign)
})

const shown = async (who: Session, id: string): Promise<Body> => (await who.get(`/volumes/${id}`)).volume

const inUse = async (project: Session, resource: string): Promise<number> =>
  (await project.get(`/os-quota-sets/${project.projectId}?usage=true`)).quota_set[resource].in_use

describe('the stock on a real cloud', () => {
  it('is made of flattened volumes that wait in a transfer each', async () => {
    const { volumes } = (await real.call(real.admin, 'GET', '/pool/volumes')).body
    assert.equal(volumes.length, 4)
    for (const spare of volumes) {
      const volume = await shown(real.pool, spare.volume_id)
      assert.deepEqual([volume.status, volume.bootable, spare.armed], ['awaiting-transfer', 'true', true])
      const image = JSON.parse(await ctl('rbd', 'info', '--format', 'json', `volumes-ssd/volume-${volume.id}`))
      assert.equal(image.parent, undefined)
    }
  })

  it('is read from the snapshots by a sync', async () => {
    const { status, body } = await real.call(real.admin, 'POST', '/os/sync', { purge: 'none' })
    assert.equal(status, 200)
    const images = body.images.map((one: Body) => [one.os, one.type, one.volume_type, one.version, one.size])
    for (const image of [
      ['debian12', 'ssd', 'ceph-ssd', '20261101', 1],
      ['debian12', 'sas', 'ceph-sas', '20261101', 1],
      ['windows2022', 'ssd', 'ceph-ssd', '20261101', 1]
    ]) {
      assert.ok(
        images.some((one: unknown) => JSON.stringify(one) === JSON.stringify(image)),
        JSON.stringify(images)
      )
    }
  })
})

describe('a claim on a real cloud', () => {
  it("with the tenant's own token gives it a spare that is wholly its own, and again the same one", async () => {
    const first = await real.claim(real.tenantA, { hostname: 'own' })
    assert.deepEqual([first.status, first.body.source, first.body.status], [200, 'pool', 'available'], first.text)
    const volume = await shown(real.tenantA, first.body.volume_id)
    assert.deepEqual(
      [volume.name, volume.status, volume.metadata, volume.bootable, volume.volume_type],
      ['own_sys', 'available', {}, 'true', 'ceph-ssd']
    )
    assert.equal(volume.user_id, real.tenantA.userId)
    const again = await real.claim(real.tenantA, { hostname: 'own' })
    assert.deepEqual(again.body, first.body)
  })

  it("for a project that is named is accepted by the service's user", async () => {
    const { body } = await real.claim(real.apiServer, { hostname: 'named', project_id: real.tenantB.projectId })
    assert.equal(body.source, 'pool')
    const volume = await shown(real.tenantB, body.volume_id)
    assert.deepEqual([volume.name, volume.user_id], ['named_sys', real.pool.userId])
  })

  it('into the pool itself only renames', async () => {
    const { body } = await real.claim(real.pool, { hostname: 'here' })
    const volume = await shown(real.pool, body.volume_id)
    assert.deepEqual([body.source, volume.name, volume.status, volume.metadata], ['pool', 'here_sys', 'available', {}])
  })

  it('finds the volume of that name that is there already', async () => {
    const { id } = await real.tenantA.create({ name: 'mine_sys', volume_type: 'ceph-ssd' })
    foreign.push(id)
    await settled(real.tenantA, 'volume', id)
    const blank = await real.claim(real.tenantA, { hostname: 'mine' })
    assert.deepEqual([blank.status, blank.body.code], [409, 'existing_volume_unusable'])
    await real.tenantA.action(id, 'os-set_bootable', { bootable: true })
    await real.full() // No refill of an earlier claim comes between the two counts.
    const before = (await allVolumes(real.admin)).length
    assert.deepEqual(given(await real.claim(real.tenantA, { hostname: 'mine' })), {
      status: 200,
      source: 'existing',
      volumeId: id
    })
    assert.equal((await allVolumes(real.admin)).length, before)
  })

  it('for a larger disk is given one, extended before it is handed over', async () => {
    const used = await inUse(real.tenantB, 'gigabytes')
    const { body } = await real.claim(real.tenantB, { hostname: 'large', size: 3 })
    assert.deepEqual([body.source, body.size], ['pool', 3])
    const volume = await shown(real.tenantB, body.volume_id)
    assert.deepEqual([volume.status, volume.size], ['available', 3])
    assert.equal(await inUse(real.tenantB, 'gigabytes'), used + 3)
  })

  it("over the tenant's quota is refused in Cinder's words, and its spare goes back", async () => {
    for (const [resource, words] of [
      ['volumes', /Maximum number of volumes allowed/],
      ['gigabytes', /exceeds allowed gigabytes quota/]
    ] as const) {
      const quota = await quotaOf(real.admin, real.tenantB)
      await quota.limit({ [resource]: await inUse(real.tenantB, resource) })
      try {
        assertProblem(await real.claim(real.tenantB, { hostname: `over-${resource}` }), 403, 'quota_exceeded', words)
      } finally {
        await quota.undo()
      }
      await real.full()
      await audit(real, foreign)
      assert.equal(given(await real.claim(real.tenantB, { hostname: `over-${resource}` })).source, 'pool')
    }
  })

  it('for a larger disk than the quota allows leaves no extended spare in stock', async () => {
    const quota = await quotaOf(real.admin, real.tenantB)
    await quota.limit({ gigabytes: (await inUse(real.tenantB, 'gigabytes')) + 2 })
    try {
      const answer = await real.claim(real.tenantB, { hostname: 'too-large', size: 3 })
      assertProblem(answer, 403, 'quota_exceeded', /takes 3 of gigabytes, and 2 are left/)
    } finally {
      await quota.undo()
    }
    await real.full()
    for (const { size } of (await real.call(real.admin, 'GET', '/pool/volumes')).body.volumes) assert.equal(size, 1)
    for (const { size, name } of await allVolumes(real.admin)) if (name.startsWith('spare-')) assert.equal(size, 1)
  })

  it('of a volume type that is hidden from the project is refused, and its spare goes back', async () => {
    const type = await hideType(real.admin, 'ceph-ssd')
    try {
      await type.show(real.pool)
      const answer = await real.claim(real.tenantA, { hostname: 'hidden' })
      assertProblem(answer, 422, 'volume_type_hidden', /Volume type .* could not be found/)
    } finally {
      await type.undo()
    }
    await real.full()
    await audit(real, foreign)
    assert.equal(given(await real.claim(real.tenantA, { hostname: 'hidden' })).source, 'pool')
  })

  it('that finds no spare has a disk made, and a repeat is given the same one', async () => {
    const windows = { os: 'windows2022' }
    await real.call(real.admin, 'POST', '/pool/pause', { os: 'windows2022', type: 'ssd' })
    try {
      assert.equal(given(await real.claim(real.tenantA, { ...windows, hostname: 'win-1' })).source, 'pool')
      const empty = await real.claim(real.tenantA, { ...windows, hostname: 'win-2', on_empty: 'fail' })
      assertProblem(empty, 503, 'pool_empty', /No spare of windows2022 on ssd/)
      assert.ok(Number(empty.headers['retry-after']) > 0)
      const waited = await real.claim(real.tenantA, { ...windows, hostname: 'win-2', wait_seconds: 60 })
      assert.deepEqual(
        [waited.status, waited.body.source, waited.body.miss_reason, waited.body.status],
        [200, 'created', 'empty', 'available']
      )
      const asked = given(await real.claim(real.tenantA, { ...windows, hostname: 'win-3' }))
      assert.deepEqual([asked.status, asked.source], [202, 'created'])
      const done = given(await real.served(real.tenantA, { ...windows, hostname: 'win-3' }))
      assert.deepEqual(done, { ...asked, status: 200 })
      assert.equal((await shown(real.tenantA, done.volumeId)).name, 'win-3_sys')
    } finally {
      await real.call(real.admin, 'POST', '/pool/resume', { os: 'windows2022', type: 'ssd' })
    }
  })

  it('one of eight at once, of three spares, is given a disk of its own', async () => {
    // Of two projects: five misses are more than one may have on its way.
    const callers = Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? real.tenantA : real.tenantB))
    const answers = await Promise.all(
      callers.map((caller, index) => real.claim(caller, { hostname: `rush-${index}`, wait_seconds: 60 }))
    )
    const disks = answers.map(given)
    assert.equal(new Set(disks.map(({ volumeId }) => volumeId)).size, 8)
    assert.ok(disks.filter(({ source }) => source === 'pool').length >= 3)
    for (const [index, { volumeId }] of disks.entries()) {
      assert.equal((await shown(callers[index] ?? real.tenantA, volumeId)).status, 'available')
    }
  })

  it('is free again once its disk was deleted', async () => {
    const first = given(await real.claim(real.tenantA, { hostname: 'again' }))
    assert.equal((await real.tenantA.call('DELETE', `/volumes/${first.volumeId}`)).status, 202)
    await eventually('it is gone', async () => {
      const { status } = await real.tenantA.call('GET', `/volumes/${first.volumeId}`)
      return status === 404
    })
    await real.full()
    const second = given(await real.claim(real.tenantA, { hostname: 'again' }))
    assert.deepEqual([second.source, second.volumeId === first.volumeId], ['pool', false])
  })
})

describe('a sync on a real cloud', () => {
  const stock = async (os: string): Promise<string[]> =>
    (await real.call(real.admin, 'GET', `/pool/volumes?os=${os}`)).body.volumes.map((one: Body) => one.volume_id)
  const images = (): Promise<string> => ctl('rbd', 'ls', 'volumes-ssd')

  it('purges the stock down to the last byte, and makes it anew', async () => {
    const before = [...(await stock('debian12')), ...(await stock('windows2022'))]
    const { body } = await real.call(real.admin, 'POST', '/os/sync', { purge: 'all' })
    assert.equal(body.retired, 4)
    await real.full()
    const [left, inCinder] = [await images(), await allVolumes(real.admin)]
    for (const id of before) {
      assert.doesNotMatch(left, new RegExp(id))
      assert.equal(
        inCinder.some(volume => volume.id === id),
        false
      )
    }
  })

  it('after an image update hands out the new version, and deletes what is stale and nothing else', async () => {
    const others = await stock('windows2022')
    const [spare] = (await real.call(real.admin, 'GET', '/pool/volumes?os=debian12')).body.volumes
    const { snapshot } = await real.pool.get(`/snapshots/${spare.snapshot_id}`)
    const newer = await snapshotOf(real.pool, snapshot.volume_id, 'debian12_ssd_20261201')
    try {
      const { body } = await real.call(real.admin, 'POST', '/os/sync', { purge: 'stale' })
      const change = body.images.find((one: Body) => one.os === 'debian12' && one.type === 'ssd')
      assert.deepEqual([change.change, change.version, body.retired], ['changed', '20261201', 3])
      await real.full()
      assert.deepEqual(await stock('windows2022'), others)
      const claimed = await real.claim(real.tenantA, { hostname: 'updated' })
      assert.deepEqual([claimed.body.source, claimed.body.image_version], ['pool', '20261201'])
      await real.full()
    } finally {
      assert.equal((await real.pool.call('DELETE', `/snapshots/${newer.id}`)).status, 202)
      await eventually('the newer snapshot is gone', async () => {
        const { status } = await real.pool.call('GET', `/snapshots/${newer.id}`)
        return status === 404
      })
      await real.call(real.admin, 'POST', '/os/sync', { purge: 'stale' })
    }
  })
})
