import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  assertFault,
  aVolume,
  CALL,
  clientOf,
  hideType,
  limiterOf,
  pool,
  rival,
  tenant,
  usageOf
} from './support.ts'

const create = (size: number, more: object = {}): Promise<Answer> =>
  rival.call('POST', '/volumes', { volume: { size, name: 'too much', ...more } })

describe('a volume over quota is refused', () => {
  it('by their number', async t => {
    const { volumes } = await usageOf(rival)
    const limit = await limiterOf(t, rival)
    await limit({ volumes })
    const message = `VolumeLimitExceeded: Maximum number of volumes allowed (${volumes}) exceeded for quota 'volumes'.`
    assertFault(await create(1), 413, 'overLimit', message)
    assert.deepEqual((await usageOf(rival)).volumes, volumes)
  })

  it('by their size', async t => {
    const { gigabytes } = await usageOf(rival)
    const limit = await limiterOf(t, rival)
    await limit({ gigabytes: gigabytes + 1, volumes: 0 })
    assertFault(
      await create(2),
      413,
      'overLimit',
      'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. ' +
        `Requested 2G, quota is ${gigabytes + 1}G and ${gigabytes}G has been consumed.`
    )
  })

  it('by the number and the size of those of their type', async t => {
    const limit = await limiterOf(t, rival)
    await limit({ 'volumes_ceph-sas': 0 })
    const ofType = { volume_type: 'ceph-sas' }
    const number = "VolumeLimitExceeded: Maximum number of volumes allowed (0) exceeded for quota 'volumes_ceph-sas'."
    assertFault(await create(1, ofType), 413, 'overLimit', number)
    await limit({ 'volumes_ceph-sas': -1, 'gigabytes_ceph-sas': 1 })
    const size =
      'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes_ceph-sas quota. ' +
      'Requested 2G, quota is 1G and 0G has been consumed.'
    assertFault(await create(2, ofType), 413, 'overLimit', size)
  })

  it('by the size of one', async t => {
    const limit = await limiterOf(t, rival)
    await limit({ per_volume_gigabytes: 2 })
    const message = 'VolumeSizeExceedsLimit: Requested volume size 3G is larger than maximum allowed limit 2G.'
    assertFault(await create(3), 413, 'overLimit', message)
  })
})

describe('a quota', () => {
  it('is shown with its use to the project itself, each type by itself too', async t => {
    const before = (await tenant.get(`/os-quota-sets/${tenant.projectId}?usage=true`)).quota_set
    await aVolume(t, tenant, { size: 3, volume_type: 'ceph-sas' })
    const after = (await tenant.get(`/os-quota-sets/${tenant.projectId}?usage=true`)).quota_set
    for (const [name, amount] of Object.entries({
      volumes: 1,
      gigabytes: 3,
      'volumes_ceph-sas': 1,
      'gigabytes_ceph-sas': 3,
      'volumes_ceph-ssd': 0
    })) {
      const { limit, in_use: inUse, reserved } = before[name]
      assert.deepEqual(after[name], { limit, in_use: inUse + amount, reserved }, name)
    }
    assert.equal(after.id, tenant.projectId)
    assert.deepEqual([after.volumes.limit, after['volumes_ceph-sas'].limit], [1000, -1])
  })

  it('is shown without its use where that is not asked for', async () => {
    const { quota_set: set } = await tenant.get(`/os-quota-sets/${tenant.projectId}`)
    assert.deepEqual(
      [set.volumes, set.gigabytes, set.per_volume_gigabytes, set['volumes_ceph-ssd']],
      [1000, 100_000, -1, -1]
    )
  })

  it('is not shown to the users of another project', async () => {
    assertFault(
      await rival.call('GET', `/os-quota-sets/${tenant.projectId}?usage=true`),
      403,
      'forbidden',
      "Policy doesn't allow volume_extension:quotas:show to be performed."
    )
  })

  it('without a limit is -1', async () => {
    const { absolute } = (await pool.get('/limits')).limits
    assert.deepEqual([absolute.maxTotalVolumes, absolute.maxTotalVolumeGigabytes], [-1, -1])
    assert.deepEqual((await pool.get('/limits')).limits.rate, [])
  })

  it('is set by administrators only, not below what is in use, and of nothing that is not limited', async t => {
    await aVolume(t, tenant)
    const path = `/os-quota-sets/${tenant.projectId}`
    const set = (quota: object, as = admin): Promise<Answer> => as.call('PUT', path, { quota_set: quota })
    const policy = "Policy doesn't allow volume_extension:quotas:update to be performed."
    assertFault(await set({ volumes: 9 }, tenant), 403, 'forbidden', policy)
    const { volumes } = await usageOf(tenant)
    assertFault(
      await set({ volumes: volumes - 1 }),
      400,
      'badRequest',
      'Quota volumes limit must be equal or greater than existing resources. ' +
        `Current usage is ${volumes} and the requested limit is ${volumes - 1}.`
    )
    assertFault(
      await set({ bananas: 9 }),
      400,
      'badRequest',
      'Invalid input received: Bad key(s) in quota set: bananas'
    )
  })
})

describe("the service's client", () => {
  it('knows how much more a project may have, of each type and in one volume too, and of what it may have all', async t => {
    const limit = await limiterOf(t, rival)
    const { volumes, gigabytes } = await usageOf(rival)
    await limit({ volumes: volumes + 4, gigabytes: gigabytes + 50, 'gigabytes_ceph-ssd': 30, per_volume_gigabytes: 40 })
    const room = await (await clientOf(t, 'tenant-b-user').poolProject(CALL)).volumes.quota(CALL)
    const all = { volumes: 4, gigabytes: 50, 'gigabytes_ceph-ssd': 30, per_volume_gigabytes: 40 }
    assert.deepEqual(Object.fromEntries(room), all)
    const unlimited = await (await clientOf(t, 'pool-svc').poolProject(CALL)).volumes.quota(CALL)
    assert.deepEqual(Object.fromEntries(unlimited), {})
  })

  it('knows which volume types a project may use: a private one is for its own, and for admins', async t => {
    const type = await hideType(t, 'ceph-sas')
    const isShown = async (user: string) =>
      (await (await clientOf(t, user).poolProject(CALL)).volumes.types(CALL)).includes('ceph-sas')
    assert.deepEqual([await isShown('tenant-b-user'), await isShown('admin')], [false, true])
    await type.show(rival)
    assert.equal(await isShown('tenant-b-user'), true)
  })
})
