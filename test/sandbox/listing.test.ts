import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { aCloud, assertFault, type Cloud } from './support.ts'

/** A tenant with three volumes: no golden ones are in the way. */
async function threeVolumes(t: TestContext): Promise<Cloud> {
  const cloud = await aCloud(t)
  await cloud.tenant.create({ name: 'lst-one', metadata: { pool: 'a', disk: 'd1' } })
  await cloud.clock.advance(10_000)
  await cloud.tenant.create({ name: 'lst-one-more', metadata: { pool: 'a', spare_id: '7' } })
  await cloud.clock.advance(10_000)
  await cloud.tenant.create({ name: 'lst-two', metadata: { pool: 'b', spare_pool: "it's" } })
  return cloud
}
const ALL = ['lst-two', 'lst-one-more', 'lst-one']

describe('filtering volumes', () => {
  const filters: [string, string[]][] = [
    ['name=lst-one', ['lst-one']],
    ['name=LST-ONE', ['lst-one']],
    ['name=lst', []],
    ["metadata={'pool':'a'}", ['lst-one-more', 'lst-one']],
    ['metadata={"pool": "a", "disk": "d1"}', ['lst-one']],
    ["metadata={'spare_id':'7'}", ['lst-one-more']],
    [`metadata={"spare_pool":"it's"}`, ['lst-two']],
    ["metadata={'spare_pool':'it\\'s'}", ['lst-two']],
    ["metadata={'pool':'zzz'}", []],
    ['metadata=pool=a', []],
    ['metadata={"pool": true}', []],
    ['status=available', ALL],
    ["status=['creating','available']", ALL],
    ["status=['creating','error']", []],
    ['status=nonsense', []],
    ['status=available&name=lst-two', ['lst-two']],
    ['bootable=true', []],
    ['bootable=false', ALL],
    ['size=1', ALL],
    ['created_at=gte:2026-11-23T10:00:10', ['lst-two', 'lst-one-more']],
    ['created_at=gt:2026-11-23T10:00:10', ['lst-two']],
    ['created_at=lt:2026-11-23T10:00:10Z', ['lst-one']],
    ['created_at=lt:2026-11-23T10:00:10,gt:2026-11-23T10:00:10', ['lst-two', 'lst-one']],
    ['created_at=neq:2026-11-23T10:00:10', ['lst-two', 'lst-one']],
    ['all_tenants=1', ALL]
  ]
  it.for(filters)('finds by %s', async ([query, names], t) => {
    const { tenant } = await threeVolumes(t)
    assert.deepEqual(await tenant.names(new URLSearchParams(query).toString()), names)
  })

  it('drops what it does not know before 3.31, and refuses it since', async t => {
    const { tenant, snapshotId } = await threeVolumes(t)
    for (const query of [`snapshot_id=${snapshotId}`, 'name~=lst', 'created_at=lt:2020-01-01T00:00:00', 'id=x']) {
      assert.deepEqual(await tenant.names(query, 30), ALL)
    }
    const refused = await tenant.call('GET', '/volumes/detail?name~=lst&id=x', undefined, 31)
    assertFault(refused, 400, 'badRequest', 'Invalid filters name~,id are found in query options.')
  })

  it('refuses times that are none', async t => {
    const { tenant } = await threeVolumes(t)
    const refused = async (text: string) => await tenant.call('GET', `/volumes?created_at=${text}`)
    assertFault(await refused('rubbish'), 400, 'badRequest', 'Invalid rubbish operator')
    assertFault(await refused('gt:yesterday'), 400, 'badRequest', 'Invalid yesterday value')
  })

  it('shows administrators all projects, or one, only when they ask', async t => {
    const { admin, tenant } = await threeVolumes(t)
    assert.deepEqual(await admin.names('name=lst-one'), [])
    assert.deepEqual(await admin.names('all_tenants=1&name=lst-one'), ['lst-one'])
    assert.deepEqual(await admin.names(`all_tenants=True&project_id=${tenant.projectId}`), ALL)
    assert.deepEqual(await admin.names('all_tenants=1&nonsense=1'), [])
  })

  it('finds volumes under their new name, status, metadata and project, and not under the old', async t => {
    const { tenant, rival } = await threeVolumes(t)
    const [{ id }] = (await tenant.get('/volumes?name=lst-one-more')).volumes
    await tenant.call('PUT', `/volumes/${id}`, { volume: { name: 'Web', metadata: { spare_id: '8' } } })
    assert.deepEqual(await tenant.names('name=lst-one-more'), [])
    assert.deepEqual(await tenant.names(`metadata=${encodeURIComponent('{"spare_id": "7"}')}`), [])
    await rival.accept(await tenant.arm(id))
    assert.deepEqual(await tenant.names('name=web'), [])
    assert.deepEqual(await rival.names('name=web&status=available'), ['Web'])
    assert.deepEqual(await rival.names(`metadata=${encodeURIComponent('{"spare_id": "8"}')}`), ['Web'])
  })
})

