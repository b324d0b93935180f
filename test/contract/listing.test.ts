import assert from 'node:assert/strict'
import { beforeAll, describe, it } from 'vitest'
import { whileTestsRun } from '../support/lifetime.ts'
import {
  admin,
  asked,
  assertFault,
  aVolume,
  type Body,
  NOBODY,
  rival,
  type Session,
  tenant,
  traits,
  unique
} from './support.ts'

const tag = unique('list')
const ONE = `${tag}-one`
const MORE = `${tag}-one-more`
const TWO = `${tag}-two`
const volumes = new Map<string, Body>()
const t = whileTestsRun()

beforeAll(async () => {
  const wishes = {
    [ONE]: { pool: tag, disk: 'd1' },
    [MORE]: { pool: tag, spare_id: `${tag}-7` },
    [TWO]: { pool: 'b', spare_pool: `it's ${tag}` }
  }
  for (const [name, metadata] of Object.entries(wishes)) volumes.set(name, await aVolume(t, tenant, { name, metadata }))
})

/** Those of the three that a query finds, in the order of the alphabet; a project may have others. */
async function found(query: string, { as = tenant, minor = asked }: { as?: Session; minor?: number } = {}) {
  const names = await as.names(new URLSearchParams(query).toString(), minor)
  return names.filter(name => volumes.has(name)).toSorted()
}
const ALL = [ONE, MORE, TWO]

/** By which a member may filter, at the microversion that is asked for. */
const FILTERS = ['all_tenants', ...(asked > 30 ? traits.fileFilters : traits.oldFilters)]
const isKnown = (query: string): boolean => [...new URLSearchParams(query).keys()].every(key => FILTERS.includes(key))
const hasTimes = isKnown('created_at=x')

const createdAt = (name: string): string => volumes.get(name)?.created_at.slice(0, 19)

describe('a list of volumes', () => {
  const queries: [string, string[]][] = [
    ['', ALL],
    [`name=${ONE}`, [ONE]],
    [`name=${ONE.toUpperCase()}`, [ONE]],
    [`name=${tag}`, []],
    [`name=${tag}%`, []],
    [`metadata={'pool':'${tag}'}`, [ONE, MORE]],
    [`metadata={"pool": "${tag}", "disk": "d1"}`, [ONE]],
    [`metadata={"spare_id":"${tag}-7"}`, [MORE]],
    [`metadata={"spare_id":"${tag}-7"}&status=available&name=${MORE}`, [MORE]],
    [`metadata={"spare_id":"${tag}-7"}&name=${ONE}`, []],
    [`metadata={"spare_pool":"it's ${tag}"}`, [TWO]],
    [`metadata={'spare_pool':'it\\'s ${tag}'}`, [TWO]],
    [`metadata={"pool":"${tag.toUpperCase()}"}`, [ONE, MORE]],
    ["metadata={'pool':'none'}", []],
    [`metadata=pool=${tag}`, []],
    ['metadata={"pool": true}', []],
    ['metadata=', []],
    ['status=available', ALL],
    ["status=['creating','available']", ALL],
    ["status=['creating','error']", []],
    ['status=creating', []],
    ['status=nonsense', []],
    ['bootable=true', []],
    ['bootable=false', ALL],
    ['size=1', ALL],
    ['size=2', []],
    ['all_tenants=1', ALL],
    ['created_at=gte:2020-01-01T00:00:00', ALL],
    ['created_at=lt:2020-01-01T00:00:00', []],
    ['created_at=lt:2020-01-01T00:00:00,gt:2020-01-01T00:00:00', ALL]
  ]
  it.for(queries.filter(([query]) => isKnown(query)))('with %s', async ([query, names]) => {
    assert.deepEqual(await found(query), names.toSorted())
  })

  const operators: [string, boolean][] = [
    ['gte', true],
    ['gt', false],
    ['lte', true],
    ['lt', false],
    ['eq', true],
    ['neq', false]
  ]
  it.for(hasTimes ? operators : [])('compares times of whole seconds: %s', async ([operator, isFound]) => {
    const names = await found(`name=${ONE}&created_at=${operator}:${createdAt(ONE)}`)
    assert.deepEqual(names, isFound ? [ONE] : [])
  })

  it('drops filters that it does not know before 3.31, and refuses them since', async () => {
    for (const query of [
      `snapshot_id=${NOBODY}`,
      'name~=none',
      'created_at=lt:2020-01-01T00:00:00',
      'id=x',
      'color=red'
    ]) {
      assert.deepEqual(await found(query, { minor: Math.min(traits.maxMinor, 30) }), ALL.toSorted())
    }
    if (traits.maxMinor <= 30) return
    for (const name of ['name~', 'id', 'snapshot_id', 'volume_type_id', 'color']) {
      const refused = await tenant.call('GET', `/volumes/detail?${name}=x`, undefined, 31)
      assertFault(refused, 400, 'badRequest', `Invalid filters ${name} are found in query options.`)
    }
  })

  it('refuses times that are none, and all where it does not know them', async () => {
    const refused = (text: string) => tenant.call('GET', `/volumes/detail?created_at=${text}`)
    if (hasTimes) {
      assertFault(await refused('rubbish'), 400, 'badRequest', 'Invalid rubbish operator')
      assertFault(await refused('gt:yesterday'), 400, 'badRequest', 'Invalid yesterday value')
    } else if (asked > 30) {
      const message = 'Invalid filters created_at are found in query options.'
      assertFault(await refused('gt:2020-01-01T00:00:00'), 400, 'badRequest', message)
    } else assert.equal((await refused('rubbish')).status, 200)
  })

  it("does not have another project's, unless an administrator asks for all", async () => {
    assert.deepEqual(await found('', { as: rival }), [])
    assert.deepEqual(await found('all_tenants=1', { as: rival }), [])
    assert.deepEqual(await found('', { as: admin }), [])
    assert.deepEqual(await found(`all_tenants=1&name=${ONE}`, { as: admin }), [ONE])
    assert.deepEqual(await found(`all_tenants=1&project_id=${tenant.projectId}`, { as: admin }), ALL.toSorted())
    assert.deepEqual(await found(`all_tenants=1&project_id=${rival.projectId}`, { as: admin }), [])
  })
})

