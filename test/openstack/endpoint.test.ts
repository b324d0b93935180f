import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { rootOf } from '../../src/openstack/endpoint.ts'
import type { CloudError } from '../../src/pool/errors.ts'
import { failureOf } from '../support/cloud-failures.ts'
import { Gate } from '../support/gate.ts'
import {
  CALL,
  endpoint,
  fault,
  PAGE,
  POOL,
  type Reply,
  ScriptedCloud,
  service,
  type Test,
  versions,
  volumeBody
} from '../support/scripted-cloud.ts'

const SHOW = 'GET /volumes/v1'

async function aCloud(t: Test, catalog?: (cloud: ScriptedCloud) => unknown[]) {
  const cloud = await ScriptedCloud.start(t)
  cloud.onCinder(SHOW, { body: { volume: volumeBody('v1') } })
  if (catalog) cloud.on('POST /identity/v3/auth/tokens', seen => cloud.login(seen, catalog(cloud)))
  return cloud
}

const find = async (cloud: ScriptedCloud, settings: Record<string, string> = {}) => {
  const { volumes } = await cloud.connect({ settings: cloud.settings(settings) }).poolProject(CALL)
  return await volumes.find('v1', CALL)
}

const saying = (words: RegExp) => (error: CloudError) => {
  assert.equal(error.code, 'failed')
  assert.match(error.message, words)
  return true
}

describe('finding Cinder in the catalogue', () => {
  it.for([
    ['block-storage', `/volume/v3/${POOL}`],
    ['volumev3', '/volume/v3/'],
    ['block-store', '/volume/v3'],
    ['volumev2', '/volume/v2/%(tenant_id)s'],
    ['volume', '/volume/v1/$(project_id)s/'],
    ['volume', `/volume/v2.0/${POOL}`],
    ['volume', '/volume/']
  ] as const)('takes %s at %s', async ([type, path], t) => {
    const cloud = await aCloud(t, ({ url }) => [service(type, endpoint(`${url}${path}`))])
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('goes to /v3 where a cloud of Mitaka has registered /v1 and /v2 only (case 1)', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service('volume', endpoint(`${url}/volume/v1/${POOL}`)),
      service('volumev2', endpoint(`${url}/volume/v2/${POOL}`))
    ])
    cloud.offers('3.0')
    await find(cloud)
    assert.deepEqual(
      cloud.seen.slice(1).map(({ path }) => path),
      ['/volume/v3/', `/volume/v3/${POOL}/volumes/v1`]
    )
  })

  it.for([
    ['https://c.example/volume/v3/%(project_id)s', 'https://c.example/volume'],
    ['https://c.example/v2/prefix/v3/', 'https://c.example/v2/prefix'],
    [`https://c.example:8776/v3/region/v1/${POOL}`, 'https://c.example:8776/v3/region'],
    ['https://c.example/v2/volume', 'https://c.example/v2/volume'],
    ['https://c.example/volume/v3/1042', 'https://c.example/volume'],
    ['https://c.example/volume/v3/AUTH_%(tenant_id)s', 'https://c.example/volume'],
    ['http://srv1.example:8776/v1/own-id', 'http://srv1.example:8776'],
    ['http://c.example', 'http://c.example']
  ] as const)('takes the version and the project off %s, and nothing else', ([url, root]) => {
    assert.equal(rootOf(url, 'own-id'), root)
  })

  it('passes over what has no address, no interface or no type, and other services’ oddities', async t => {
    const odd = [null, 'x', { type: null, endpoints: null }, { endpoints: [] }, service('image'), { type: 'dns' }]
    const cloud = await aCloud(t, ({ url }) => [
      ...odd,
      service('network', endpoint('x'), { url: null, interface: 'public' }, { url: 'x' }, null, 7),
      service('block-storage', { url: null, interface: 'public', region: 'RegionOne' }, { url: `${url}/wrong` }),
      service('volumev3', endpoint(`${url}/wrong`, 'admin'), {
        url: `${url}/volume/v3`,
        interface: 'public',
        region: 1
      })
    ])
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('takes another name of the service where the best one has no address for us', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service('block-storage', endpoint(`${url}/wrong`, 'internal')),
      service('volumev2', endpoint(`${url}/volume/v2/${POOL}`))
    ])
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('follows no link of Cinder’s, whose proxy may not have told it that it is behind https', async t => {
    const cloud = await aCloud(t)
    const [v3] = (versions('3.60') as { versions: object[] }).versions
    const links = [{ rel: 'self', href: 'http://inside.example:8776/v3/' }]
    cloud.on('GET /volume/v3/', { body: { versions: [{ ...v3, links }] } })
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('reads the ids of projects that are numbers', async t => {
    const cloud = await aCloud(t)
    cloud.on('POST /identity/v3/auth/tokens', seen => {
      const { body, ...reply } = cloud.login(seen)
      const { token } = body as { token: object }
      return { ...reply, body: { token: { ...token, project: { id: 1042, name: 'pool' } } } }
    })
    const volume = { ...volumeBody('v1'), 'os-vol-tenant-attr:tenant_id': 1042 }
    cloud.on('GET /volume/v3/1042/volumes/v1', { body: { volume } })
    assert.equal((await find(cloud))?.projectId, '1042')
  })

  it('prefers the newer name of the service', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service('volume', endpoint(`${url}/old/v3`)),
      service('volumev3', endpoint(`${url}/old/v3`)),
      service('block-storage', endpoint(`${url}/volume/v3`))
    ])
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('takes the endpoint of the region and the interface', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service(
        'block-storage',
        endpoint(`${url}/wrong`, 'public', 'north'),
        endpoint(`${url}/wrong`, 'internal', 'south'),
        endpoint(`${url}/volume/v3`, 'internal', 'north')
      )
    ])
    assert.equal((await find(cloud, { region_name: 'north', interface: 'internalURL' }))?.id, 'v1')
  })

  it('takes an endpoint without a region where none is asked for', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service('block-storage', { url: `${url}/volume/v3`, interface: 'public', region: null })
    ])
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('says which regions and interfaces there are when none fits', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service('block-storage', endpoint(url, 'public', 'north'), endpoint(url, 'admin', 'south'))
    ])
    const offered =
      /no public endpoint of block-storage in region west: it has public in region north, admin in region south;/
    await assert.rejects(find(cloud, { region_name: 'west' }), saying(offered))
  })

  it('does not guess between regions', async t => {
    const cloud = await aCloud(t, ({ url }) => [
      service('block-storage', endpoint(url, 'public', 'north'), endpoint(url, 'public', 'south'))
    ])
    await assert.rejects(find(cloud), saying(/more than one region .* set openstack\.region_name/))
  })

  it('says which services there are when there is no block storage', async t => {
    const cloud = await aCloud(t, ({ url }) => [service('identity', endpoint(url)), service('image', endpoint(url))])
    await assert.rejects(find(cloud), saying(/no block storage service .* it has identity, image/))
  })

  it('leaves the catalogue aside where the address is given', async t => {
    const cloud = await aCloud(t, () => [])
    const given = { block_storage_endpoint_override: `${cloud.url}/volume/v3/%(project_id)s` }
    assert.equal((await find(cloud, given))?.id, 'v1')
  })
})

