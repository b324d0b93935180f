import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { aCloud, type Cloud } from './support.ts'

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

describe('filtering volumes', () => {
  const filters: [string, string[]][] = [
    ['created_at=gte:2026-11-23T10:00:10', ['lst-two', 'lst-one-more']],
    ['created_at=gt:2026-11-23T10:00:10', ['lst-two']],
    ['created_at=lt:2026-11-23T10:00:10Z', ['lst-one']],
    ['created_at=lt:2026-11-23T10:00:10,gt:2026-11-23T10:00:10', ['lst-two', 'lst-one']],
    ['created_at=neq:2026-11-23T10:00:10', ['lst-two', 'lst-one']]
  ]
  it.for(filters)('finds by %s', async ([query, names], t) => {
    const { tenant } = await threeVolumes(t)
    assert.deepEqual(await tenant.names(new URLSearchParams(query).toString()), names)
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
  it('asked for in the old way and the new one at once is refused', async t => {
    const { tenant } = await aCloud(t)
    for (const path of ['/volumes', '/snapshots', '/volume-transfers']) {
      const old = 'sort_key=created_at&sort_dir=asc'
      assert.equal((await tenant.call('GET', `${path}?${old}`)).status, 200)
      assert.equal((await tenant.call('GET', `${path}?${old}&sort=created_at:asc`)).status, 400)
    }
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
})
