import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Release, Variant } from '../../sandbox/releases.ts'
import { startSandbox } from '../../sandbox/server.ts'
import type { Body } from '../support/session.ts'
import { type Answer, aCloud, assertFault, type Cloud, passwordAuth, send, TestClock } from './support.ts'

type Listed = [string, string][]
const listed = (answer: Answer): Listed => answer.body.versions.map(({ id, version }: Body) => [id, version])
const root = ({ sandbox }: Cloud): string => `${sandbox.url}/volume`
const ask = ({ pool }: Cloud, url: string, headers: object = {}): Promise<Answer> =>
  send('GET', url, { 'x-auth-token': pool.token, ...headers })
const asking = (version: string): object => ({ 'openstack-api-version': version })

/** As no Cinder answers: from what stands before it. */
function assertNoJson(answer: Answer, status: number): void {
  assert.deepEqual([answer.status, answer.body], [status, undefined], answer.text)
  assert.match(answer.headers['content-type'] ?? '', /^text\//)
}

describe('the list of versions', () => {
  const [v1, v2]: Listed = [
    ['v1.0', ''],
    ['v2.0', '']
  ]
  assert.ok(v1 && v2)
  it.for<[Release, Listed]>([
    ['mitaka', [v1, v2, ['v3.0', '3.0']]],
    ['newton', [v1, v2, ['v3.0', '3.15']]],
    ['ocata', [v1, v2, ['v3.0', '3.27']]],
    ['pike', [v1, v2, ['v3.0', '3.43']]],
    ['queens', [v2, ['v3.0', '3.50']]],
    ['rocky', [v2, ['v3.0', '3.55']]],
    ['stein', [v2, ['v3.0', '3.59']]],
    ['train', [v2, ['v3.0', '3.59']]],
    ['ussuri', [v2, ['v3.0', '3.60']]],
    ['victoria', [v2, ['v3.0', '3.62']]],
    ['wallaby', [v2, ['v3.0', '3.64']]],
    ['xena', [['v3.0', '3.66']]],
    ['yoga', [['v3.0', '3.68']]],
    ['zed', [['v3.0', '3.70']]],
    ['2023.2', [['v3.0', '3.70']]],
    ['2024.1', [['v3.0', '3.71']]],
    ['latest', [['v3.0', '3.71']]]
  ])('of %s has what it serves, the newest with its highest microversion', async ([release, versions], t) => {
    const cloud = await aCloud(t, { release })
    const answer = await send('GET', `${root(cloud)}/`)
    assert.deepEqual([answer.status, listed(answer)], [300, versions])
    const state = (await send('GET', `${cloud.sandbox.url}/sandbox/state`)).body
    assert.equal(state.release, release)
  })

  it('leaves out v3 where it is hidden, which is there all the same', async t => {
    const cloud = await aCloud(t, { release: 'pike', hidesV3: true })
    assert.deepEqual(listed(await send('GET', `${root(cloud)}/`)), [v1, v2])
    assert.deepEqual(listed(await ask(cloud, `${root(cloud)}/v3/`)), [['v3.0', '3.43']])
    assert.equal((await cloud.pool.call('GET', '/volumes', undefined, 43)).status, 200)
  })

  it('names v3 on Mitaka where its paths are missing, which are 404 without JSON', async t => {
    const cloud = await aCloud(t, { release: 'mitaka', withoutV3: true })
    assert.deepEqual(listed(await send('GET', `${root(cloud)}/`)).at(-1), ['v3.0', '3.0'])
    assertNoJson(await ask(cloud, `${root(cloud)}/v3/`), 404)
    assertNoJson(await cloud.pool.call('GET', '/volumes', undefined, 0), 404)
    assert.equal((await ask(cloud, `${root(cloud)}/v2/${cloud.pool.projectId}/volumes`)).status, 200)
  })

  it('below a version needs a token, and is reached by a redirect where the slash is left out', async t => {
    const cloud = await aCloud(t, { release: 'queens' })
    assert.equal((await send('GET', `${root(cloud)}/v3/`)).status, 401)
    const moved = await send('GET', `${root(cloud)}/v3`)
    assert.deepEqual([moved.status, moved.headers['location']], [302, `${root(cloud)}/v3/`])
    assert.deepEqual(listed(await ask(cloud, `${root(cloud)}/v2/`)), [v2])
    assertNoJson(await ask(cloud, `${root(cloud)}/v1/`), 404)
  })
})

describe('without a header the version', () => {
  it('is sought in the whole URL up to Wallaby, and the header decides where there is one', async t => {
    const shown = async (release: Release, pathPrefix: string, headers: object = {}): Promise<Listed> => {
      const cloud = await aCloud(t, { release, pathPrefix })
      return listed(await ask(cloud, `${root(cloud)}/v3/`, headers))
    }
    assert.deepEqual(await shown('pike', '/srv1'), [['v1.0', '']])
    assert.deepEqual(await shown('wallaby', '/srv2'), [['v2.0', '']])
    assert.deepEqual(await shown('pike', '/srv1', asking('volume 3.0')), [['v3.0', '3.43']])
    assert.deepEqual(await shown('queens', '/srv1'), [['v3.0', '3.50']])
    assert.deepEqual(await shown('xena', '/srv2'), [['v3.0', '3.66']])
  })

  it('of a request is that of its path, and a header counts at v2 only where the URL has v3 in it', async t => {
    const cloud = await aCloud(t, { release: 'wallaby' })
    const { pool } = cloud
    await pool.create({ name: 'srv3_x' })
    const at = (query: string, version: string) =>
      ask(cloud, `${root(cloud)}/v2/${pool.projectId}/volumes/detail?${query}`, asking(version))
    const plain = await at('name=web', 'volume 3.99')
    assert.deepEqual([plain.status, plain.headers['openstack-api-version']], [200, 'volume 2.0'])
    assert.equal((await at('name=srv3_x', 'volume 3.99')).status, 406)
    const { headers, body } = await at('name=srv3_x', 'volume 3.60')
    assert.equal(headers['openstack-api-version'], 'volume 3.60')
    const found = await ask(cloud, `${root(cloud)}/v2/${pool.projectId}/volumes?name=srv3_x`)
    assert.deepEqual([found.body.volumes[0].name, body.volumes.length], ['srv3_x', 1])
    assert.match(found.body.volumes[0].links[0].href, /\/v2\//)
  })
})

describe('a microversion', () => {
  it('above the highest is 406 before anything is done', async t => {
    const { pool } = await aCloud(t, { release: 'queens' })
    const answer = await pool.call('POST', '/volumes', { volume: { size: 1, name: 'once' } }, 51)
    const message = 'Version 3.51 is not supported by the API. Minimum is 3.0 and maximum is 3.50.'
    assertFault(answer, 406, 'computeFault', message)
    assert.deepEqual(await pool.names('name=once', 50), [])
  })

  it('is no longer there after a downgrade of the running cloud', async t => {
    const { sandbox, pool } = await aCloud(t)
    const { id } = await pool.create()
    sandbox.cloud.release = 'queens'
    assert.equal((await pool.call('GET', `/volumes/${id}`)).status, 406)
    assert.equal((await pool.get(`/volumes/${id}`, 50)).volume.id, id)
    assert.equal(sandbox.cloud.release, 'queens')
  })

  it('is repeated by errors without the word volume on Mitaka', async t => {
    const said = async (release: Release): Promise<string | undefined> => {
      const { pool } = await aCloud(t, { release })
      return (await pool.call('GET', '/volumes/none', undefined, 0)).headers['openstack-api-version']
    }
    assert.deepEqual([await said('mitaka'), await said('newton')], ['3.0', 'volume 3.0'])
  })
})

describe('a path', () => {
  it('without a project is known since Yoga', async t => {
    const answers = (['xena', 'yoga'] as const).map(async release => {
      const cloud = await aCloud(t, { release })
      return await ask(cloud, `${root(cloud)}/v3/volumes`)
    })
    const [xena, yoga] = await Promise.all(answers)
    assert.ok(xena)
    assertNoJson(xena, 404)
    assert.equal(yoga?.status, 200)
  })

  it('that nobody knows is 404 without JSON', async t => {
    const cloud = await aCloud(t)
    assertNoJson(await cloud.pool.call('GET', '/nothing'), 404)
    assertNoJson(await ask(cloud, `${root(cloud)}/v2/${cloud.pool.projectId}/volumes`), 404)
  })
})

describe('a request that is refused before Cinder', () => {
  it('for its token is plain text on Mitaka', async t => {
    const { pool } = await aCloud(t, { release: 'mitaka' })
    const answer = await send('GET', `${pool.cinderUrl}/volumes`, { 'x-auth-token': 'none' })
    assertNoJson(answer, 401)
    assert.match(answer.headers['www-authenticate'] ?? '', /^Keystone uri=/)
  })

  it('for its media type is 400 up to Rocky, and 415 since', async t => {
    const status = async (release: Release): Promise<number> => {
      const { pool } = await aCloud(t, { release })
      const headers = { 'x-auth-token': pool.token, 'content-type': 'text/plain' }
      return (await send('POST', `${pool.cinderUrl}/volumes`, headers, '{}')).status
    }
    assert.deepEqual([await status('rocky'), await status('stein')], [400, 415])
  })
})

describe("Keystone's catalogue", () => {
  const entries = (url: string, { project, catalog }: Body): string[] =>
    catalog
      .filter(({ type }: Body) => /volume|storage/.test(type))
      .map(({ type, endpoints }: Body) => {
        const path = String(endpoints[0].url).replace(url, '').replace(project.id, '{p}')
        return `${type} ${path}`
      })

  it.for<[Release, Variant['catalog'], string[]]>([
    ['mitaka', 'guide', ['volume /volume/v1/{p}', 'volumev2 /volume/v2/{p}']],
    ['mitaka', 'puppet', ['volume /volume/v1/{p}', 'volumev2 /volume/v2/{p}', 'volumev3 /volume/v3/{p}']],
    ['newton', 'devstack', ['volume /volume/v1/{p}', 'volumev2 /volume/v2/{p}', 'volumev3 /volume/v3/{p}']],
    ['ocata', 'guide', ['volumev2 /volume/v2/{p}', 'volumev3 /volume/v3/{p}']],
    ['ocata', 'kolla', ['volume /volume/v1/{p}', 'volumev2 /volume/v2/{p}']],
    ['rocky', 'puppet', ['volume /volume/v1/{p}', 'volumev2 /volume/v2/{p}', 'volumev3 /volume/v3/{p}']],
    ['stein', 'puppet', ['volumev2 /volume/v2/{p}', 'volumev3 /volume/v3/{p}']],
    ['xena', 'guide', ['volumev3 /volume/v3/{p}']],
    ['latest', 'guide', ['block-storage /volume/v3/{p}', 'volumev3 /volume/v3/{p}']],
    ['latest', 'kolla', ['block-storage /volume/v3']]
  ])('of %s as %s set it up', async ([release, catalog, expected], t) => {
    const sandbox = await startSandbox({ clock: new TestClock(), release, catalog })
    t.onTestFinished(() => sandbox.close())
    const answer = await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth('pool-svc', 'pool'))
    assert.deepEqual(entries(sandbox.url, answer.body.token), expected)
  })
})

describe('what no cloud ever was', () => {
  it.for<[Release, Partial<Variant>, RegExp]>([
    ['ocata', { hidesV3: true }, /^hidesV3: no cloud of release ocata has it$/],
    ['ocata', { resourceFilters: false }, /^resourceFilters: /],
    ['train', { nullTypes: true }, /^nullTypes: /],
    ['mitaka', { catalog: 'kolla' }, /^catalog kolla: /]
  ])('is refused: %s with %j', async ([release, variant, message]) => {
    await assert.rejects(startSandbox({ clock: new TestClock(), release, ...variant }), { name: 'RangeError', message })
  })

  it('is not reached by a downgrade either', async t => {
    const { sandbox } = await aCloud(t, { hidesV3: true })
    assert.throws(() => (sandbox.cloud.release = 'newton'), RangeError)
    assert.equal(sandbox.cloud.release, 'latest')
  })
})
