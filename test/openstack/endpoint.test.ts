import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { CloudError } from '../../src/pool/errors.ts'
import {
  CALL,
  endpoint,
  fault,
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
  const { volumes } = await cloud.connect({ settings: cloud.settings(settings) }).pool(CALL)
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
    ['volume', '/volume/v3/$(project_id)s']
  ] as const)('takes %s at %s', async ([type, path], t) => {
    const cloud = await aCloud(t, ({ url }) => [service(type, endpoint(`${url}${path}`))])
    assert.equal((await find(cloud))?.id, 'v1')
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
    ['3.55', 'volume 3.55']
  ] as const)('of a Cinder with %s is %s', async ([offered, pinned], t) => {
    const cloud = await aCloud(t)
    cloud.on('GET /volume/', { status: 300, body: versions(offered) })
    await find(cloud)
    assert.equal(cloud.seen.at(-1)?.headers['openstack-api-version'], pinned)
  })

  it('of a Cinder that is too old is told', async t => {
    const cloud = await aCloud(t)
    cloud.on('GET /volume/', { status: 300, body: versions('3.50') })
    await assert.rejects(find(cloud), saying(/up to 3\.50, but 3\.55 \(Rocky\) is needed/))
  })

  it('is asked for once, by however many, and without a token', async t => {
    const cloud = await aCloud(t)
    const { volumes } = await cloud.connect().pool(CALL)
    await Promise.all(Array.from({ length: 20 }, () => volumes.find('v1', CALL)))
    const asked = cloud.seen.filter(({ path }) => path === '/volume/')
    assert.deepEqual(
      asked.map(({ headers }) => headers['x-auth-token']),
      [undefined]
    )
  })

  it('is asked for again after a failure', async t => {
    const cloud = await aCloud(t)
    const down: Reply = fault(503, 'x', 'starting')
    cloud.on('GET /volume/', down, down, down, { status: 300, body: versions('3.70') })
    const { volumes } = await cloud.connect().pool(CALL)
    await assert.rejects(volumes.find('v1', CALL), (error: CloudError) => error.code === 'unavailable')
    assert.equal((await volumes.find('v1', CALL))?.id, 'v1')
  })

  it('is found below /v3 where a proxy hides the list', async t => {
    const cloud = await aCloud(t)
    cloud.on('GET /volume/', { status: 404, body: '<h1>Not here</h1>' })
    cloud.on('GET /volume/v3/', { body: versions('3.60') })
    assert.equal((await find(cloud))?.id, 'v1')
  })

  it('is looked for again when Cinder no longer speaks it', async t => {
    const cloud = await aCloud(t)
    const { volumes } = await cloud.connect().pool(CALL)
    await volumes.find('v1', CALL)
    cloud.onCinder(SHOW, fault(406, 'computeFault', 'Version 3.60 is not supported by the API.'))
    cloud.on('GET /volume/', { status: 300, body: versions('3.59') })
    await assert.rejects(volumes.find('v1', CALL), (error: CloudError) => error.code === 'bad_request')
    cloud.onCinder(SHOW, { body: { volume: volumeBody('v1') } })
    await volumes.find('v1', CALL)
    assert.equal(cloud.seen.at(-1)?.headers['openstack-api-version'], 'volume 3.59')
  })
})
