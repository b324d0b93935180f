import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  aSnapshot,
  assertFault,
  aVolume,
  becomes,
  golden,
  hideType,
  limiterOf,
  newVolume,
  pool,
  type Session,
  shown,
  TRANSFERS,
  tenant,
  traits,
  usageOf,
  vanishes,
  whileWorkRests
} from './support.ts'

const NOT_DELETABLE =
  `Invalid volume: Volume status must be ${traits.deletable.join(' or ')} ` +
  'and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated ' +
  'from snapshots after volume transfer.'

const remove = (owner: Session, id: string): Promise<Answer> => owner.call('DELETE', `/volumes/${id}`)
const extend = (owner: Session, id: string, size: number): Promise<Answer> =>
  owner.action(id, 'os-extend', { new_size: size })
const statusOf = async (id: string): Promise<string> => (await shown(admin, id)).status
const notExtendable = (id: string, status: string): string =>
  `Invalid volume: Volume ${id} status must be '{'status': 'available'}' to extend, currently ${status}.`

describe('a volume that is creating', () => {
  it.for(['empty', 'from a snapshot'])(
    '%s may be renamed, but not handed over, extended or deleted',
    async (kind, t) => {
      const wish = kind === 'empty' ? {} : { snapshot_id: (await golden()).id, size: (await golden()).size }
      const { id } = await whileWorkRests(async () => {
        const volume = await newVolume(t, pool, wish)
        const { id, size } = volume
        assert.deepEqual([volume.status, await statusOf(id)], ['creating', 'creating'])
        const transfer = await pool.call('POST', TRANSFERS, { transfer: { volume_id: id } })
        assertFault(transfer, 400, 'badRequest', 'Invalid volume: status must be available')
        assertFault(await extend(pool, id, size + 1), 400, 'badRequest', notExtendable(id, 'creating'))
        assertFault(await remove(pool, id), 400, 'badRequest', NOT_DELETABLE)
        assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'renamed' } })).status, 200)
        return volume
      })
      assert.equal((await becomes(pool, id, 'available')).name, 'renamed', 'the end of the work does not undo it')
    }
  )
})

describe('a volume that is extended', () => {
  it('has its old size until it is available with the new one', async t => {
    const { id } = await aVolume(t, pool)
    await whileWorkRests(async () => {
      const { status, text } = await extend(pool, id, 3)
      assert.deepEqual([status, text], [202, ''])
      const volume = await shown(pool, id)
      assert.deepEqual([volume.status, volume.size], ['extending', 1])
      assertFault(await extend(pool, id, 4), 400, 'badRequest', notExtendable(id, 'extending'))
      assertFault(await remove(pool, id), 400, 'badRequest', NOT_DELETABLE)
      assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'renamed' } })).status, 200)
    })
    const volume = await becomes(pool, id, 'available')
    assert.deepEqual([volume.size, volume.name], [3, 'renamed'])
  })

  it('counts with its new size from the start', async t => {
    const { id } = await aVolume(t, tenant)
    const before = await usageOf(tenant)
    assert.equal((await extend(tenant, id, 5)).status, 202)
    await becomes(tenant, id, 'available')
    assert.deepEqual(await usageOf(tenant), { ...before, gigabytes: before.gigabytes + 4 })
  })

  it.for([1, 2])('is refused where it would not grow: to %i GiB of 2', async (size, t) => {
    const { id } = await aVolume(t, pool, { size: 2 })
    const message = `Invalid input received: New size for extend must be greater than current size. (current: 2, extended: ${size}).`
    assertFault(await extend(pool, id, size), 400, 'badRequest', message)
  })

  it('is refused where the project may not have so much, and stays as it was', async t => {
    const { id } = await aVolume(t, tenant)
    const { gigabytes } = await usageOf(tenant)
    const limit = await limiterOf(t, tenant)
    await limit({ gigabytes: gigabytes + 1 })
    assertFault(
      await extend(tenant, id, 3),
      413,
      'overLimit',
      'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. ' +
        `Requested 2G, quota is ${gigabytes + 1}G and ${gigabytes}G has been consumed.`
    )
    assert.deepEqual([(await shown(tenant, id)).status, (await usageOf(tenant)).gigabytes], ['available', gigabytes])
    assert.equal((await extend(tenant, id, 2)).status, 202)
    await becomes(tenant, id, 'available')
  })

  it('is refused where its type is hidden from the project', async t => {
    const { id } = await aVolume(t, tenant, { volume_type: 'ceph-sas' })
    const type = await hideType(t, 'ceph-sas')
    assertFault(await extend(tenant, id, 2), 404, 'itemNotFound', `Volume type ${type.id} could not be found.`)
    assert.equal((await shown(tenant, id)).status, 'available')
  })
})