describe('the order and the pages of a list', () => {
  const namesOf = (body: Body): string[] => body.volumes.map(({ name }: Body) => name)
  const mine = encodeURIComponent(`{"pool": "${tag}"}`)

  it('are as asked for, with a link to the next page whenever one is full', async () => {
    for (const sort of ['name:asc', 'created_at:asc,id:asc', 'id:asc', 'name:desc']) {
      const first = await tenant.get(`/volumes/detail?metadata=${mine}&limit=1&sort=${sort}`)
      const second = await tenant.get(
        `/volumes/detail?metadata=${mine}&limit=1&sort=${sort}&marker=${first.volumes[0].id}`
      )
      const third = await tenant.get(
        `/volumes/detail?metadata=${mine}&limit=1&sort=${sort}&marker=${second.volumes[0].id}`
      )
      assert.deepEqual(namesOf(third), [])
      assert.deepEqual([...namesOf(first), ...namesOf(second)].toSorted(), [ONE, MORE].toSorted())
      if (sort.startsWith('name')) assert.deepEqual(namesOf(first), [sort === 'name:asc' ? ONE : MORE])
      if (sort === 'id:asc') assert.ok(first.volumes[0].id < second.volumes[0].id)
      assert.deepEqual(
        [first, second, third].map(page => 'volumes_links' in page),
        [true, true, false]
      )
      const { searchParams } = new URL(first.volumes_links[0].href)
      assert.equal(first.volumes_links[0].rel, 'next')
      assert.deepEqual(
        [searchParams.get('marker'), searchParams.get('metadata'), searchParams.get('limit')],
        [first.volumes[0].id, decodeURIComponent(mine), '1']
      )
    }
  })

  it('begin with the newest where nothing else is asked for', async () => {
    const { volumes } = await tenant.get(`/volumes/detail?limit=100`)
    const times: string[] = volumes.map((volume: Body) => volume.created_at)
    assert.deepEqual(times, times.toSorted().toReversed())
  })

  if (traits.maxMinor >= 45) {
    it('may be counted since 3.45', async () => {
      assert.equal((await tenant.get(`/volumes/detail?metadata=${mine}&limit=1&with_count=true`, 45)).count, 2)
      assert.equal((await tenant.get(`/volumes/detail?metadata=${mine}&limit=1`, 45)).count, undefined)
    })
  }

  it('are refused where they make no sense', async () => {
    const refused = (query: string) => tenant.call('GET', `/volumes/detail?${query}`)
    assertFault(await refused('limit=-1'), 400, 'badRequest', 'limit param must be positive')
    assertFault(await refused('limit=x'), 400, 'badRequest', 'limit param must be an integer')
    assertFault(await refused('sort=bogus:asc'), 400, 'badRequest', 'Invalid input received: Invalid sort key')
    const direction = "Invalid input received: Unknown sort direction, must be 'desc' or 'asc'."
    assertFault(await refused('sort=name:nope'), 400, 'badRequest', direction)
    assertFault(await refused(`marker=${NOBODY}`), 404, 'itemNotFound', `Volume ${NOBODY} could not be found.`)
    assert.deepEqual((await tenant.get('/volumes/detail?limit=0')).volumes, [])
    assert.equal((await refused('limit=5000')).status, 200)
  })

  it('are without details at the shorter address', async () => {
    const [volume] = (await tenant.get(`/volumes?name=${ONE}`)).volumes
    assert.deepEqual(Object.keys(volume).toSorted(), ['id', 'links', 'name'])
  })
})
