import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { collect } from '../../src/operations/concurrently.ts'
import type { Transfers } from '../../src/pool/ports.ts'
import { failureOf } from '../support/cloud-failures.ts'
import { Gate } from '../support/gate.ts'
import {
  CALL,
  fault,
  PAGE,
  POOL,
  ScriptedCloud,
  type Seen,
  TENANT,
  type Test,
  volumeBody
} from '../support/scripted-cloud.ts'

const OLD = '/os-volume-transfer'
const NEW = '/volume-transfers'

/** A pool in a Cinder that offers microversions up to that one. */
async function aPool(t: Test, offered: string | undefined, pinned = 'auto') {
  const cloud = await ScriptedCloud.start(t)
  cloud.offers(offered)
  const notices: string[] = []
  const onNotice = (_fields: object, message: string) => void notices.push(message)
  const client = cloud.connect({ settings: cloud.settings({ volume_api_version: pinned }), onNotice })
  return { cloud, client, notices, ...(await client.poolProject(CALL)) }
}

const transfer = (volume: string) => ({ id: `t-${volume}`, volume_id: volume, name: null })

/** In an order of nobody's, the same for every request. */
const someArmed = (count: number): ReturnType<typeof transfer>[] =>
  Array.from({ length: count }, (_, index) => transfer(`v${String((index * 7919) % count).padStart(5, '0')}`))

/** The list of transfers as up to Rocky: `offset` and `limit` cut it, all else is ignored, and the link never ends. */
const unordered =
  (all: readonly object[], pageMax: number) =>
  ({ query }: Seen) => {
    const [offset, limit] = [Number(query.get('offset') ?? 0), Number(query.get('limit') ?? pageMax)]
    const transfers = all.slice(offset, offset + Math.min(limit, pageMax))
    const links = [{ rel: 'next', href: `http://wrong.example${OLD}/detail?marker=${offset}` }]
    return { body: { transfers, ...(all.length >= pageMax && { transfers_links: links }) } }
  }

const sizesAndIds = async (transfers: Transfers) => {
  const pages: string[][] = []
  for await (const page of transfers.pages(CALL)) pages.push(page.map(({ volumeId }) => volumeId))
  return { sizes: pages.map(page => page.length), ids: pages.flat() }
}

