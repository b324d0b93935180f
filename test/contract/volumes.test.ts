import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  admin,
  aSnapshot,
  asked,
  assertFault,
  aVolume,
  type Body,
  becomes,
  discard,
  golden,
  loginAs,
  NOBODY,
  newVolume,
  pool,
  shown,
  TRANSFERS,
  tenant,
  traits,
  unique
} from './support.ts'

const WHOLE_SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000$/
const MICROSECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/

describe('a new volume', () => {
  it('is shown with all that it will have, still creating', async t => {
    const snapshot = await golden()
    const name = unique('new')
    const wish = { volume: { snapshot_id: snapshot.id, name, metadata: { k: 'v' } } }
    const { status, body } = await pool.call('POST', '/volumes', wish, 0)
    const { id, created_at: createdAt, links, ...volume } = body.volume
    t.onTestFinished(() => discard(id))
    assert.equal(status, 202)
    assert.match(createdAt, MICROSECONDS)
    assert.deepEqual(
      links.map(({ rel }: Body) => rel),
      ['self', 'bookmark']
    )
    assert.deepEqual(volume, {
      status: 'creating',
      size: snapshot.size,
      availability_zone: 'nova',
      updated_at: null,
      name,
      description: null,
      volume_type: 'ceph-ssd',
      snapshot_id: snapshot.id,
      source_volid: null,
      metadata: { k: 'v' },
      user_id: pool.userId,
      bootable: 'true',
      encrypted: false,
      replication_status: null,
      consistencygroup_id: null,
      multiattach: false,
      attachments: []
    })
    await becomes(pool, id, 'available')
    const later = (await pool.get(`/volumes/${id}`, 0)).volume
    assert.match(later.created_at, WHOLE_SECONDS)
    assert.match(later.updated_at, WHOLE_SECONDS)
    const { id: _id, created_at: _created, updated_at: _updated, links: _links, ...rest } = later
    const { updated_at: _never, ...expected } = volume
    const tenancy = { 'os-vol-tenant-attr:tenant_id': pool.projectId }
    assert.deepEqual(rest, { ...expected, status: 'available', ...tenancy })
  })

  it('without a source is empty, of the type asked for or the first one, and not bootable', async t => {
    const plain = await newVolume(t, pool)
    assert.deepEqual([plain.volume_type, plain.bootable, plain.snapshot_id], ['ceph-ssd', 'false', null])
    assert.equal((await newVolume(t, pool, { volume_type: 'ceph-sas' })).volume_type, 'ceph-sas')
  })

  it('may be larger than its snapshot, and is as large where no size is given', async t => {
    const { id, size } = await golden()
    assert.equal((await newVolume(t, pool, { snapshot_id: id, size: size + 1 })).size, size + 1)
    assert.equal((await newVolume(t, pool, { snapshot_id: id, size: null })).size, size)
  })

  it('takes neither the name nor the metadata of its snapshot', async t => {
    const source = await aVolume(t, pool, { metadata: { of: 'volume' } })
    const { id } = await aSnapshot(t, pool, source.id, { metadata: { of: 'snapshot' } })
    const { volume } = (await pool.call('POST', '/volumes', { volume: { snapshot_id: id } })).body
    t.onTestFinished(() => discard(volume.id))
    assert.deepEqual([volume.name, volume.metadata], [null, {}])
    await becomes(pool, volume.id, 'available')
  })

  it('shows its host and its project to administrators, whose project need not be its own', async t => {
    const { id } = await aVolume(t, tenant)
    const volume = await shown(admin, id)
    assert.match(volume['os-vol-host-attr:host'], /@.*#/)
    assert.equal(volume['os-vol-tenant-attr:tenant_id'], tenant.projectId)
    assert.equal('os-vol-host-attr:host' in (await shown(tenant, id)), false)
  })

  it('of one project does not exist for the users of another', async t => {
    const { id } = await aVolume(t, pool)
    const message = `Volume ${id} could not be found.`
    assertFault(await tenant.call('GET', `/volumes/${id}`), 404, 'itemNotFound', message)
    assertFault(await tenant.call('DELETE', `/volumes/${id}`), 404, 'itemNotFound', message)
    const renamed = await tenant.call('PUT', `/volumes/${id}`, { volume: { name: 'mine' } })
    assertFault(renamed, 404, 'itemNotFound', message)
    assertFault(await tenant.action(id, 'os-extend', { new_size: 2 }), 404, 'itemNotFound', message)
    assertFault(await tenant.call('POST', TRANSFERS, { transfer: { volume_id: id } }), 404, 'itemNotFound', message)
  })

  it("cannot come from another project's snapshot, unless an administrator asks", async t => {
    const { id, size } = await golden()
    const refused = await tenant.call('POST', '/volumes', { volume: { snapshot_id: id, size } })
    assertFault(refused, 404, 'itemNotFound', `Snapshot ${id} could not be found.`)
    const inTenant = await loginAs('admin', 'tenant-a')
    const made = await newVolume(t, inTenant, { snapshot_id: id, size })
    const volume = await becomes(tenant, made.id, 'available')
    assert.deepEqual([volume.snapshot_id, volume['os-vol-tenant-attr:tenant_id']], [id, tenant.projectId])
  })
})

describe('a wish for a volume', () => {
  const field = (name: string, value: string, rest: string): string =>
    `Invalid input for field/attribute ${name}. Value: ${value}. ${rest}`
  const refusals: [string, object, number, string, string | RegExp][] = [
    ['an unknown snapshot', { snapshot_id: NOBODY }, 404, 'itemNotFound', `Snapshot ${NOBODY} could not be found.`],
    [
      'no UUID',
      { snapshot_id: 'no-uuid' },
      400,
      'badRequest',
      field('snapshot_id', 'no-uuid', "'no-uuid' is not valid under any of the given schemas")
    ],
    ['an unknown type', { volume_type: 'none' }, 404, 'itemNotFound', 'Volume type with name none could not be found.'],
    ['size 0', { size: 0 }, 400, 'badRequest', field('size', '0', '0 is less than the minimum of 1')],
    [
      'size abc',
      { size: 'abc' },
      400,
      'badRequest',
      /^Invalid input for field\/attribute size\. Value: abc\. 'abc' does not match /
    ],
    [
      'no size and no source',
      { size: null },
      400,
      'badRequest',
      'The server could not comply with the request since it is either malformed or otherwise incorrect.'
    ],
    [
      'a long name',
      { name: 'n'.repeat(300) },
      400,
      'badRequest',
      'Invalid input received: name has 300 characters, more than 255.'
    ],
    [
      'a long value',
      { metadata: { k: 'x'.repeat(300) } },
      400,
      'badRequest',
      field('k', 'x'.repeat(300), `'${'x'.repeat(300)}' is too long`)
    ],
    [
      'a value that is no text',
      { metadata: { k: 7 } },
      400,
      'badRequest',
      field('k', '7', "7 is not of type 'string'")
    ],
    ['an unknown zone', { availability_zone: 'mars' }, 400, 'badRequest', "Availability zone 'mars' is invalid."],
    [
      'an unknown key',
      { color: 'red' },
      400,
      'badRequest',
      /Additional properties are not allowed \('color' was unexpected\)$/
    ]
  ]
  /** What Cinder passes over, or finds in another way. */
  const untold = [...(traits.checksBodies ? [] : ['no UUID']), ...(asked < 53 ? ['an unknown key'] : [])]
  it.for(refusals.filter(([what]) => !untold.includes(what)))(
    'is refused with %s',
    async ([, wish, status, fault, message]) => {
      const volume = { name: 'refused', size: 1, ...wish }
      assertFault(await pool.call('POST', '/volumes', { volume }), status, fault, message)
    }
  )

  it('is refused with another type than that of the snapshot, or up to Queens given that of the snapshot', async t => {
    const { id, size } = await golden()
    if (traits.typeFromSnapshot === 'always') {
      const wish = { snapshot_id: id, size, volume_type: 'ceph-sas' }
      assert.equal((await newVolume(t, pool, wish)).volume_type, 'ceph-ssd')
      return
    }
    const refused = await pool.call('POST', '/volumes', { volume: { snapshot_id: id, size, volume_type: 'ceph-sas' } })
    assertFault(
      refused,
      400,
      'badRequest',
      /^Invalid input received: Invalid volume_type provided: [0-9a-f-]{36} \(requested type is not compatible; recommend omitting the type argument\)\.$/
    )
  })

  it('is refused with less than the size of the snapshot', async t => {
    const source = await aVolume(t, pool, { size: 2 })
    const { id } = await aSnapshot(t, pool, source.id)
    assertFault(
      await pool.call('POST', '/volumes', { volume: { snapshot_id: id, size: 1 } }),
      400,
      'badRequest',
      "Invalid input received: Volume size '1'GB cannot be smaller than the snapshot size 2GB. They must be >= original snapshot size."
    )
  })
})

describe('a change to a volume', () => {
  it.for([
    ['  web-01_sys ', 'web-01_sys'],
    ['\u3000\ufeffweb-01_sys\u2028', '\ufeffweb-01_sys']
  ])('renames it, without the space around the name as Python sees it: %j', async ([given = '', kept], t) => {
    const { id } = await aVolume(t, pool)
    const { status, body } = await pool.call('PUT', `/volumes/${id}`, { volume: { name: given } })
    assert.deepEqual([status, body.volume.name], [200, kept])
    assert.equal((await shown(pool, id)).name, kept)
  })

  it('fails at a name beyond U+FFFF, which its MySQL cannot keep, and leaves the old one', async t => {
    const { id, name } = await aVolume(t, pool)
    assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: { name: '\u{1f600}-01' } })).status, 500)
    assert.equal((await shown(pool, id)).name, name)
  })

  it('replaces all metadata or leaves it, as the change says', async t => {
    const { id } = await aVolume(t, pool, { metadata: { a: '1', b: '2' } })
    const change = async (volume: object): Promise<object> => {
      const { status, body } = await pool.call('PUT', `/volumes/${id}`, { volume })
      assert.equal(status, 200)
      assert.deepEqual((await shown(pool, id)).metadata, body.volume.metadata)
      return body.volume.metadata
    }
    assert.deepEqual(await change({ name: 'same' }), { a: '1', b: '2' })
    assert.deepEqual(await change({ metadata: { c: '3' } }), { c: '3' })
    assert.deepEqual(await change({ name: 'none', metadata: {} }), {})
  })

  it('merges metadata with POST, and deletes one key', async t => {
    const { id } = await aVolume(t, pool, { metadata: { a: '1' } })
    const merged = await pool.call('POST', `/volumes/${id}/metadata`, { metadata: { b: '2' } })
    assert.deepEqual([merged.status, merged.body], [200, { metadata: { a: '1', b: '2' } }])
    assert.equal((await pool.call('DELETE', `/volumes/${id}/metadata/a`)).status, 200)
    assert.deepEqual((await shown(pool, id)).metadata, { b: '2' })
    const missing = await pool.call('GET', `/volumes/${id}/metadata/a`)
    assertFault(missing, 404, 'itemNotFound', `Volume ${id} has no metadata with key a.`)
  })

  it('that says nothing is refused since 3.53', async t => {
    const { id } = await aVolume(t, pool)
    const before = Math.min(traits.maxMinor, 52)
    assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: {} }, before)).status, 200)
    if (traits.maxMinor <= 52) return
    const message =
      'Invalid input for field/attribute volume. Value: {}. {} is not valid under any of the given schemas'
    assertFault(await pool.call('PUT', `/volumes/${id}`, { volume: {} }, 53), 400, 'badRequest', message)
  })

  it('is refused with too long a name, and during maintenance', async t => {
    const { id } = await aVolume(t, pool)
    const rename = (name: string) => pool.call('PUT', `/volumes/${id}`, { volume: { name } })
    assertFault(
      await rename('n'.repeat(256)),
      400,
      'badRequest',
      'Invalid input received: name has 256 characters, more than 255.'
    )
    assert.equal((await admin.action(id, 'os-reset_status', { status: 'maintenance' })).status, 202)
    const message = 'Invalid volume: The volume cannot be updated during maintenance.'
    assertFault(await rename('busy'), 400, 'badRequest', message)
  })

  it('makes it bootable', async t => {
    const { id } = await aVolume(t, pool)
    const { status, text } = await pool.action(id, 'os-set_bootable', { bootable: true })
    assert.deepEqual([status, text], [200, ''])
    assert.equal((await shown(pool, id)).bootable, 'true')
  })
})
