import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aCloud, assertFault } from './support.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'

describe('a transfer', () => {
  it('tells its key once, and is the same under both names', async t => {
    const { pool } = await aCloud(t)
    const { id: volumeId } = await pool.create()
    const wish = { transfer: { volume_id: volumeId, name: 'handover' } }
    const made = (await pool.call('POST', '/os-volume-transfer', wish, 0)).body.transfer
    assert.deepEqual(Object.keys(made).toSorted(), ['auth_key', 'created_at', 'id', 'links', 'name', 'volume_id'])
    assert.match(made.auth_key, /^[0-9a-f]{16}$/)
    for (const path of ['os-volume-transfer', 'volume-transfers']) {
      const shown = (await pool.get(`/${path}/${made.id}`, 57)).transfer
      assert.deepEqual(
        [shown.volume_id, shown.auth_key, shown.no_snapshots, shown.source_project_id, shown.accepted],
        [volumeId, undefined, false, pool.projectId, false]
      )
      assert.equal((await pool.get(`/${path}/detail?volume_id=${volumeId}`)).transfers.length, 1)
      assert.equal((await pool.get(`/${path}?volume_id=${NOBODY}`)).transfers.length, 0)
    }
    assert.equal((await pool.get(`/volumes/${volumeId}`)).volume.status, 'awaiting-transfer')
  })

  it('takes no_snapshots only since 3.55 and only under the new name', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    const wish = { transfer: { volume_id: id, no_snapshots: true } }
    const refused = await pool.call('POST', '/volume-transfers', wish, 54)
    assertFault(refused, 400, 'badRequest', /Additional properties are not allowed \('no_snapshots' was unexpected\)$/)
    assert.equal((await pool.call('POST', '/os-volume-transfer', wish, 60)).status, 400)
    assert.equal((await pool.call('POST', '/volume-transfers', wish, 55)).body.transfer.no_snapshots, true)
  })

  it('lists nothing for a query that it does not know, paging before 3.59 included', async t => {
    const { pool } = await aCloud(t)
    for (const name of ['a', 'b']) await pool.arm((await pool.create()).id, { name })
    const count = async (query: string, minor: number): Promise<number> =>
      (await pool.get(`/volume-transfers?${query}`, minor)).transfers.length
    assert.deepEqual(
      [await count('', 58), await count('limit=1', 58), await count('limit=1', 59), await count('name=b', 58)],
      [2, 0, 1, 1]
    )
  })

  it('can be made of an available volume only', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    await pool.arm(id)
    assertFault(
      await pool.call('POST', '/volume-transfers', { transfer: { volume_id: id } }),
      400,
      'badRequest',
      'Invalid volume: status must be available'
    )
    const unknown = await pool.call('POST', '/volume-transfers', { transfer: { volume_id: NOBODY } })
    assertFault(unknown, 404, 'itemNotFound', `Volume ${NOBODY} could not be found.`)
  })

  it('lets its volume be renamed, relabelled and made bootable while it waits', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    await pool.arm(id)
    assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'web', metadata: {} } })).status, 200)
    assert.equal((await pool.call('POST', `/volumes/${id}/metadata`, { metadata: { a: 'b' } })).status, 200)
    assert.equal((await pool.action(id, 'os-set_bootable', { bootable: true })).status, 200)
  })

  it('is deleted by its maker, and the volume is available again', async t => {
    const { pool, tenant } = await aCloud(t)
    const { id } = await pool.create()
    const transfer = await pool.arm(id)
    assert.equal((await tenant.call('DELETE', `/volume-transfers/${transfer.id}`)).status, 404)
    assert.equal((await pool.call('DELETE', `/volume-transfers/${transfer.id}`)).status, 202)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'available')
    const late = await tenant.accept(transfer)
    assertFault(late, 404, 'itemNotFound', `Transfer ${transfer.id} could not be found.`)
  })
})

