import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { collect } from '../../src/operations/concurrently.ts'
import { CloudError } from '../../src/pool/errors.ts'
import type { VolumeFilter, Volumes } from '../../src/pool/ports.ts'
import { failing } from '../support/cloud-failures.ts'
import { CALL, fault, POOL, ScriptedCloud, TENANT, type Test, volumeBody } from '../support/scripted-cloud.ts'

const LIST = 'GET /volumes/detail'
const next = [{ rel: 'next', href: 'http://wrong.example/volumes' }]

async function aPool(t: Test) {
  const cloud = await ScriptedCloud.start(t)
  return { cloud, ...(await cloud.connect().poolProject(CALL)) }
}

async function idsOf(volumes: Volumes, filter: VolumeFilter = {}): Promise<string[][]> {
  const pages: string[][] = []
  for await (const page of volumes.pages(filter, CALL)) pages.push(page.map(({ id }) => id))
  return pages
}

describe('a volume', () => {
  it('is read as Cinder shows it, its times as UTC', async t => {
    const { cloud, volumes } = await aPool(t)
    const body = volumeBody('v1', { metadata: { spare_pool: 'default' }, created_at: '2026-11-22T11:27:53.825147' })
    cloud.onCinder('GET /volumes/v1', { body: { volume: body } })
    assert.deepEqual(await volumes.find('v1', CALL), {
      id: 'v1',
      name: 'spare-v1',
      status: 'available',
      sizeGib: 20,
      volumeType: 'ceph-ssd',
      snapshotId: 'snapshot-1',
      projectId: POOL,
      metadata: { spare_pool: 'default' },
      attached: false,
      bootable: true,
      encrypted: false,
      createdAt: new Date('2026-11-22T11:27:53.825Z')
    })
  })

  it('may lack a name, a type, a source and a project', async t => {
    const { cloud, volumes } = await aPool(t)
    const body = volumeBody('v1', { name: null, volume_type: null, snapshot_id: null, attachments: [{ id: 'a' }] })
    const { 'os-vol-tenant-attr:tenant_id': _project, ...withoutProject } = body
    cloud.onCinder('GET /volumes/v1', { body: { volume: withoutProject } })
    const volume = await volumes.find('v1', CALL)
    assert.deepEqual(
      [volume?.name, volume?.volumeType, volume?.snapshotId, volume?.projectId],
      ['', '', undefined, POOL] // A member's token shows no volume of another project.
    )
    assert.equal(volume?.attached, true)
  })

  it.for([
    ['false', false],
    ['true', true]
  ])('says whether it boots, as a text: %s', async ([bootable, expected], t) => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('GET /volumes/v1', { body: { volume: volumeBody('v1', { bootable }) } })
    assert.equal((await volumes.find('v1', CALL))?.bootable, expected)
  })

  it('is encrypted where Cinder says so, as to its creation too', async t => {
    const { cloud, volumes } = await aPool(t)
    const body = { volume: volumeBody('v1', { encrypted: true }) }
    cloud.onCinder('GET /volumes/v1', { body })
    cloud.onCinder('POST /volumes', { status: 202, body })
    const made = await volumes.create({ name: 'spare-v1', snapshotId: 's', sizeGib: 20, volumeType: 'luks' }, CALL)
    assert.deepEqual([(await volumes.find('v1', CALL))?.encrypted, made.encrypted], [true, true])
  })

  it('is asked for with its type, which Cinder might take another for, or with none', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('POST /volumes', { status: 202, body: { volume: volumeBody('v1') } })
    for (const volumeType of ['ceph-ssd', '']) {
      await volumes.create({ name: 'spare-v1', snapshotId: 's', sizeGib: 20, volumeType }, CALL)
    }
    const asked = { name: 'spare-v1', snapshot_id: 's', size: 20, metadata: {} }
    assert.deepEqual(
      cloud.asked.map(({ body }) => body),
      [{ volume: { ...asked, volume_type: 'ceph-ssd' } }, { volume: asked }]
    )
  })

  it('has no text that PostgreSQL cannot keep, nor has a refusal', async t => {
    const { cloud, volumes } = await aPool(t)
    const metadata = JSON.parse('{"__proto__": "a", "spare_id": "\\ud800"}')
    cloud.onCinder('GET /volumes/v1', { body: { volume: volumeBody('v1', { name: 'a\0b😀', metadata }) } })
    const volume = await volumes.find('v1', CALL)
    assert.deepEqual(
      [volume?.name, Object.entries(volume?.metadata ?? {})],
      [
        'a\ufffdb😀',
        [
          ['__proto__', 'a'],
          ['spare_id', '\ufffd']
        ]
      ]
    )
    cloud.onCinder('GET /volumes/v1', fault(403, 'forbidden', 'not \0 you'))
    await assert.rejects(volumes.find('v1', CALL), /Cinder: not \ufffd you/)
  })

  it('that Cinder does not know is not found; one that only a proxy does not know may still be there', async t => {
    const { cloud, volumes } = await aPool(t)
    assert.equal(await volumes.find('v1', CALL), undefined)
    cloud.onCinder('GET /volumes/v1', { status: 404, body: '<h1>404 Not Found</h1>' })
    await assert.rejects(volumes.find('v1', CALL), CloudError)
  })

  it('is named in the address, whatever characters its id has', async t => {
    const { cloud, volumes } = await aPool(t)
    await volumes.find('../a?b', CALL)
    assert.equal(cloud.seen.at(-1)?.path, `/volume/v3/${POOL}/volumes/..%2Fa%3Fb`)
  })

  it('is deleted when it is gone, or on its way, already', async t => {
    const { cloud, volumes } = await aPool(t)
    await volumes.delete('v1', CALL)
    cloud.onCinder('DELETE /volumes/v1', fault(400, 'badRequest', 'Invalid volume: Volume status must be available'))
    await volumes.delete('v1', CALL)
    cloud.onCinder('GET /volumes/v1', { body: { volume: volumeBody('v1', { status: 'deleting' }) } })
    await volumes.delete('v1', CALL)
    cloud.onCinder('GET /volumes/v1', { body: { volume: volumeBody('v1', { status: 'awaiting-transfer' }) } })
    await assert.rejects(volumes.delete('v1', CALL), (error: CloudError) => error.code === 'bad_request')
  })

  it('keeps its metadata when only its name is changed', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('PUT /volumes/v1', { body: { volume: {} } })
    await volumes.update('v1', { name: 'web-01_sys' }, CALL)
    assert.deepEqual(cloud.seen.at(-1)?.body, { volume: { name: 'web-01_sys' } })
    await volumes.update('v1', { name: 'web-01_sys', metadata: {} }, CALL)
    assert.deepEqual(cloud.seen.at(-1)?.body, { volume: { name: 'web-01_sys', metadata: {} } })
  })

  it('in error has the newest reason that is about it', async t => {
    const { cloud, volumes } = await aPool(t)
    const message = (resource: string, at: string, words: string) => ({
      resource_uuid: resource,
      created_at: `2026-11-22T${at}.000000`,
      user_message: words
    })
    const messages = [
      message('v1', '10:00:00', 'old'),
      message('v1', '11:00:00', 'new'),
      message('v2', '12:00:00', 'x')
    ]
    cloud.onCinder('GET /messages', { body: { messages } }, { body: { messages: [] } })
    assert.equal(await volumes.faultOf('v1', CALL), 'new')
    assert.equal(cloud.seen.at(-1)?.query.get('resource_uuid'), 'v1')
    assert.equal(await volumes.faultOf('v1', CALL), undefined)
  })
})