describe('transfers', () => {
  it.for([
    ['3.50', 'auto', OLD, {}],
    ['3.0', 'auto', OLD, {}],
    [undefined, 'auto', OLD, {}],
    ['3.71', '3.50', OLD, {}],
    ['3.55', 'auto', NEW, { no_snapshots: true }],
    ['3.71', '3.55', NEW, { no_snapshots: true }],
    ['3.71', 'auto', NEW, { no_snapshots: true }]
  ] as const)(
    'of a Cinder with %s, asked at %s, are made, shown, accepted and deleted at %s (case 6)',
    async ([offered, pinned, path, more], t) => {
      const { cloud, transfers } = await aPool(t, offered, pinned)
      const body = { transfer: { ...transfer('v1'), auth_key: 'key' } }
      for (const route of [`POST ${path}`, `GET ${path}/t-v1`, `POST ${path}/t-v1/accept`])
        cloud.onCinder(route, { body })
      cloud.onCinder(`DELETE ${path}/t-v1`, { status: 202 })
      assert.equal((await transfers.create('v1', 'spare', CALL)).authKey, 'key')
      assert.deepEqual(cloud.asked.at(-1)?.body, { transfer: { volume_id: 'v1', name: 'spare', ...more } })
      assert.equal((await transfers.find('t-v1', CALL))?.volumeId, 'v1')
      await transfers.accept('t-v1', 'key', CALL)
      await transfers.delete('t-v1', CALL)
      assert.equal(await transfers.find('t-v2', CALL), undefined)
      assert.deepEqual(
        cloud.asked.map(({ route }) => route),
        [`POST ${path}`, `GET ${path}/t-v1`, `POST ${path}/t-v1/accept`, `DELETE ${path}/t-v1`, `GET ${path}/t-v2`]
      )
    }
  )

  it('of one volume are told from the whole list, up to Rocky (cases 7 and 11)', async t => {
    for (const [offered, path] of [
      ['3.55', NEW],
      ['3.0', OLD]
    ] as const) {
      const { cloud, transfers } = await aPool(t, offered)
      cloud.onCinder(`GET ${path}/detail`, unordered(someArmed(150), 100))
      assert.deepEqual(
        (await transfers.ofVolume('v00149', CALL)).map(({ id }) => id),
        ['t-v00149']
      )
      assert.deepEqual(
        cloud.asked.map(({ query }) => Object.fromEntries(query)),
        [{}, { offset: '100' }, { offset: '150' }]
      )
    }
  })

  it('of one volume cost one request where all fit into one page', async t => {
    const { cloud, transfers } = await aPool(t, '3.50')
    cloud.onCinder(`GET ${OLD}/detail`, unordered(someArmed(45), 1000))
    assert.equal((await transfers.ofVolume('v00044', CALL)).length, 1)
    assert.equal(cloud.asked.length, 1)
  })

  it.for([
    ['of 1,000', 1000, 4],
    ['of 100, an operator’s limit', 100, 26]
  ] as const)(
    'of 2,500 volumes are all listed once, in order, though they come in none and in pages %s (cases 8, 9)',
    async ([, pageMax, requests], t) => {
      const { cloud, transfers } = await aPool(t, '3.55')
      const all = someArmed(2500)
      cloud.onCinder(`GET ${NEW}/detail`, unordered(all, pageMax))
      const { sizes, ids } = await sizesAndIds(transfers)
      assert.deepEqual(sizes, [1000, 1000, 500])
      assert.deepEqual(ids, all.map(one => one.volume_id).toSorted())
      assert.equal(cloud.asked.length, requests)
      assert.equal(
        cloud.asked.some(({ query }) => query.has('marker') || query.has('sort')),
        false
      )
    }
  )

  it('without an end are given up', async t => {
    const { cloud, transfers } = await aPool(t, '3.50')
    let made = 0
    cloud.onCinder(`GET ${OLD}/detail`, () => {
      const links = [{ rel: 'next', href: 'http://wrong.example' }]
      return { body: { transfers: [transfer(`v${made++}`)], transfers_links: links } }
    })
    assert.match((await failureOf(collect(transfers.pages(CALL)))).message, /has more than 1000 pages/)
  })

  it('are asked for in order and in pages where Cinder can do that, and else in one request (case 10)', async t => {
    const newest = await aPool(t, '3.59')
    newest.cloud.onCinder(`GET ${NEW}/detail`, { body: { transfers: [transfer('v1')] } })
    await collect(newest.transfers.pages(CALL))
    const ordered = { limit: '1000', sort: 'volume_id:asc,id:asc' }
    assert.deepEqual(Object.fromEntries(newest.cloud.asked.at(-1)?.query ?? []), ordered)

    const pinned = await aPool(t, '3.59', '3.50')
    // As from Stein on: filtered, and empty where a page is asked for.
    pinned.cloud.onCinder(`GET ${OLD}/detail`, ({ query }) => {
      const isPaged = ['limit', 'offset', 'marker'].some(key => query.has(key))
      const volume = query.get('volume_id')
      const found = someArmed(45).filter(one => !isPaged && (volume === null || one.volume_id === volume))
      return { body: { transfers: found } }
    })
    assert.deepEqual((await sizesAndIds(pinned.transfers)).sizes, [45])
    assert.deepEqual(
      (await pinned.transfers.ofVolume('v00017', CALL)).map(({ id }) => id),
      ['t-v00017']
    )
    assert.deepEqual(
      pinned.cloud.asked.map(({ query }) => Object.fromEntries(query)),
      [{}, { volume_id: 'v00017' }]
    )
  })

  it('of many volumes are told from one list, which was begun after each of them asked', async t => {
    const { cloud, client, transfers } = await aPool(t, '3.50')
    const [begun, gate] = [new Gate(), new Gate()]
    const armed = [transfer('v0')]
    cloud.onCinder(`GET ${OLD}/detail`, async () => {
      const body = { transfers: [...armed] }
      begun.open()
      await gate.passed
      return { body }
    })
    const first = transfers.ofVolume('v0', CALL)
    await begun.passed
    armed.push(...['v1', 'v2', 'v3'].map(transfer)) // Which the list that is being read does not have.
    const again = (await client.poolProject(CALL)).transfers
    const others = ['v1', 'v2', 'v3'].map(volume => again.ofVolume(volume, CALL))
    gate.open()
    const found = await Promise.all([first, ...others])
    assert.deepEqual(
      found.flat().map(({ volumeId }) => volumeId),
      ['v0', 'v1', 'v2', 'v3']
    )
    assert.equal(cloud.asked.length, 2)
  })

  it('of another project, or of a caller, are never told from the pool’s list', async t => {
    const { cloud, client, transfers } = await aPool(t, '3.50')
    const [begun, gate] = [new Gate(), new Gate()]
    cloud.onCinder(`GET ${OLD}/detail`, async ({ path }) => {
      begun.open()
      await gate.passed
      return { body: { transfers: path.includes(POOL) ? [transfer('v1')] : [] } }
    })
    const identity = { token: 'callers', userId: 'u', projectId: TENANT, roles: ['member'], expiresAt: new Date(0) }
    const [tenant, caller] = [await client.project(TENANT, CALL), client.withToken(identity)]
    const pools = transfers.ofVolume('v1', CALL)
    await begun.passed
    const others = [tenant.transfers, caller.transfers, transfers].map(each => each.ofVolume('v1', CALL))
    gate.open()
    assert.deepEqual([(await pools).length, ...(await Promise.all(others)).map(list => list.length)], [1, 0, 0, 1])
  })

  it('leave the one who gives up, and serve the others', async t => {
    const { cloud, transfers } = await aPool(t, '3.50')
    const [begun, gate] = [new Gate(), new Gate()]
    cloud.onCinder(`GET ${OLD}/detail`, async () => {
      begun.open()
      await gate.passed
      return { body: { transfers: [transfer('v1')] } }
    })
    const stop = new AbortController()
    const impatient = failureOf(transfers.ofVolume('v1', { ...CALL, signal: stop.signal }))
    await begun.passed
    const patient = transfers.ofVolume('v1', CALL)
    stop.abort(new Error('gone'))
    assert.equal((await impatient).code, 'timeout')
    gate.open()
    assert.equal((await patient).length, 1)
  })
})

