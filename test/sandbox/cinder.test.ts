import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aCloud, assertFault, send } from './support.ts'

describe('microversions', () => {
  it('are repeated in the answer, and 3.0 without the header', async t => {
    const { pool } = await aCloud(t)
    const { headers } = await pool.call('GET', '/volumes', undefined, 60)
    const { vary } = headers
    assert.equal(headers['openstack-api-version'], 'volume 3.60')
    assert.equal(vary, 'OpenStack-API-Version')
    assert.equal(headers['content-type'], 'application/json')
    assert.equal((await pool.call('GET', '/volumes', undefined, 0)).headers['openstack-api-version'], 'volume 3.0')
  })

  it('out of range are 406, malformed ones 400', async t => {
    const { sandbox, pool } = await aCloud(t)
    const ask = async (version: string) =>
      await send('GET', `${sandbox.url}/volume/v3/${pool.projectId}/volumes`, {
        'x-auth-token': pool.token,
        'openstack-api-version': version
      })
    assertFault(
      await ask('volume 3.99'),
      406,
      'computeFault',
      'Version 3.99 is not supported by the API. Minimum is 3.0 and maximum is 3.70.'
    )
    assertFault(
      await ask('volume x'),
      400,
      'badRequest',
      'API Version String x is of invalid format. Must be of format MajorNum.MinorNum.'
    )
    assert.equal((await ask('compute 2.1, volume latest')).headers['openstack-api-version'], 'volume 3.70')
  })

  it('are offered without a token, with 300', async t => {
    const { sandbox } = await aCloud(t)
    const { status, body } = await send('GET', `${sandbox.url}/volume/`)
    assert.equal(status, 300)
    assert.deepEqual([body.versions[0].version, body.versions[0].min_version], ['3.70', '3.0'])
  })
})

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

  it('needs a good token, even for a path that is none', async t => {
    const { sandbox } = await aCloud(t)
    assert.equal((await send('GET', `${sandbox.url}/volume/v3/x/volumes`)).status, 401)
    assert.equal((await send('GET', `${sandbox.url}/volume/v3/x/nothing`, { 'x-auth-token': 'bad' })).status, 401)
  })

  it("names the token's project, or none", async t => {
    const { sandbox, pool, tenant, admin } = await aCloud(t)
    const ask = async (path: string, token: string) =>
      await send('GET', `${sandbox.url}/volume/v3${path}`, { 'x-auth-token': token })
    for (const token of [pool.token, admin.token]) {
      assertFault(await ask(`/${tenant.projectId}/volumes`, token), 400, 'badRequest', 'Malformed request url')
    }
    assert.equal((await ask('/volumes', pool.token)).body.volumes.length, 3)
    assertFault(await ask('/nothing', pool.token), 404, 'itemNotFound', 'The resource could not be found.')
  })

  it('sends JSON and says so', async t => {
    const { sandbox, pool } = await aCloud(t)
    const post = async (type: string | undefined, body: string) =>
      await send('POST', `${sandbox.url}/volume/v3/volumes`, { 'x-auth-token': pool.token, 'content-type': type }, body)
    assertFault(await post('text/plain', '{}'), 415, 'badMediaType', 'Unsupported Content-Type')
    assert.equal((await post(undefined, '{}')).status, 500)
    assertFault(await post('application/json', '{'), 400, 'badRequest', 'Malformed request body')
  })
})

describe('quotas', () => {
  it('refuse what is over them, naming the resource', async t => {
    const { tenant, admin } = await aCloud(t)
    const limit = async (quota: object) => {
      const { status, text } = await admin.call('PUT', `/os-quota-sets/${tenant.projectId}`, { quota_set: quota })
      assert.equal(status, 200, text)
    }
    const create = async (size: number) => await tenant.call('POST', '/volumes', { volume: { size } })
    await limit({ volumes: 1 })
    await create(3)
    assertFault(
      await create(1),
      413,
      'overLimit',
      "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes'."
    )
    await limit({ volumes: -1, gigabytes: 4 })
    assertFault(
      await create(2),
      413,
      'overLimit',
      'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested 2G, quota is 4G and 3G has been consumed.'
    )
    await limit({ gigabytes: -1, 'volumes_ceph-ssd': 1 })
    assertFault(
      await create(1),
      413,
      'overLimit',
      "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes_ceph-ssd'."
    )
    await limit({ 'volumes_ceph-ssd': -1, 'gigabytes_ceph-ssd': 3 })
    assertFault(
      await create(1),
      413,
      'overLimit',
      /exceeds allowed gigabytes_ceph-ssd quota\. Requested 1G, quota is 3G and 3G/
    )
    await limit({ 'gigabytes_ceph-ssd': -1, per_volume_gigabytes: 2 })
    assertFault(
      await create(3),
      413,
      'overLimit',
      'VolumeSizeExceedsLimit: Requested volume size 3G is larger than maximum allowed limit 2G.'
    )
  })

  it('show limits and use to the project itself, each type by itself too', async t => {
    const { tenant, rival, pool } = await aCloud(t)
    const { id } = await tenant.create({ size: 3 })
    const { quota_set: set } = await tenant.get(`/os-quota-sets/${tenant.projectId}?usage=true`)
    assert.deepEqual(set['gigabytes_ceph-ssd'], { limit: -1, in_use: 3, reserved: 0, allocated: 0 })
    assert.equal((await tenant.get(`/os-quota-sets/${tenant.projectId}`)).quota_set.volumes, 1000)
    assert.equal((await rival.call('GET', `/os-quota-sets/${tenant.projectId}`)).status, 403)
    await tenant.call('DELETE', `/volumes/${id}`)
    const { absolute } = (await tenant.get('/limits')).limits
    assert.deepEqual([absolute.totalVolumesUsed, absolute.totalGigabytesUsed, absolute.maxTotalVolumes], [0, 0, 1000])
    const own = (await pool.get('/limits')).limits.absolute
    assert.deepEqual([own.maxTotalVolumes, own.totalVolumesUsed, own.totalGigabytesUsed], [-1, 3, 160])
  })

  it('are set by administrators only, and not below what is in use', async t => {
    const { tenant, admin } = await aCloud(t)
    await tenant.create()
    const path = `/os-quota-sets/${tenant.projectId}`
    assert.equal((await tenant.call('PUT', path, { quota_set: { volumes: 9 } })).status, 403)
    assertFault(
      await admin.call('PUT', path, { quota_set: { volumes: 0 } }),
      400,
      'badRequest',
      'Quota volumes limit must be equal or greater than existing resources. Current usage is 1 and the requested limit is 0.'
    )
    assertFault(
      await admin.call('PUT', path, { quota_set: { bananas: 9 } }),
      400,
      'badRequest',
      "Bad key(s) in quota set: 'bananas'"
    )
  })
})

describe('snapshots', () => {
  it('are listed without a volume type', async t => {
    const { pool } = await aCloud(t)
    const { snapshots } = await pool.get('/snapshots/detail?status=available&name=debian12_ssd_20261101', 0)
    assert.deepEqual(Object.keys(snapshots[0]), [
      'id',
      'created_at',
      'updated_at',
      'name',
      'description',
      'volume_id',
      'status',
      'size',
      'metadata',
      'os-extended-snapshot-attributes:project_id',
      'os-extended-snapshot-attributes:progress'
    ])
    assert.equal((await pool.get(`/volumes/${snapshots[0].volume_id}`)).volume.volume_type, 'ceph-ssd')
    assert.deepEqual((await pool.get('/snapshots?limit=2')).snapshots.length, 2)
  })

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