describe('paging and sorting', () => {
  it('links to a next page whenever one is full, with all filters kept', async t => {
    const { tenant } = await threeVolumes(t)
    const first = await tenant.get('/volumes/detail?status=available&limit=2&sort=created_at:asc')
    assert.deepEqual(
      first.volumes.map(({ name }: { name: string }) => name),
      ['lst-one', 'lst-one-more']
    )
    const [{ rel, href }] = first.volumes_links
    const next = new URL(href)
    assert.equal(rel, 'next')
    assert.equal(next.searchParams.get('marker'), first.volumes[1].id)
    assert.equal(next.searchParams.get('status'), 'available')
    const last = await tenant.get(`/volumes/detail${next.search}`)
    assert.deepEqual(
      last.volumes.map(({ name }: { name: string }) => name),
      ['lst-two']
    )
    assert.equal('volumes_links' in last, false)
    assert.equal('volumes_links' in (await tenant.get('/volumes?limit=3')), true)
  })

  it('gives every volume once, page by page, among many of the same second', async t => {
    const { tenant, admin } = await aCloud(t)
    await admin.call('PUT', `/os-quota-sets/${tenant.projectId}`, { quota_set: { volumes: -1 } })
    await Promise.all(Array.from({ length: 130 }, (_, index) => tenant.create({ name: `v${index}` })))
    for (const sort of ['created_at:asc,id:asc', 'created_at:desc', 'name:desc', 'size']) {
      const seen: string[] = []
      for (let marker = ''; ; marker = `&marker=${seen.at(-1)}`) {
        const { volumes } = await tenant.get(`/volumes?limit=20&sort=${sort}${marker}`)
        seen.push(...volumes.map(({ id }: { id: string }) => id))
        if (volumes.length < 20) break
      }
      assert.equal(new Set(seen).size, 130, sort)
      assert.equal(seen.length, 130, sort)
    }
  })

  it('counts all that match since 3.45', async t => {
    const { tenant } = await threeVolumes(t)
    assert.equal((await tenant.get('/volumes?with_count=true&limit=1', 45)).count, 3)
    assert.equal((await tenant.get('/volumes?limit=1', 45)).count, undefined)
  })

  it('refuses a limit, a sort or a marker that makes no sense', async t => {
    const { tenant } = await threeVolumes(t)
    const refused = async (query: string) => await tenant.call('GET', `/volumes?${query}`)
    assertFault(await refused('limit=-1'), 400, 'badRequest', 'limit param must be positive')
    assertFault(await refused('limit=x'), 400, 'badRequest', 'limit param must be an integer')
    assertFault(await refused('sort=bogus:asc'), 400, 'badRequest', 'Invalid input received: Invalid sort key')
    assertFault(await refused('sort=name:nope'), 400, 'badRequest', /Unknown sort direction/)
    assert.equal((await refused('marker=00000000-0000-4000-8000-000000000000')).status, 404)
    assert.deepEqual((await tenant.get('/volumes?limit=0')).volumes, [])
  })
})
