import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { collect } from '../../src/operations/concurrently.ts'
import { failing } from '../support/cloud-failures.ts'
import { CALL, fault, ScriptedCloud, type Seen, type Test, volumeBody } from '../support/scripted-cloud.ts'

const LIST = 'GET /volumes/detail'
const METADATA = { spare_pool: 'default' }

async function aPool(t: Test, offered: string | undefined) {
  const cloud = await ScriptedCloud.start(t)
  cloud.offers(offered)
  const notices: [object, string][] = []
  const onNotice = (fields: object, message: string) => void notices.push([fields, message])
  return { cloud, notices, ...(await cloud.connect({ onNotice }).poolProject(CALL)) }
}

const at = (second: number): string => new Date(Date.UTC(2026, 10, 22, 10, 0, second)).toISOString().slice(0, 19)
const since = (second: number): Date => new Date(`${at(second)}.900Z`)

/** So many volumes, one a second, whose ids are in no order of time. */
const manyVolumes = (count: number) =>
  Array.from({ length: count }, (_, second) =>
    volumeBody(`v${String((second * 7919) % count).padStart(5, '0')}`, { metadata: METADATA, created_at: at(second) })
  )

/** A Cinder that sorts and pages, 100 at a time. */
const sorted =
  (all: readonly Record<string, unknown>[], pageMax = 100) =>
  ({ query }: Seen) => {
    const [[key = '', direction] = []] = (query.get('sort') ?? '').split(',').map(part => part.split(':'))
    const ascending = all.toSorted((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1))
    const list = direction === 'desc' ? ascending.toReversed() : ascending
    const start = list.findIndex(({ id }) => id === query.get('marker')) + 1
    const volumes = list.slice(start, start + pageMax)
    return { body: { volumes, ...(volumes.length === pageMax && { volumes_links: [{ rel: 'next', href: 'x' }] }) } }
  }

describe('volumes since a time', () => {
  it.for(['3.59', '3.30', '3.0', undefined])(
    'are listed the newest first and to the first older one, where Cinder cannot be asked: %s (case 17)',
    async (offered, t) => {
      const { cloud, volumes } = await aPool(t, offered)
      const all = manyVolumes(1000)
      cloud.onCinder(LIST, sorted(all))
      const found = await collect(volumes.pages({ metadata: METADATA, createdSince: since(850) }, CALL))
      const expected = all.slice(850).map(({ id }) => String(id))
      assert.deepEqual(
        found.map(({ id }) => id),
        expected.toSorted()
      )
      assert.equal(cloud.asked.length, 2) // Of ten pages.
      for (const { query } of cloud.asked) {
        assert.deepEqual([query.has('created_at'), query.get('sort')], [false, 'created_at:desc,id:desc'])
        assert.equal(query.get('metadata'), JSON.stringify(METADATA))
      }
    }
  )

  it('are all listed where none is older, and come in pages', async t => {
    const { cloud, volumes } = await aPool(t, '3.50')
    cloud.onCinder(LIST, sorted(manyVolumes(1200), 500))
    const sizes: number[] = []
    for await (const page of volumes.pages({ createdSince: since(-1) }, CALL)) sizes.push(page.length)
    assert.deepEqual(sizes, [1000, 200])
  })

  it('are listed from the beginning again where a marker vanishes', async t => {
    const { cloud, volumes } = await aPool(t, '3.50')
    const list = sorted(manyVolumes(150))
    cloud.onCinder(LIST, list, fault(404, 'itemNotFound', 'Volume could not be found.'), list)
    assert.equal((await collect(volumes.pages({ createdSince: since(20) }, CALL))).length, 130)
    assert.equal(cloud.asked.length, 4)
  })

  it('are not taken for all where the list is not in the order that was asked for', async t => {
    const { cloud, volumes } = await aPool(t, '3.50')
    const body = { volumes: manyVolumes(3) }
    cloud.onCinder(LIST, { body })
    await assert.rejects(collect(volumes.pages({ createdSince: since(1) }, CALL)), failing('failed', /order/))
  })
})

describe('a Cinder that refuses the usual filters', () => {
  const refused = fault(400, 'badRequest', 'Invalid filters metadata are found in query options.')
  const picky = ({ headers, ...seen }: Seen) =>
    Number(headers['openstack-api-version']?.slice('volume 3.'.length)) > 30
      ? refused
      : sorted(manyVolumes(250))({ headers, ...seen })

  it('is asked with those that are built in, from then on, and that is said once (case 18)', async t => {
    const { cloud, notices, volumes, transfers } = await aPool(t, '3.70')
    cloud.onCinder(LIST, picky)
    cloud.onCinder('GET /volume-transfers/detail', { body: { transfers: [] } })
    for (let round = 0; round < 2; round++) {
      assert.equal((await collect(volumes.pages({ metadata: METADATA }, CALL))).length, 250)
    }
    assert.equal((await collect(volumes.pages({ createdSince: since(199) }, CALL))).length, 51)
    const asked = cloud.asked.map(({ headers, query }) => [headers['openstack-api-version'], query.has('created_at')])
    const atBuiltIn = Array.from({ length: 3 + 3 + 1 }, () => ['volume 3.30', false])
    assert.deepEqual(asked, [['volume 3.60', false], ...atBuiltIn])
    assert.deepEqual(
      notices.map(([fields]) => fields),
      [{ endpoint: `${cloud.url}/volume`, microversion: '3.30' }]
    )
    await collect(transfers.pages(CALL))
    assert.equal(cloud.asked.at(-1)?.headers['openstack-api-version'], 'volume 3.60')
  })

  it('though nothing is there to be listed is remembered too', async t => {
    const { cloud, notices, volumes } = await aPool(t, '3.43')
    cloud.onCinder(LIST, refused, { body: { volumes: [] } })
    assert.deepEqual(await collect(volumes.pages({ name: 'a' }, CALL)), [])
    assert.equal(notices.length, 1)
  })

  it('at 3.30 as well has refused, and nothing is remembered', async t => {
    const { cloud, notices, volumes } = await aPool(t, '3.70')
    cloud.onCinder(LIST, refused)
    await assert.rejects(collect(volumes.pages({ name: 'a' }, CALL)), failing('bad_request'))
    await assert.rejects(collect(volumes.pages({ name: 'a' }, CALL)), failing('bad_request'))
    const asked = cloud.asked.map(({ headers }) => headers['openstack-api-version'])
    assert.deepEqual(asked, ['volume 3.60', 'volume 3.30', 'volume 3.60', 'volume 3.30'])
    assert.deepEqual(notices, [])
  })

  it.for([
    ['that is asked for everything', '3.70', {}],
    ['that has no others', '3.27', { name: 'a' }]
  ] as const)('is not asked again where it is one %s', async ([, offered, filter], t) => {
    const { cloud, volumes } = await aPool(t, offered)
    cloud.onCinder(LIST, refused)
    await assert.rejects(collect(volumes.pages(filter, CALL)), failing('bad_request'))
    assert.equal(cloud.asked.length, 1)
  })
})
