import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aCloud, assertFault, settled } from './support.ts'

const NOBODY = '00000000-0000-4000-8000-000000000000'
const NOT_DELETABLE =
  'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing ' +
  'and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated ' +
  'from snapshots after volume transfer.'

describe('creating a volume', () => {
  it('answers with the volume still creating, and shows it available afterwards', async t => {
    const { pool, snapshotId } = await aCloud(t)
    const { volume } = (
      await pool.call('POST', '/volumes', { volume: { snapshot_id: snapshotId, name: 't0', metadata: { k: 'v' } } }, 0)
    ).body
    const href = `/v3/${pool.projectId}/volumes/${volume.id}`
    assert.deepEqual(
      { ...volume, links: undefined, id: undefined },
      {
        id: undefined,
        status: 'creating',
        size: 20,
        availability_zone: 'nova',
        created_at: '2026-11-23T10:00:00.250000',
        updated_at: null,
        name: 't0',
        description: null,
        volume_type: 'ceph-ssd',
        snapshot_id: snapshotId,
        source_volid: null,
        metadata: { k: 'v' },
        links: undefined,
        user_id: pool.userId,
        bootable: 'true',
        encrypted: false,
        replication_status: null,
        consistencygroup_id: null,
        multiattach: false,
        attachments: []
      }
    )
    assert.deepEqual([volume.links[0].rel, volume.links[0].href.endsWith(href)], ['self', true])
    const shown = (await pool.get(`/volumes/${volume.id}`, 0)).volume
    assert.equal(shown.status, 'available')
    assert.equal(shown.created_at, '2026-11-23T10:00:00.000000')
    assert.equal(shown['os-vol-tenant-attr:tenant_id'], pool.projectId)
    assert.deepEqual(
      Object.keys(shown).filter(key => !(key in volume)),
      ['os-vol-tenant-attr:tenant_id']
    )
  })

  it('shows more with newer microversions, and to administrators', async t => {
    const { pool, admin } = await aCloud(t)
    const { id } = await pool.create()
    const shown = async (minor: number): Promise<string[]> =>
      Object.keys((await pool.get(`/volumes/${id}`, minor)).volume)
    assert.ok((await shown(13)).includes('group_id') && !(await shown(12)).includes('group_id'))
    assert.ok((await shown(48)).includes('shared_targets') && !(await shown(47)).includes('service_uuid'))
    assert.ok((await shown(63)).includes('volume_type_id') && (await shown(65)).includes('consumes_quota'))
    assert.ok('os-vol-host-attr:host' in (await admin.get(`/volumes/${id}`)).volume)
  })

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

  const wrong: [string, (ids: { snapshotId: string; busyId: string }) => object, number, string, string | RegExp][] = [
    [
      'an unknown snapshot',
      () => ({ snapshot_id: NOBODY }),
      404,
      'itemNotFound',
      `Snapshot ${NOBODY} could not be found.`
    ],
    [
      'no UUID',
      () => ({ snapshot_id: 'not-a-uuid' }),
      400,
      'badRequest',
      /^Invalid input for field\/attribute snapshot_id\. Value: not-a-uuid\. /
    ],
    [
      'a snapshot that is not available',
      ({ busyId }) => ({ snapshot_id: busyId }),
      400,
      'badRequest',
      "Invalid snapshot: Originating snapshot status must be one of 'available' values"
    ],
    [
      'an unknown type',
      () => ({ volume_type: 'no-such-type' }),
      404,
      'itemNotFound',
      'Volume type with name no-such-type could not be found.'
    ],
    [
      "another type than the source's",
      ({ snapshotId }) => ({ snapshot_id: snapshotId, size: 20, volume_type: 'ceph-sas' }),
      400,
      'badRequest',
      /^Invalid input received: Invalid volume_type provided: \S+ \(requested type is not compatible; recommend omitting the type argument\)\.$/
    ],
    [
      'too small a size',
      ({ snapshotId }) => ({ snapshot_id: snapshotId, size: 1 }),
      400,
      'badRequest',
      "Invalid input received: Volume size '1'GB cannot be smaller than the snapshot size 20GB. They must be >= original snapshot size."
    ],
    [
      'size 0',
      () => ({ size: 0 }),
      400,
      'badRequest',
      'Invalid input for field/attribute size. Value: 0. 0 is less than the minimum of 1'
    ],
    [
      'size abc',
      () => ({ size: 'abc' }),
      400,
      'badRequest',
      /^Invalid input for field\/attribute size\. Value: abc\. /
    ],
    [
      'a name of 300 characters',
      () => ({ name: 'n'.repeat(300) }),
      400,
      'badRequest',
      'name has 300 characters, more than 255.'
    ],
    [
      'a metadata value of 300 characters',
      () => ({ metadata: { k: 'x'.repeat(300) } }),
      400,
      'badRequest',
      /^Invalid input for field\/attribute k\. .* is too long$/
    ],
    [
      'an unknown key, since 3.53',
      () => ({ color: 'red' }),
      400,
      'badRequest',
      /Additional properties are not allowed \('color' was unexpected\)$/
    ]
  ]
  it.for(wrong)('refuses %s', async ([, wish, status, fault, message], t) => {
    const { sandbox, pool, snapshotId } = await aCloud(t)
    const busy = sandbox.cloud.addSnapshot({ name: 'busy', sizeGib: 1 })
    busy.status = 'deleting'
    const volume = { name: 'err', size: 1, ...wish({ snapshotId, busyId: busy.id }) }
    assertFault(await pool.call('POST', '/volumes', { volume }), status, fault, message)
  })

  it('refuses a body without a volume', async t => {
    const { pool } = await aCloud(t)
    assertFault(
      await pool.call('POST', '/volumes', { volum: {} }),
      400,
      'badRequest',
      "'volume' is a required property"
    )
  })

  it("cannot use another project's snapshot, unless it is an administrator", async t => {
    const { tenant, admin, snapshotId } = await aCloud(t)
    const volume = { snapshot_id: snapshotId, size: 20 }
    const refused = await tenant.call('POST', '/volumes', { volume })
    assertFault(refused, 404, 'itemNotFound', `Snapshot ${snapshotId} could not be found.`)
    assert.equal((await admin.create(volume)).status, 'creating')
  })
})