describe('a volume that is deleted', () => {
  it('is deleting, and then is no more', async t => {
    const { id } = await aVolume(t, pool)
    const message = `Volume ${id} could not be found.`
    await whileWorkRests(async () => {
      const { status, text } = await remove(pool, id)
      assert.deepEqual([status, text, await statusOf(id)], [202, '', 'deleting'])
      assertFault(await remove(pool, id), 400, 'badRequest', NOT_DELETABLE)
      const transfer = await pool.call('POST', TRANSFERS, { transfer: { volume_id: id } })
      assertFault(transfer, 400, 'badRequest', 'Invalid volume: status must be available')
      assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'renamed' } })).status, 200)
    })
    await vanishes(`/volumes/${id}`)
    assertFault(await pool.call('GET', `/volumes/${id}`), 404, 'itemNotFound', message)
    assertFault(await remove(pool, id), 404, 'itemNotFound', message)
    assertFault(await extend(pool, id, 2), 404, 'itemNotFound', message)
    const renamed = await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'x' } })
    assertFault(renamed, 404, 'itemNotFound', message)
  })

  it('gives back what it counted for', async t => {
    const before = await usageOf(tenant)
    const { id } = await aVolume(t, tenant, { size: 3 })
    assert.deepEqual(await usageOf(tenant), { volumes: before.volumes + 1, gigabytes: before.gigabytes + 3 })
    await remove(tenant, id)
    await vanishes(`/volumes/${id}`)
    assert.deepEqual(await usageOf(tenant), before)
  })

  it('is refused while it has snapshots', async t => {
    const { id } = await aVolume(t, pool)
    await aSnapshot(t, pool, id)
    assertFault(await remove(pool, id), 400, 'badRequest', NOT_DELETABLE)
  })

  it('takes its snapshots along where it is told to', async t => {
    const { id } = await aVolume(t, pool)
    const snapshot = await aSnapshot(t, pool, id)
    assert.equal((await pool.call('DELETE', `/volumes/${id}?cascade=true`)).status, 202)
    await vanishes(`/volumes/${id}`)
    assert.equal((await pool.call('GET', `/snapshots/${snapshot.id}`)).status, 404)
  })

  it.for(['creating', 'error_deleting', 'extending', 'reserved', 'maintenance'])(
    'is refused in %s, unless an administrator forces it',
    async (status, t) => {
      const { id } = await aVolume(t, pool)
      assert.equal((await admin.action(id, 'os-reset_status', { status })).status, 202)
      assertFault(await remove(pool, id), 400, 'badRequest', NOT_DELETABLE)
      assertFault(
        await pool.action(id, 'os-force_delete'),
        403,
        'forbidden',
        "Policy doesn't allow volume_extension:volume_admin_actions:force_delete to be performed."
      )
      assert.equal((await admin.action(id, 'os-force_delete')).status, 202)
      await vanishes(`/volumes/${id}`)
    }
  )

  it.for(['error', 'error_extending'])('may be in %s', async (status, t) => {
    const { id } = await aVolume(t, pool)
    await admin.action(id, 'os-reset_status', { status })
    assert.equal((await shown(pool, id)).status, status)
    assert.equal((await remove(pool, id)).status, 202)
    await vanishes(`/volumes/${id}`)
  })
})

describe('the status of a volume', () => {
  it('is set by administrators only, and to one that there is', async t => {
    const { id } = await aVolume(t, pool)
    assertFault(
      await pool.action(id, 'os-reset_status', { status: 'error' }),
      403,
      'forbidden',
      "Policy doesn't allow volume_extension:volume_admin_actions:reset_status to be performed."
    )
    const set = (status?: string): Promise<Answer> => admin.action(id, 'os-reset_status', { status })
    const unknown =
      /^Volume status: dancing is invalid, valid statuses are: \('creating', 'available', .*, 'extending'\)\.$/
    assertFault(await set('dancing'), 400, 'badRequest', unknown)
    assertFault(await set('deleting'), 400, 'badRequest', 'Cannot reset-state to deleting')
    const attached = 'Cannot reset-state to in-use because volume does not have any attachments.'
    assertFault(await set('in-use'), 400, 'badRequest', attached)
    const missing = "Must specify 'status', 'attach_status' or 'migration_status' for update."
    assertFault(await set(), 400, 'badRequest', missing)
    assert.equal((await shown(pool, id)).status, 'available')
  })
})