describe('the reason of a failure', () => {
  it.for(['3.0', '3.3', undefined])('is not asked for where Cinder has none to tell: %s', async (offered, t) => {
    const { cloud, volumes } = await aPool(t, offered)
    assert.equal(await volumes.faultOf('v1', CALL), undefined)
    assert.equal(cloud.asked.length, 0)
  })

  it.for([
    ['a web server’s 404', { status: 404, body: PAGE }],
    ['a refusal', fault(403, 'forbidden', 'Policy does not allow it.')],
    ['a 400', fault(400, 'badRequest', 'Invalid filters resource_uuid are found in query options.')]
  ] as const)('is unknown, and Cinder is not at fault, after %s (case 19)', async ([, reply], t) => {
    const { cloud, volumes } = await aPool(t, '3.15')
    cloud.onCinder('GET /messages', reply)
    assert.equal(await volumes.faultOf('v1', CALL), undefined)
    assert.notEqual(cloud.reports.at(-1)?.outcome, 'failed')
  })

  it('may be there all the same where Cinder itself is in trouble', async t => {
    const { cloud, volumes } = await aPool(t, '3.15')
    cloud.onCinder('GET /messages', fault(500, 'computeFault', 'oops'))
    assert.equal((await failureOf(volumes.faultOf('v1', CALL))).code, 'failed')
  })
})

describe('the quota', () => {
  const absolute = { maxTotalVolumes: 10, totalVolumesUsed: 3, maxTotalVolumeGigabytes: 100, totalGigabytesUsed: 60 }

  it.for([
    fault(403, 'forbidden', 'Policy'),
    fault(404, 'itemNotFound', 'The resource could not be found.'),
    { status: 404, body: PAGE },
    fault(400, 'badRequest', 'no'),
    fault(500, 'computeFault', 'keystone said no to the nested driver')
  ])('comes from the limits after any refusal: $status (case 24)', async (refusal, t) => {
    const { cloud, volumes } = await aPool(t, '3.0')
    cloud.onCinder(`GET /os-quota-sets/${POOL}`, refusal)
    cloud.onCinder('GET /limits', { body: { limits: { rate: [], absolute } } })
    assert.deepEqual(Object.fromEntries(await volumes.quota(CALL)), { volumes: 7, gigabytes: 40 })
  })

  it('is unknown where the limits do not say what is used (case 24)', async t => {
    const { cloud, volumes } = await aPool(t, '3.0')
    const { totalVolumesUsed: _volumes, totalGigabytesUsed: _gigabytes, ...limits } = absolute
    cloud.onCinder(`GET /os-quota-sets/${POOL}`, fault(403, 'forbidden', 'Policy'))
    cloud.onCinder('GET /limits', { body: { limits: { rate: [], absolute: limits } } })
    assert.deepEqual(Object.fromEntries(await volumes.quota(CALL)), {})
  })

  it('is not asked for in another way of a cloud that is away', async t => {
    const { cloud, volumes } = await aPool(t, '3.0')
    cloud.onCinder(`GET /os-quota-sets/${POOL}`, fault(503, 'serviceUnavailable', 'busy'))
    assert.equal((await failureOf(volumes.quota(CALL))).code, 'unavailable')
    assert.equal(cloud.countCinder('GET /limits'), 0)
  })
})

describe('a 401 in plain text', () => {
  it('is met with one new login and one repeat (case 25)', async t => {
    const { cloud, volumes } = await aPool(t, '3.0')
    const plain = { status: 401, headers: { 'content-type': 'text/plain' }, body: 'Authentication required' }
    cloud.onCinder('GET /volumes/v1', plain, { body: { volume: volumeBody('v1') } })
    assert.equal((await volumes.find('v1', CALL))?.id, 'v1')
    assert.deepEqual([cloud.logins, cloud.countCinder('GET /volumes/v1')], [2, 2])
  })
})