describe('listing volumes', () => {
  it('asks for what the filter says, in order of the ids', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(LIST, { body: { volumes: [] } })
    const metadata = { spare_pool: `it's "quoted" \\ ü` }
    const createdSince = new Date('2026-11-22T11:27:53.900Z')
    assert.deepEqual(await idsOf(volumes, { name: 'a b&c', status: 'creating', metadata, createdSince }), [])
    assert.deepEqual(Object.fromEntries(cloud.seen.at(-1)?.query ?? []), {
      limit: '1000',
      sort: 'id:asc',
      name: 'a b&c',
      status: 'creating',
      metadata: String.raw`{"spare_pool":"it's \"quoted\" \\ ü"}`,
      created_at: 'gte:2026-11-22T11:27:53'
    })
  })

  it('compares again what Cinder compares loosely', async t => {
    const { cloud, volumes } = await aPool(t)
    const found = [
      volumeBody('v1', { name: 'Web-01_sys' }),
      volumeBody('v2', { name: 'web-01_sys', created_at: '2026-11-22T11:27:52.000000' }),
      volumeBody('v3', { name: 'web-01_sys', status: 'error' }),
      volumeBody('v4', { name: 'web-01_sys', metadata: { a: 'B' } }),
      volumeBody('v5', { name: 'web-01_sys', metadata: { a: 'b' } })
    ]
    cloud.onCinder(LIST, { body: { volumes: found } })
    const createdSince = new Date('2026-11-22T11:27:53.900Z')
    const filter = { name: 'web-01_sys', status: 'available', metadata: { a: 'b' }, createdSince }
    assert.deepEqual(await idsOf(volumes, filter), [['v5']])
  })

  it('does not ask an old Cinder for times', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.offers('3.55')
    cloud.onCinder(LIST, { body: { volumes: [volumeBody('v1')] } })
    assert.deepEqual(await idsOf(volumes, { createdSince: new Date('2026-11-23T00:00:00Z') }), [])
    assert.equal(cloud.seen.at(-1)?.query.has('created_at'), false)
  })

  it('follows the pages by the last id, not by Cinder’s link', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(
      LIST,
      { body: { volumes: [volumeBody('v1'), volumeBody('v2')], volumes_links: next } },
      { body: { volumes: [volumeBody('v3')], volumes_links: next } },
      { body: { volumes: [] } }
    )
    assert.deepEqual(await idsOf(volumes), [['v1', 'v2'], ['v3']])
    const markers = cloud.seen.filter(({ path }) => path.endsWith('/detail')).map(({ query }) => query.get('marker'))
    assert.deepEqual(markers, [null, 'v2', 'v3'])
  })

  it('begins anew when the marker vanishes, and shows nothing twice', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(
      LIST,
      { body: { volumes: [volumeBody('v1'), volumeBody('v2')], volumes_links: next } },
      fault(404, 'itemNotFound', 'Volume v2 could not be found.'),
      { body: { volumes: [volumeBody('v1'), volumeBody('v3')] } }
    )
    assert.deepEqual(await idsOf(volumes), [['v1', 'v2'], ['v3']])
  })

  it('does not take a list for whole that is in another order than asked for', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(LIST, { body: { volumes: ['v2', 'v3', 'v1'].map(id => volumeBody(id)) } })
    await assert.rejects(idsOf(volumes), failing('failed', /order/))
  })

  it('gives up when markers keep vanishing', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(LIST, ({ query }) =>
      query.has('marker')
        ? fault(404, 'itemNotFound', 'Volume could not be found.')
        : { body: { volumes: [volumeBody('v1')], volumes_links: next } }
    )
    await assert.rejects(idsOf(volumes), (error: CloudError) => error.code === 'failed')
  })

  it('asks for no page before it is wanted', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(LIST, { body: { volumes: [volumeBody('v1')], volumes_links: next } })
    for await (const page of volumes.pages({}, CALL)) {
      assert.equal(page.length, 1)
      break
    }
    assert.equal(cloud.countCinder(LIST), 1)
  })
})

