import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aCloud, assertFault, send } from './support.ts'

describe('a request to Cinder', () => {
  it('has an id, and may bring its own along, which the journal keeps', async t => {
    const { sandbox, pool } = await aCloud(t)
    const global = 'req-11111111-2222-4333-8444-555555555555'
    const url = `${sandbox.url}/volume/v3/${pool.projectId}/volumes`
    const { headers } = await send(
      'POST',
      url,
      { 'x-auth-token': pool.token, 'x-openstack-request-id': global },
      { volume: { size: 1 } }
    )
    assert.match(headers['x-openstack-request-id'] ?? '', /^req-[0-9a-f-]{36}$/)
    assert.equal(headers['x-compute-request-id'], headers['x-openstack-request-id'])
    const made = sandbox.cloud.journal.after().findLast(({ change }) => change === 'volume.created')
    assert.deepEqual([made?.request_id, made?.global_request_id], [headers['x-openstack-request-id'], global])
  })
})

describe("a client's own request id", () => {
  it('is ignored up to Ocata', async t => {
    const { sandbox, pool } = await aCloud(t, { release: 'ocata' })
    const global = 'req-11111111-2222-4333-8444-555555555555'
    const headers = { 'x-auth-token': pool.token, 'x-openstack-request-id': global }
    await send('POST', `${pool.cinderUrl}/volumes`, headers, { volume: { size: 1 } })
    assert.equal(sandbox.cloud.journal.after().at(-1)?.global_request_id, undefined)
  })
})

describe('snapshots', () => {
  it('are made, renamed and deleted, the deletion after the creates that wait for them', async t => {
    const { sandbox, clock, pool } = await aCloud(t)
    const { id: volumeId } = await pool.create()
    const { snapshot } = (await pool.call('POST', '/snapshots', { snapshot: { volume_id: volumeId, name: 'a' } })).body
    assert.equal(snapshot.status, 'creating')
    await pool.call('PUT', `/snapshots/${snapshot.id}`, { snapshot: { name: 'b' } })
    assert.equal((await pool.get(`/snapshots/${snapshot.id}`)).snapshot.name, 'b')
    sandbox.cloud.delays = { ...sandbox.cloud.delays, creating: 1000 }
    const { id } = await pool.create({ snapshot_id: snapshot.id })
    assert.equal((await pool.call('DELETE', `/snapshots/${snapshot.id}`)).status, 202)
    await clock.advance(999)
    assert.equal((await pool.get(`/snapshots/${snapshot.id}`)).snapshot.status, 'deleting')
    const late = await pool.call('POST', '/volumes', { volume: { snapshot_id: snapshot.id } })
    assertFault(
      late,
      400,
      'badRequest',
      "Invalid snapshot: Originating snapshot status must be one of 'available' values"
    )
    await clock.advance(1)
    assert.equal((await pool.call('GET', `/snapshots/${snapshot.id}`)).status, 404)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'available')
  })
})

describe('volume types', () => {
  it('are hidden from projects without access', async t => {
    const { tenant, rival, admin } = await aCloud(t)
    const made = await admin.call('POST', '/types', {
      volume_type: { name: 'ceph-nvme', 'os-volume-type-access:is_public': false }
    })
    const { id } = made.body.volume_type
    await admin.call('POST', `/types/${id}/action`, { addProjectAccess: { project: tenant.projectId } })
    assert.equal((await tenant.get('/types')).volume_types.length, 3)
    assert.equal((await rival.get('/types')).volume_types.length, 2)
    const refused = await rival.call('POST', '/volumes', { volume: { size: 1, volume_type: 'ceph-nvme' } })
    assertFault(refused, 404, 'itemNotFound', 'Volume type with name ceph-nvme could not be found.')
    assert.equal((await tenant.call('POST', `/types/${id}/action`, { addProjectAccess: { project: 'x' } })).status, 403)
    assert.equal((await admin.get(`/types/${id}/os-volume-type-access`)).volume_type_access.length, 1)
  })
})