describe('the microversion', () => {
  it.for([
    ['3.71', 'volume 3.60'],
    ['3.60', 'volume 3.60'],
    ['3.59', 'volume 3.59'],
    ['3.50', 'volume 3.50'],
    ['3.43', 'volume 3.43'],
    ['3.27', 'volume 3.27'],
    ['3.15', 'volume 3.15'],
    ['3.0', 'volume 3.0']
  ] as const)('of a Cinder with %s is %s (case 2)', async ([offered, asked], t) => {
    const cloud = await aCloud(t)
    cloud.offers(offered)
    await find(cloud)
    assert.equal(cloud.seen.at(-1)?.headers['openstack-api-version'], asked)
    const client = cloud.connect()
    assert.deepEqual(
      [`volume ${await client.microversion(CALL)}`, `3.${(await client.release(CALL)).highestMinor}`],
      [asked, offered]
    )
  })

  it.for(['3.0', '3.50', '3.59'])('is the one that is pinned: %s', async (pinned, t) => {
    const cloud = await aCloud(t)
    cloud.offers('3.59')
    await find(cloud, { volume_api_version: pinned })
    assert.equal(cloud.seen.at(-1)?.headers['openstack-api-version'], `volume ${pinned}`)
  })

  it('cannot be pinned to one that Cinder does not offer', async t => {
    const cloud = await aCloud(t)
    cloud.offers('3.50')
    const words =
      /openstack\.volume_api_version .* asks for 3\.55, but Cinder at http:\S+\/volume\/v3 offers 3\.0 to 3\.50:/
    await assert.rejects(find(cloud, { volume_api_version: '3.55' }), saying(words))
    cloud.offers(undefined)
    await assert.rejects(find(cloud, { volume_api_version: '3.1' }), saying(/\/volume\/v2 offers 3\.0 only:/))
  })

  it('is asked for once, by however many', async t => {
    const cloud = await aCloud(t)
    const { volumes } = await cloud.connect().poolProject(CALL)
    await Promise.all(Array.from({ length: 20 }, () => volumes.find('v1', CALL)))
    assert.equal(cloud.count('GET /volume/v3/'), 1)
  })

  it('is asked for again after a failure', async t => {
    const cloud = await aCloud(t)
    const down: Reply = fault(503, 'x', 'starting')
    cloud.on('GET /volume/v3/', down, down, down, { body: versions('3.70') })
    const { volumes } = await cloud.connect().poolProject(CALL)
    await assert.rejects(volumes.find('v1', CALL), (error: CloudError) => error.code === 'unavailable')
    assert.equal((await volumes.find('v1', CALL))?.id, 'v1')
  })

  it('is asked for with a token that is good, and another one where it is not', async t => {
    const cloud = await aCloud(t)
    cloud.on('GET /volume/v3/', { status: 401, body: 'Authentication required' }, { body: versions('3.70') })
    assert.equal((await find(cloud))?.id, 'v1')
    assert.equal(cloud.logins, 2)
  })

  it('is told by /v3/ itself, whatever the list at the root hides (case 3)', async t => {
    const cloud = await aCloud(t)
    cloud.on('GET /volume/', { status: 300, body: { versions: [{ id: 'v2.0', status: 'CURRENT', version: '' }] } })
    cloud.offers('3.43')
    await find(cloud)
    assert.equal(cloud.asked.at(-1)?.path, `/volume/v3/${POOL}/volumes/v1`)
  })

  it('is told truly where `v1` stands in the address, to who asks with the header (case 4)', async t => {
    const cloud = await aCloud(t, ({ url }) => [service('volumev3', endpoint(`${url}/srv1/v3/${POOL}`))])
    const old = { versions: [{ id: 'v1.0', status: 'DEPRECATED', version: '' }] }
    cloud.on('GET /srv1/v3/', ({ headers }) => ({
      body: headers['openstack-api-version'] === 'volume 3.0' ? versions('3.27') : old
    }))
    cloud.on(`GET /srv1/v3/${POOL}/volumes/v1`, { body: { volume: volumeBody('v1') } })
    assert.equal((await find(cloud))?.id, 'v1')
    assert.equal(cloud.seen.at(-1)?.headers['openstack-api-version'], 'volume 3.27')
  })
})

