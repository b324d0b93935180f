import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  asked,
  assertFault,
  assertUnauthenticated,
  type Body,
  NOBODY,
  pool,
  send,
  tenant,
  traits
} from './support.ts'

/** Cinder's address without a project, and without its version. */
const V3 = pool.cinderUrl.replace(/\/[^/]+$/, '')
const ROOT = V3.replace(/\/v3$/, '')

/** The highest microversion there is. */
const highest = (await send('GET', `${ROOT}/`)).body.versions.find(({ id }: Body) => id === 'v3.0').version

const ask = (url: string, headers: object = {}): Promise<Answer> =>
  send('GET', url, { 'x-auth-token': pool.token, ...headers })

describe('a request to Cinder', () => {
  it.for(['', 'bad', `${tenant.token.slice(0, -4)}AAAA`])('needs a good token: not %j', async token => {
    for (const path of ['/volumes', '/nothing']) {
      const answer = await ask(pool.cinderUrl + path, { 'x-auth-token': token === '' ? undefined : token })
      assertUnauthenticated(answer)
      assert.match(answer.headers['www-authenticate'] ?? '', /^Keystone uri="http:\/\/[^"]+"$/)
    }
  })

  it("names the token's own project, for administrators too", async () => {
    for (const session of [pool, admin]) {
      const answer = await ask(`${V3}/${tenant.projectId}/volumes`, { 'x-auth-token': session.token })
      assertFault(answer, 400, 'badRequest', 'Malformed request url')
    }
  })

  it('may name no project at all, since Yoga', async () => {
    assert.equal((await ask(`${V3}/volumes`)).status, traits.projectMayBeLeftOut ? 200 : 404)
  })

  it('has an id in the answer, also in that to a mistake', async () => {
    for (const path of ['/volumes', `/volumes/${NOBODY}`]) {
      const { headers } = await ask(pool.cinderUrl + path)
      assert.match(headers['x-openstack-request-id'] ?? '', /^req-[0-9a-f-]{36}$/)
      assert.equal(headers['x-compute-request-id'], headers['x-openstack-request-id'])
      assert.equal(headers['content-type'], 'application/json')
    }
  })

  it('gets 404 for a volume that is not there, and for no id at all', async () => {
    for (const id of [NOBODY, 'no-uuid']) {
      assertFault(await pool.call('GET', `/volumes/${id}`), 404, 'itemNotFound', `Volume ${id} could not be found.`)
      assert.equal((await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'x' } })).status, 404)
      assert.equal((await pool.call('DELETE', `/volumes/${id}`)).status, 404)
      assert.equal((await pool.action(id, 'os-extend', { new_size: 2 })).status, 404)
    }
  })

  it('sends JSON and says so', async () => {
    const post = (type: string | undefined, body: string) =>
      send('POST', `${pool.cinderUrl}/volumes`, { 'x-auth-token': pool.token, 'content-type': type }, body)
    const [status, fault] = traits.mediaTypeStatus === 415 ? [415, 'badMediaType'] : [400, 'badRequest']
    assertFault(await post('text/plain', '{}'), status, fault, 'Unsupported Content-Type')
    assertFault(await post(undefined, '{}'), 500, 'computeFault', /^The server has either erred/)
    assertFault(await post('application/json', '{'), 400, 'badRequest', 'Malformed request body')
    const [noObject, noVolume] = traits.checksBodies
      ? ["[] is not of type 'object'", "'volume' is a required property"]
      : [/./, /./]
    assertFault(await post('application/json', '[]'), 400, 'badRequest', noObject)
    assertFault(await post('application/json', '{"volum": {}}'), 400, 'badRequest', noVolume)
  })

  it('asks for an action that there is', async () => {
    const message = 'There is no such action: os-dance. Verify the request body and Content-Type header and try again.'
    assertFault(await pool.action(NOBODY, 'os-dance'), 400, 'badRequest', message)
  })
})

describe('the microversion', () => {
  const withVersion = (version: string) => ask(`${pool.cinderUrl}/volumes`, { 'openstack-api-version': version })

  it.for<[number, string]>([
    [asked, `volume 3.${asked}`],
    [Math.min(traits.maxMinor, 55), `volume 3.${Math.min(traits.maxMinor, 55)}`],
    [0, 'volume 3.0']
  ])('3.%i is repeated in the answer', async ([minor, said]) => {
    const { headers } = await pool.call('GET', '/volumes', undefined, minor)
    const { vary } = headers
    assert.equal(headers['openstack-api-version'], said)
    assert.equal(vary, 'OpenStack-API-Version')
  })

  it('that is newer than Cinder is refused with 406', async () => {
    const message = `Version 3.99 is not supported by the API. Minimum is 3.0 and maximum is ${highest}.`
    assertFault(await withVersion('volume 3.99'), 406, 'computeFault', message)
  })

  it('that is none is refused with 400', async () => {
    const message = 'API Version String x is of invalid format. Must be of format MajorNum.MinorNum.'
    assertFault(await withVersion('volume x'), 400, 'badRequest', message)
  })

  it('may be the latest, and stand among those of other services', async () => {
    const { status, headers } = await withVersion('compute 2.1, volume latest')
    assert.deepEqual([status, headers['openstack-api-version']], [200, `volume ${highest}`])
  })

  it('decides which keys a volume has', async () => {
    const [volume] = (await pool.get('/volumes?limit=1')).volumes
    const keys = async (minor: number): Promise<string[]> =>
      Object.keys((await pool.get(`/volumes/${volume.id}`, minor)).volume)
    const added = async (minor: number): Promise<string[]> => {
      const before = await keys(minor - 1)
      return (await keys(minor)).filter(key => !before.includes(key)).toSorted()
    }
    const keysSince: [number, string[]][] = [
      [13, ['group_id']],
      [48, ['service_uuid', 'shared_targets']],
      [63, ['volume_type_id']],
      [65, ['consumes_quota']]
    ]
    const there = keysSince.filter(([minor]) => minor <= traits.maxMinor)
    for (const [minor, expected] of there) assert.deepEqual(await added(minor), expected)
    if (there.length === 0) assert.equal((await keys(0)).includes('group_id'), false)
  })
})

describe('the list of versions', () => {
  it('is shown without a token, with 300', async () => {
    const { status, body } = await send('GET', `${ROOT}/`)
    const [{ id, status: state, version, min_version: least }, ...older] = body.versions.toReversed()
    assert.deepEqual([status, highest], [300, `3.${traits.maxMinor}`])
    assert.deepEqual([id, state, version, least], ['v3.0', 'CURRENT', highest, '3.0'])
    const served = traits.oldVersions.map(name => `${name}.0`)
    assert.deepEqual(older.map((one: Body) => one.id).toReversed(), served)
  })

  it('is shown under /v3/ to those who have a token', async () => {
    const { status, body } = await ask(`${V3}/`)
    assert.deepEqual([status, body.versions[0].id, body.versions[0].version], [200, 'v3.0', highest])
  })
})