describe('changing a volume', () => {
  it('renames in any status, trimming the name', async t => {
    const { pool, admin } = await aCloud(t)
    const { id } = await pool.create()
    await admin.action(id, 'os-reset_status', { status: 'creating' })
    const { body } = await pool.call('PUT', `/volumes/${id}`, { volume: { name: '  web-01_sys ' } })
    assert.equal(body.volume.name, 'web-01_sys')
    await admin.action(id, 'os-reset_status', { status: 'maintenance' })
    const refused = await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'x' } })
    assertFault(refused, 400, 'badRequest', 'Invalid volume: The volume cannot be updated during maintenance.')
  })

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

  it('refuses a change that says nothing, since 3.53', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: {} }, 52)).status, 200)
    assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: {} }, 53)).status, 400)
  })

  it('extends with the old size until it is done', async t => {
    const { sandbox, clock, pool } = await aCloud(t)
    const { id } = await pool.create()
    sandbox.cloud.delays = { ...sandbox.cloud.delays, extending: 134 }
    assert.deepEqual((({ status, text }) => ({ status, text }))(await pool.action(id, 'os-extend', { new_size: 5 })), {
      status: 202,
      text: ''
    })
    const busy = (await pool.get(`/volumes/${id}`)).volume
    assert.deepEqual([busy.status, busy.size], ['extending', 1])
    await clock.advance(134)
    const done = (await pool.get(`/volumes/${id}`)).volume
    assert.deepEqual([done.status, done.size], ['available', 5])
  })

  it('refuses an extend that is no growth, over quota, or of a volume that is not available', async t => {
    const { pool, admin } = await aCloud(t)
    const { id } = await pool.create()
    const extend = async (size: number) => await pool.action(id, 'os-extend', { new_size: size })
    assertFault(
      await extend(1),
      400,
      'badRequest',
      'Invalid input received: New size for extend must be greater than current size. (current: 1, extended: 1).'
    )
    await admin.call('PUT', `/os-quota-sets/${pool.projectId}`, { quota_set: { gigabytes: 200 } })
    assertFault(
      await extend(1000),
      413,
      'overLimit',
      'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested 999G, quota is 200G and 161G has been consumed.'
    )
    await pool.arm(id)
    assertFault(
      await extend(2),
      400,
      'badRequest',
      `Invalid volume: Volume ${id} status must be '{'status': 'available'}' to extend, currently awaiting-transfer.`
    )
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
  it('goes through deleting to 404', async t => {
    const { sandbox, clock, pool } = await aCloud(t)
    const { id } = await pool.create()
    sandbox.cloud.delays = { ...sandbox.cloud.delays, deleting: 200 }
    assert.equal((await pool.call('DELETE', `/volumes/${id}`)).status, 202)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'deleting')
    assertFault(await pool.call('DELETE', `/volumes/${id}`), 400, 'badRequest', NOT_DELETABLE)
    await clock.advance(200)
    assertFault(await pool.call('GET', `/volumes/${id}`), 404, 'itemNotFound', `Volume ${id} could not be found.`)
  })

  it.for(['creating', 'awaiting-transfer', 'error_deleting', 'extending'])(
    'is refused while %s, unless an administrator forces it',
    async (status, t) => {
      const { sandbox, pool, admin } = await aCloud(t)
      const { id } = await pool.create()
      const volume = sandbox.cloud.volumes.get(id)
      assert.ok(volume)
      sandbox.cloud.volumes.change(volume, { status })
      assertFault(await pool.call('DELETE', `/volumes/${id}`), 400, 'badRequest', NOT_DELETABLE)
      assertFault(
        await pool.action(id, 'os-force_delete'),
        403,
        'forbidden',
        "Policy doesn't allow volume_extension:volume_admin_actions:force_delete to be performed."
      )
      assert.equal((await admin.action(id, 'os-force_delete')).status, 202)
      await settled()
      assert.equal((await pool.call('GET', `/volumes/${id}`)).status, 404)
    }
  )

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

  it('is refused while it has snapshots, and takes them along when asked to', async t => {
    const { pool } = await aCloud(t)
    const { id } = await pool.create()
    const { snapshot } = (await pool.call('POST', '/snapshots', { snapshot: { volume_id: id, name: 's' } })).body
    assertFault(await pool.call('DELETE', `/volumes/${id}`), 400, 'badRequest', NOT_DELETABLE)
    assert.equal((await pool.call('DELETE', `/volumes/${id}?cascade=true`)).status, 202)
    assert.equal((await pool.call('GET', `/snapshots/${snapshot.id}`)).status, 404)
  })

  it("does not exist for another project's user", async t => {
    const { pool, tenant } = await aCloud(t)
    const { id } = await pool.create()
    assert.equal((await tenant.call('DELETE', `/volumes/${id}`)).status, 404)
    assert.equal((await tenant.call('GET', `/volumes/${id}`)).status, 404)
  })
})