describe('a Cinder without /v3', () => {
  it('is spoken to at /v2, and never with a header of microversions (cases 3 and 26)', async t => {
    const cloud = await aCloud(t)
    cloud.offers(undefined)
    const client = cloud.connect()
    const { volumes } = await client.poolProject(CALL)
    await volumes.find('v1', CALL)
    assert.equal(cloud.seen.at(-1)?.path, `/volume/v2/${POOL}/volumes/v1`)
    const atV2 = cloud.seen.filter(({ path }) => path.startsWith('/volume/v2'))
    assert.deepEqual(new Set(atV2.map(({ headers }) => headers['openstack-api-version'])), new Set([undefined]))
    assert.deepEqual([await client.microversion(CALL), (await client.release(CALL)).highestMinor], ['2.0', 0])
  })

  it('and without /v2 is told, with its address and what to set (case 3)', async t => {
    const cloud = await aCloud(t)
    for (const version of ['v3', 'v2']) cloud.on(`GET /volume/${version}/`, { status: 404, body: PAGE })
    const words = new RegExp(`neither at ${cloud.url}/volume/v3/ nor at .*/v2/.* set openstack.block_storage_endpoint`)
    await assert.rejects(find(cloud), saying(words))
  })
})

describe('a Cinder that speaks another version than before', () => {
  const gone = fault(406, 'computeFault', 'Version 3.60 is not supported by the API.')

  it('is asked again, and what was asked of it is done, once (case 5)', async t => {
    const cloud = await aCloud(t)
    const { volumes, transfers } = await cloud.connect().poolProject(CALL)
    await volumes.find('v1', CALL)
    cloud.offers('3.50')
    cloud.onCinder('POST /volume-transfers', gone)
    const transfer = { id: 't1', volume_id: 'v1', name: 'spare', auth_key: 'key' }
    cloud.onCinder('POST /os-volume-transfer', { status: 202, body: { transfer } })
    assert.equal((await transfers.create('v1', 'spare', CALL)).id, 't1')
    assert.deepEqual(
      cloud.asked.slice(-2).map(({ route, headers, body }) => [route, headers['openstack-api-version'], body]),
      [
        ['POST /volume-transfers', 'volume 3.60', { transfer: { volume_id: 'v1', name: 'spare', no_snapshots: true } }],
        ['POST /os-volume-transfer', 'volume 3.50', { transfer: { volume_id: 'v1', name: 'spare' } }]
      ]
    )
    assert.equal(cloud.count('GET /volume/v3/'), 2)
  })

  it('is asked once, by whoever is refused first', async t => {
    const cloud = await aCloud(t)
    const { volumes } = await cloud.connect().poolProject(CALL)
    await volumes.find('v1', CALL)
    cloud.offers('3.50')
    const [asked, late] = [new Gate(), new Gate()]
    const shown: Reply = { body: { volume: volumeBody('v2') } }
    cloud.onCinder(SHOW, gone, { body: { volume: volumeBody('v1') } })
    cloud.onCinder(
      'GET /volumes/v2',
      async () => {
        asked.open()
        await late.passed
        return gone
      },
      shown
    )
    const second = volumes.find('v2', CALL)
    await asked.passed
    assert.equal((await volumes.find('v1', CALL))?.id, 'v1')
    late.open()
    assert.equal((await second)?.id, 'v2')
    assert.equal(cloud.count('GET /volume/v3/'), 2)
  })

  it('but still refuses what it offers has failed, and has refused no volume', async t => {
    const cloud = await aCloud(t)
    const { transfers } = await cloud.connect().poolProject(CALL)
    cloud.onCinder('POST /volume-transfers/t1/accept', gone)
    const error = await failureOf(transfers.accept('t1', 'key', CALL))
    assert.deepEqual([error.code, error.status, error.mayHaveActed], ['failed', 406, false])
    assert.equal(cloud.countCinder('POST /volume-transfers/t1/accept'), 2)
  })
})