describe('the quota', () => {
  it('is what is left of each limit', async t => {
    const { cloud, volumes } = await aPool(t)
    const resource = (limit: number, used: number, reserved: number) => ({ limit, in_use: used, reserved })
    cloud.onCinder(`GET /os-quota-sets/${POOL}`, {
      body: {
        quota_set: {
          id: POOL,
          volumes: resource(10, 4, 1),
          gigabytes: resource(-1, 80, 0),
          'gigabytes_ceph-ssd': resource(100, 120, 0),
          snapshots: resource(10, 1, 0),
          per_volume_gigabytes: resource(500, 0, 0)
        }
      }
    })
    assert.deepEqual(Object.fromEntries(await volumes.quota(CALL)), {
      volumes: 5,
      'gigabytes_ceph-ssd': -20,
      per_volume_gigabytes: 500
    })
    assert.equal(cloud.seen.at(-1)?.query.get('usage'), 'true')
  })

  it('comes from the limits where quotas may not be seen', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(`GET /os-quota-sets/${POOL}`, fault(403, 'forbidden', 'Policy'))
    const absolute = {
      maxTotalVolumes: 10,
      totalVolumesUsed: 3,
      maxTotalVolumeGigabytes: -1,
      totalGigabytesUsed: 60
    }
    cloud.onCinder('GET /limits', { body: { limits: { rate: [], absolute } } })
    assert.deepEqual(Object.fromEntries(await volumes.quota(CALL)), { volumes: 7 })
  })
})

describe('the volume types', () => {
  it('are all that the token may use, by their names: an admin has to ask for the private ones', async t => {
    const { cloud, volumes } = await aPool(t)
    const types = [
      { id: 't1', name: 'ceph-ssd', is_public: true },
      { id: 't2', name: 'ceph-sas', is_public: false }
    ]
    cloud.onCinder('GET /types', { body: { volume_types: types } })
    assert.deepEqual(await volumes.types(CALL), ['ceph-ssd', 'ceph-sas'])
    assert.equal(cloud.seen.at(-1)?.query.get('is_public'), 'None')
  })
})