describe('accepting a transfer', () => {
  it("moves the volume to the token's project and user, and changes nothing else", async t => {
    const { pool, tenant, snapshotId, clock } = await aCloud(t)
    const { id } = await pool.create({ size: 20, snapshot_id: snapshotId, name: 'web', metadata: { a: 'b' } })
    const transfer = await pool.arm(id, { no_snapshots: true })
    const before = (await pool.get(`/volumes/${id}`)).volume
    await clock.advance(5000)
    const answer = await tenant.accept(transfer)
    assert.equal(answer.status, 202)
    assert.deepEqual(Object.keys(answer.body.transfer).toSorted(), ['id', 'links', 'name', 'volume_id'])
    const after = (await tenant.get(`/volumes/${id}`)).volume
    assert.deepEqual(
      { ...after, links: 0 },
      {
        ...before,
        links: 0,
        status: 'available',
        user_id: tenant.userId,
        updated_at: '2026-11-23T10:00:05.000000',
        'os-vol-tenant-attr:tenant_id': tenant.projectId
      }
    )
    assert.equal((await pool.call('GET', `/volumes/${id}`)).status, 404)
    assert.equal((await pool.call('GET', `/volume-transfers/${transfer.id}`)).status, 404)
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', `Transfer ${transfer.id} could not be found.`)
  })

  it("goes to the project of whoever's token it is", async t => {
    const { pool, login } = await aCloud(t)
    for (const user of ['pool-svc', 'admin']) {
      const elsewhere = await login(user, 'tenant-b')
      const { id } = await pool.create()
      await elsewhere.accept(await pool.arm(id))
      const { volume } = await elsewhere.get(`/volumes/${id}`)
      assert.deepEqual(
        [volume['os-vol-tenant-attr:tenant_id'], volume.user_id],
        [elsewhere.projectId, elsewhere.userId]
      )
    }
  })

  it('into the own project makes the volume available again', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    assert.equal((await pool.accept(await pool.arm(id))).status, 202)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'available')
  })

  it('needs the right key, any number of times', async t => {
    const { pool, tenant } = await aCloud(t)
    const transfer = await pool.arm((await pool.create()).id)
    const wrong = await tenant.accept({ ...transfer, auth_key: 'wrongwrongwrong1' })
    assertFault(wrong, 400, 'badRequest', `Invalid auth key: Attempt to transfer ${transfer.id} with invalid auth key.`)
    const without = await tenant.call('POST', `/volume-transfers/${transfer.id}/accept`, { accept: {} })
    assertFault(without, 400, 'badRequest', /'auth_key' is a required property$/)
    assert.equal((await tenant.accept(transfer)).status, 202)
  })

  it('cannot be seen before by the receiver, only done', async t => {
    const { pool, tenant } = await aCloud(t)
    const transfer = await pool.arm((await pool.create()).id)
    assert.equal((await tenant.call('GET', `/volume-transfers/${transfer.id}`)).status, 404)
    assert.deepEqual((await tenant.get('/volume-transfers/detail')).transfers, [])
  })

  it('is refused by the quota of the destination, and good again once that is raised', async t => {
    const { pool, rival, admin } = await aCloud(t)
    const transfer = await pool.arm((await pool.create()).id)
    const limit = async (quota: object) =>
      await admin.call('PUT', `/os-quota-sets/${rival.projectId}`, { quota_set: quota })
    await limit({ volumes: 0 })
    assertFault(
      await rival.accept(transfer),
      413,
      'overLimit',
      "VolumeLimitExceeded: Maximum number of volumes allowed (0) exceeded for quota 'volumes'."
    )
    await limit({ volumes: 5, gigabytes: 0 })
    assertFault(
      await rival.accept(transfer),
      413,
      'overLimit',
      'Requested volume or snapshot exceeds allowed gigabytes quota. Requested 1G, quota is 0G and 0G has been consumed.'
    )
    await limit({ gigabytes: 5, 'volumes_ceph-ssd': 0 })
    assertFault(await rival.accept(transfer), 413, 'overLimit', /exceeded for quota 'volumes_ceph-ssd'\.$/)
    await limit({ 'volumes_ceph-ssd': -1 })
    assert.equal((await rival.accept(transfer)).status, 202)
  })

  it('finds no volume type that is hidden from the destination', async t => {
    const { pool, tenant, admin } = await aCloud(t)
    const { id: typeId } = (await admin.get('/types/ceph-ssd')).volume_type
    await admin.call('PUT', `/types/${typeId}`, { volume_type: { is_public: false } })
    await admin.call('POST', `/types/${typeId}/action`, { addProjectAccess: { project: pool.projectId } })
    const transfer = await pool.arm((await pool.create()).id)
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', `Volume type ${typeId} could not be found.`)
    assert.equal((await pool.get(`/volumes/${transfer.volume_id}`)).volume.status, 'awaiting-transfer')
    await admin.call('POST', `/types/${typeId}/action`, { addProjectAccess: { project: tenant.projectId } })
    assert.equal((await tenant.accept(transfer)).status, 202)
  })

  it('fails after a reset of the status, which leaves the transfer', async t => {
    const { pool, tenant, admin } = await aCloud(t)
    const { id } = await pool.create()
    const transfer = await pool.arm(id)
    await admin.action(id, 'os-reset_status', { status: 'available' })
    assertFault(
      await tenant.accept(transfer),
      400,
      'badRequest',
      `Invalid volume: Transfer ${transfer.id}: Volume id ${id} expected in awaiting-transfer state.`
    )
    const second = await pool.arm(id)
    assert.equal((await pool.get(`/volume-transfers?volume_id=${id}`)).transfers.length, 2)
    assert.equal((await tenant.accept(transfer)).status, 202, 'both keys work now')
    assert.notEqual(second.id, transfer.id)
  })

  it('finds nothing after the volume was deleted by force', async t => {
    const { pool, tenant, admin } = await aCloud(t)
    const { id } = await pool.create()
    const transfer = await pool.arm(id)
    await admin.action(id, 'os-force_delete')
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', `Transfer ${transfer.id} could not be found.`)
  })

  it('takes the snapshots along, unless the maker said not to', async t => {
    const { pool, tenant } = await aCloud(t)
    for (const stays of [false, true]) {
      const { id } = await pool.create()
      const { snapshot } = (await pool.call('POST', '/snapshots', { snapshot: { volume_id: id } })).body
      await tenant.accept(await pool.arm(id, { no_snapshots: stays }))
      assert.equal((await tenant.call('GET', `/snapshots/${snapshot.id}`)).status, stays ? 404 : 200)
    }
  })

  it('lets one of two rivals win', async t => {
    const { pool, tenant, rival } = await aCloud(t, { delays: 'none' })
    const transfer = await pool.arm((await pool.create()).id)
    const answers = await Promise.all([tenant, rival, tenant].map(session => session.accept(transfer)))
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((left, right) => left - right),
      [202, 404, 404]
    )
  })
})
