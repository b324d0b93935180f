import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { addType } from '../../sandbox/seed.ts'
import { aCloud, assertFault } from './support.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'
const NOT_DELETABLE =
  'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing ' +
  'and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated ' +
  'from snapshots after volume transfer.'

describe('creating a volume', () => {
  it('takes as long as its data, one at a time from one snapshot, side by side from different ones', async t => {
    const { sandbox, clock, pool, snapshotId } = await aCloud(t)
    sandbox.cloud.delays = { ...sandbox.cloud.delays, creating: 400, creating_per_gib: 2000 }
    const other = sandbox.cloud.addSnapshot({ name: 'alpine3_ssd_1', sizeGib: 1, dataGib: 0.3 })
    const ids: string[] = []
    for (const snapshot of [snapshotId, snapshotId, other.id]) {
      ids.push((await pool.create({ size: null, snapshot_id: snapshot })).id)
    }
    const statuses = async (): Promise<string[]> =>
      await Promise.all(ids.map(async id => (await pool.get(`/volumes/${id}`)).volume.status))
    await clock.advance(1000)
    assert.deepEqual(await statuses(), ['creating', 'creating', 'available'])
    await clock.advance(1800)
    assert.deepEqual(await statuses(), ['available', 'creating', 'available'])
    await clock.advance(2800)
    assert.deepEqual(await statuses(), ['available', 'available', 'available'])
  })

  it('works without a snapshot, and from another volume', async t => {
    const { pool } = await aCloud(t)
    const { id, bootable } = await pool.create({ volume_type: 'ceph-sas' })
    assert.equal(bootable, 'false')
    assert.equal((await pool.create({ source_volid: id })).volume_type, 'ceph-sas')
  })
})

describe('an encrypted volume', () => {
  it('is what comes of an encrypted type, and is transferred from 3.70 on, with its snapshots', async t => {
    const { sandbox, pool, admin } = await aCloud(t)
    addType(sandbox.cloud, 'luks', true, true)
    const golden = sandbox.cloud.addSnapshot({ name: 'vault_ssd_1', type: 'luks', sizeGib: 1 })
    const { id, encrypted } = await pool.create({ snapshot_id: golden.id })
    const source = (await pool.get(`/volumes/${golden.volumeId}`)).volume
    assert.deepEqual([encrypted, source.encrypted, (await pool.create()).encrypted], [true, true, false])
    const arm = async (minor: number, more: object = {}) =>
      await pool.call('POST', '/volume-transfers', { transfer: { volume_id: id, ...more } }, minor)
    const refusal = 'Invalid volume: transferring encrypted volume is not supported'
    assertFault(await arm(60), 400, 'badRequest', refusal)
    assertFault(await arm(70, { no_snapshots: true }), 400, 'badRequest', refusal)
    assert.equal((await arm(70)).status, 202)
    assert.equal((await admin.get(`/volumes/${id}`)).volume.status, 'awaiting-transfer')
  })
})

describe('changing a volume', () => {
  it('replaces all metadata with PUT, merges with POST, and deletes one key', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create({ metadata: { a: '1', b: '2' } })
    await pool.call('PUT', `/volumes/${id}`, { volume: { metadata: { c: '3' } } })
    const merged = await pool.call('POST', `/volumes/${id}/metadata`, { metadata: { d: '4' } })
    assert.deepEqual(merged.body, { metadata: { c: '3', d: '4' } })
    assert.equal((await pool.call('DELETE', `/volumes/${id}/metadata/c`)).status, 200)
    assert.deepEqual((await pool.get(`/volumes/${id}`)).volume.metadata, { d: '4' })
    const missing = await pool.call('GET', `/volumes/${id}/metadata/c`)
    assertFault(missing, 404, 'itemNotFound', `Volume ${id} has no metadata with key c.`)
    assert.deepEqual((await pool.call('PUT', `/volumes/${id}/metadata/d`, { meta: { d: '5' } })).body, {
      meta: { d: '5' }
    })
  })

  it('shows an attached volume in use, and lets nobody delete it', async t => {
    const { pool, admin } = await aCloud(t)
    const { id } = await pool.create()
    await pool.action(id, 'os-attach', { instance_uuid: NOBODY, mountpoint: '/dev/vda' })
    const { volume } = await pool.get(`/volumes/${id}`)
    assert.deepEqual(
      [volume.status, volume.attachments[0].server_id, volume.attachments[0].device],
      ['in-use', NOBODY, '/dev/vda']
    )
    assertFault(await pool.call('DELETE', `/volumes/${id}`), 400, 'badRequest', NOT_DELETABLE)
    assert.equal((await admin.action(id, 'os-force_delete')).status, 400)
    assert.equal((await pool.action(id, 'os-detach')).status, 202)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'available')
  })

  it('sets bootable, and knows no other actions than its own', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    assert.equal((await pool.action(id, 'os-set_bootable', { bootable: true })).status, 200)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.bootable, 'true')
    assertFault(
      await pool.action(id, 'os-dance'),
      400,
      'badRequest',
      'There is no such action: os-dance. Verify the request body and Content-Type header and try again.'
    )
  })
})

describe('deleting a volume', () => {
  it('asked for twice by force, happens once', async t => {
    const { sandbox, clock, pool, admin } = await aCloud(t)
    const { id } = await pool.create()
    sandbox.cloud.delays = { ...sandbox.cloud.delays, deleting: 200 }
    sandbox.cloud.addFault({ operation: 'volume_delete', kind: 'error_volume' })
    await pool.call('DELETE', `/volumes/${id}`)
    sandbox.cloud.delays = { ...sandbox.cloud.delays, deleting: 100 }
    await admin.action(id, 'os-force_delete')
    await clock.advance(200)
    assert.equal((await pool.call('GET', `/volumes/${id}`)).status, 404)
    assert.deepEqual(await pool.names('status=error_deleting'), [])
    assert.equal((await pool.get('/limits')).limits.absolute.totalVolumesUsed, 3)
  })
})