describe('transfers and snapshots', () => {
  it('of an armed volume the key is told', async t => {
    const { cloud, transfers } = await aPool(t)
    const body = { transfer: { id: 't1', volume_id: 'v1', name: 'spare-1', auth_key: '665ac9b6eafcf415' } }
    cloud.onCinder('POST /volume-transfers', { status: 202, body })
    assert.deepEqual(await transfers.create('v1', 'spare-1', CALL), {
      id: 't1',
      volumeId: 'v1',
      name: 'spare-1',
      authKey: '665ac9b6eafcf415'
    })
    assert.deepEqual(cloud.seen.at(-1)?.body, { transfer: { volume_id: 'v1', name: 'spare-1', no_snapshots: true } })
  })

  it('lists the transfers of one volume, whatever Cinder makes of the filter', async t => {
    const { cloud, transfers } = await aPool(t)
    const two = ['v1', 'v2'].map(volume => ({ id: `t-${volume}`, volume_id: volume, name: null }))
    cloud.onCinder('GET /volume-transfers/detail', { body: { transfers: two } })
    assert.deepEqual(await transfers.ofVolume('v2', CALL), [{ id: 't-v2', volumeId: 'v2', name: '' }])
    assert.deepEqual(Object.fromEntries(cloud.seen.at(-1)?.query ?? []), { volume_id: 'v2' })
  })

  it('lists all transfers in order of their volumes, page by page', async t => {
    const { cloud, transfers } = await aPool(t)
    const transfer = (id: string, volume: string) => ({ id, volume_id: volume, name: null })
    cloud.onCinder(
      'GET /volume-transfers/detail',
      { body: { transfers: [transfer('t9', 'v1'), transfer('t1', 'v2')], transfers_links: next } },
      { body: { transfers: [transfer('t2', 'v2')] } }
    )
    const ids = (await collect(transfers.pages(CALL))).map(({ id }) => id)
    assert.deepEqual(ids, ['t9', 't1', 't2'])
    const query = { limit: '1000', sort: 'volume_id:asc,id:asc', marker: 't1' }
    assert.deepEqual(Object.fromEntries(cloud.seen.at(-1)?.query ?? []), query)
  })

  it('asks an old Cinder, which would list nothing then, for no page and no order', async t => {
    const { cloud, transfers } = await aPool(t)
    cloud.offers('3.58')
    const two = ['v2', 'v1'].map(volume => ({ id: `t-${volume}`, volume_id: volume, name: null }))
    cloud.onCinder('GET /volume-transfers/detail', { body: { transfers: two } })
    assert.deepEqual(
      (await collect(transfers.pages(CALL))).map(({ volumeId }) => volumeId),
      ['v1', 'v2']
    )
    assert.deepEqual(Object.fromEntries(cloud.seen.at(-1)?.query ?? []), {})
  })

  it('has deleted a transfer that is gone', async t => {
    const { transfers } = await aPool(t)
    await transfers.delete('t1', CALL)
  })

  it('lists all snapshots, over all pages', async t => {
    const { cloud, snapshots } = await aPool(t)
    const snapshot = (id: string) => ({ ...SNAPSHOT, id })
    cloud.onCinder(
      'GET /snapshots/detail',
      { body: { snapshots: [snapshot('s1')], snapshots_links: next } },
      { body: { snapshots: [snapshot('s2')] } }
    )
    const listed = await snapshots.list(CALL)
    assert.deepEqual(
      listed.map(({ id }) => id),
      ['s1', 's2']
    )
    assert.deepEqual(listed[0], {
      id: 's1',
      name: 'debian12_ssd_20261101',
      status: 'available',
      sizeGib: 20,
      volumeId: 'golden',
      createdAt: new Date('2026-11-22T11:27:15Z')
    })
  })

  it('finds a snapshot whatever its status, and none that is gone, or another project’s, which an admin is shown', async t => {
    const { cloud, snapshots } = await aPool(t)
    const owner = 'os-extended-snapshot-attributes:project_id'
    cloud.onCinder(
      'GET /snapshots/s1',
      { body: { snapshot: { ...SNAPSHOT, status: 'error' } } },
      { body: { snapshot: { ...SNAPSHOT, [owner]: POOL } } },
      { body: { snapshot: { ...SNAPSHOT, [owner]: TENANT } } }
    )
    for (const status of ['error', 'available', undefined]) {
      assert.equal((await snapshots.find('s1', CALL))?.status, status)
    }
    assert.equal(await snapshots.find('s2', CALL), undefined)
    cloud.onCinder('GET /snapshots/s2', fault(403, 'forbidden', 'Policy does not allow it.'))
    await assert.rejects(snapshots.find('s2', CALL), { code: 'forbidden' })
  })
})

const SNAPSHOT = {
  id: 's1',
  name: 'debian12_ssd_20261101',
  status: 'available',
  size: 20,
  volume_id: 'golden',
  created_at: '2026-11-22T11:27:15.000000'
}
