import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { ImageView, PlanView, StatsView } from '../../src/http/schemas.ts'
import { countStatements } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const WINDOWS = { os: 'windows2022', type: 'ssd' }

const poolOf = async (service: TestService, query = ''): Promise<StatsView['pools'][number]> => {
  const { body } = await service.call<StatsView>('GET', `/pool/stats${query}`)
  const [pool] = body.pools
  assert.ok(pool)
  return pool
}
const plansOf = async (service: TestService): Promise<PlanView[]> =>
  (await service.call<{ pools: PlanView[] }>('GET', '/pool/plan')).body.pools

describe('GET /pool/stats', () => {
  it('shows every pool at a glance', async t => {
    const service = await aService(t, { createSeconds: 14 })
    await service.claim({ hostname: 'a' })
    await service.claim({ hostname: 'a' }) // A repeat is no other claim.
    service.clock.pass(60)
    const stats = await service.stats()
    const [pool] = stats.pools
    assert.ok(pool?.image && pool.lead_time_seconds && pool.claim_seconds)
    const { image, oldest_spare_seconds, lead_time_seconds, claim_seconds, ...rest } = pool
    assert.deepEqual(rest, {
      ...DEBIAN,
      condition: 'filling',
      target: 5,
      spares: { requested: 0, creating: 0, available: 4, reserved: 0, retiring: 0 },
      stale_spares: 0,
      paused: false,
      claims: { hits: 1, misses: {}, existing: 0, hit_rate: 1 },
      last_error: null
    })
    assert.deepEqual([image.version, image.newer_in_cinder], ['20261101', null])
    assert.ok(oldest_spare_seconds !== null && oldest_spare_seconds >= 90)
    assert.ok(lead_time_seconds['p50'] !== undefined && lead_time_seconds['p50'] >= 14)
    assert.ok(lead_time_seconds['p95'] !== undefined && lead_time_seconds['p95'] >= lead_time_seconds['p50'])
    assert.ok(claim_seconds['p99'] !== undefined && claim_seconds['p50'] !== undefined)
    assert.deepEqual([stats.cloud, stats.orphans], [{ reachable: true, last_error: null }, 0])
  })

  it('costs a few statements, however many pools there are', async t => {
    const many = Array.from({ length: 30 }, (_, n) => ({ os: `os-${n}`, type: 'ssd', target: 1 }))
    for (const pools of [[DEBIAN], many]) {
      const service = await aService(t, {
        filled: false,
        config: { pools: pools.map(pool => ({ target: 1, ...pool })) }
      })
      const statements = countStatements(service)
      await service.stats()
      assert.equal(statements(), 5)
    }
  })

  it('counts hits, misses by their reason and existing disks, in the window only', async t => {
    const service = await aService(t, { config: { pools: [{ ...DEBIAN, target: 1 }] } })
    await service.claim({ hostname: 'hit' })
    const miss = await service.claim({ hostname: 'miss', wait_seconds: 60 })
    assert.equal(miss.body.source, 'created')
    const expected = { hits: 1, misses: { empty: 1 }, existing: 0, hit_rate: 0.5 }
    assert.deepEqual((await poolOf(service)).claims, expected)
    service.clock.pass(2 * 3600)
    const nothing = { hits: 0, misses: {}, existing: 0, hit_rate: null }
    const hour = await poolOf(service, '?window=1h')
    assert.deepEqual([hour.claims, hour.claim_seconds, hour.lead_time_seconds], [nothing, null, null])
    for (const window of ['10801s', '181m', '4h', '1d', '999999d']) {
      assert.deepEqual((await poolOf(service, `?window=${window}`)).claims, expected, window)
    }
    service.clock.pass(22 * 3600)
    assert.deepEqual((await poolOf(service)).claims, nothing) // By default a day.
  })

  it('has each tick’s last run, and how long and how well it went', async t => {
    const service = await aService(t, { filled: false })
    const before = await service.stats()
    const never = { last_run_at: null, last_ok_at: null, seconds: null, last_error: null }
    assert.deepEqual(before.ticks, { replenish: never, check_state: never, reconcile: never })
    await service.call('POST', '/pool/reconcile')
    const { reconcile } = (await service.stats()).ticks
    assert.ok(reconcile?.last_run_at && reconcile.last_ok_at && reconcile.seconds !== null)
    service.sandbox.cloud.addFault({ kind: 'status', status: 503 })
    await service.call('POST', '/pool/reconcile')
    const failed = (await service.stats()).ticks['reconcile']
    assert.equal(failed?.last_ok_at, reconcile.last_ok_at)
    assert.ok(failed?.last_error)
  })

  it('says when the cloud cannot be reached, and when it can again', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ kind: 'status', status: 503 })
    await service.call('POST', '/pool/reconcile')
    const { cloud } = await service.stats()
    assert.equal(cloud.reachable, false)
    assert.ok(cloud.last_error)
    service.sandbox.cloud.faults.remove()
    await service.call('POST', '/pool/reconcile')
    assert.equal((await service.stats()).cloud.reachable, true)
  })

  it('shows a pool in each condition', async t => {
    const pools = [DEBIAN, WINDOWS, { os: 'beos', type: 'ssd' }].map(pool => ({ ...pool, target: 1 }))
    const service = await aService(t, { filled: false, createSeconds: 10, config: { pools } })
    const conditions = async () => (await service.stats()).pools.map(({ condition }) => condition)
    await service.sync()
    assert.deepEqual(await conditions(), ['empty', 'empty', 'no_image'])
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
    await service.call('POST', '/pool/replenish')
    service.clock.pass(100)
    await service.call('POST', '/pool/check')
    assert.deepEqual((await conditions()).toSorted(), ['backing_off', 'full', 'no_image'])
    await service.call('POST', '/pool/pause')
    assert.deepEqual(await conditions(), ['paused', 'paused', 'paused'])
  })

  it('counts stale spares, which a sync has kept', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addSnapshot({ name: 'debian12_ssd_20261201' })
    await service.sync({ purge: 'none' })
    const pool = await poolOf(service)
    assert.deepEqual([pool.stale_spares, pool.image?.version, pool.condition], [5, '20261201', 'full'])
  })
})

describe('GET /pool/plan', () => {
  it('is what the next tick does, and changes nothing', async t => {
    const service = await aService(t, { filled: false, config: { limits: { creating_max: 2 } } })
    await service.sync()
    const [plan] = await plansOf(service)
    const { reason, ...rest } = plan ?? { reason: '' }
    assert.deepEqual(rest, {
      ...DEBIAN,
      target: 5,
      held: 0,
      in_flight: 0,
      missing: 5,
      create: 2,
      held_back_by: 'creating_max'
    })
    assert.match(reason, /creating_max/)
    assert.deepEqual([(await service.spares()).length, service.volumes('pool').length], [0, 0])
    const { body } = await service.call<{ requested: number; pools: PlanView[] }>('POST', '/pool/replenish')
    assert.deepEqual([body.requested, body.pools], [2, [plan]])
  })

  it('asks Cinder for the quota only where something would be made', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'quota_show', kind: 'status', status: 503 })
    const [plan] = await plansOf(service)
    assert.deepEqual([plan?.missing, plan?.reason], [0, 'nothing is missing'])
    await service.claim()
    assert.equal((await service.call('GET', '/pool/plan')).status, 503)
  })
})

describe('POST /pool/pause and /pool/resume', () => {
  const pools = [DEBIAN, WINDOWS].map(pool => ({ ...pool, target: 1 }))
  type Paused = { pools: { os: string; type: string; paused: boolean }[] }

  it('stop and restart the refilling of one pool; its stock stays and is served', async t => {
    const service = await aService(t, { config: { pools } })
    const { body } = await service.call<Paused>('POST', '/pool/pause', { os: 'debian12', type: 'SSD' })
    assert.deepEqual(body, { pools: [{ ...DEBIAN, paused: true }] })
    assert.equal((await service.claim()).body.source, 'pool')
    await service.call('POST', '/pool/replenish')
    assert.deepEqual(
      (await plansOf(service)).map(({ held_back_by, missing }) => [held_back_by, missing]),
      [
        ['paused', 1],
        [null, 0]
      ]
    )
    const resumed = await service.call<Paused>('POST', '/pool/resume', { os: 'debian12' })
    assert.deepEqual(resumed.body, { pools: [{ ...DEBIAN, paused: false }] })
    assert.equal((await service.call<{ requested: number }>('POST', '/pool/replenish')).body.requested, 1)
  })

  it('are for all pools where none is named', async t => {
    const service = await aService(t, { filled: false, config: { pools } })
    for (const body of [undefined, {}, { type: 'ssd' }]) {
      const answer = await service.call<Paused>('POST', '/pool/pause', body)
      assert.deepEqual(
        answer.body.pools.map(({ os, paused }) => [os, paused]),
        [
          ['debian12', true],
          ['windows2022', true]
        ]
      )
    }
    const resumed = await service.call<Paused>('POST', '/pool/resume')
    assert.ok(resumed.body.pools.every(({ paused }) => !paused))
  })

  it('are 404 for a pool that is not configured, and name those that are', async t => {
    const service = await aService(t, { filled: false })
    for (const filter of [{ os: 'beos' }, { type: 'sas' }, { os: 'debian12', type: 'nvme' }]) {
      const { status, body } = await service.call('POST', '/pool/pause', filter)
      assert.deepEqual([status, body.code], [404, 'not_found'])
      assert.match(body.detail, /debian12 on ssd/)
    }
  })

  it('take a resume for the end of a back-off', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'status', status: 400, count: 5 })
    await service.call('POST', '/pool/replenish')
    assert.equal((await poolOf(service)).condition, 'backing_off')
    assert.ok((await poolOf(service)).last_error)
    await service.call('POST', '/pool/resume')
    assert.deepEqual([(await poolOf(service)).condition, (await poolOf(service)).last_error], ['empty', null])
  })
})

describe('ticks on demand', () => {
  it('answer with what they did', async t => {
    const service = await aService(t, { filled: false, createSeconds: 10 })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
    const { body: replenished } = await service.call<{ requested: number }>('POST', '/pool/replenish')
    assert.equal(replenished.requested, 5)
    const check = () => service.call<object>('POST', '/pool/check').then(({ body }) => body)
    service.clock.pass(100)
    assert.deepEqual(await check(), { checked: 5, available: 4, dropped: 1, left: 0 })
    assert.deepEqual(await check(), { checked: 0, available: 0, dropped: 0, left: 0 })
    const { body } = await service.call<object>('POST', '/pool/reconcile')
    assert.deepEqual(body, { settled: 0, adopted: 0, removed: 0, dropped: 0, left: 0 })
  })

  it('join a run under way instead of doubling it', async t => {
    const service = await aService(t, { filled: false })
    const runs = await Promise.all([1, 2, 3].map(() => service.call<{ requested: number }>('POST', '/pool/replenish')))
    assert.deepEqual(
      runs.map(({ body }) => body.requested),
      [5, 5, 5]
    )
    assert.equal(service.volumes('pool').length, 5)
  })

  it.for(['/pool/replenish', '/pool/check', '/pool/reconcile', '/pool/pause', '/pool/resume', '/os/sync'])(
    'and %s need no body, nor mind an empty one',
    async (path, t) => {
      const service = await aService(t, { filled: false })
      const json = { 'content-type': 'application/json' }
      for (const [body, headers] of [
        [undefined, {}],
        ['', json],
        ['null', json],
        [{}, {}]
      ] as const) {
        assert.equal((await service.call('POST', path, body, { ...headers })).status, 200)
      }
    }
  )
})

describe('reservations', () => {
  it('are refused in this version, in so many words', async t => {
    const service = await aService(t, { filled: false })
    for (const [method, path] of [
      ['GET', '/pool/reservations'],
      ['POST', '/pool/reservations'],
      ['DELETE', '/pool/reservations/1']
    ] as const) {
      const { status, body } = await service.call(method, path)
      assert.deepEqual([status, body.code], [404, 'not_found'])
      assert.match(body.detail, /[Rr]eservations are not available in this version/)
    }
    const document = await service.call<{ paths: object }>('GET', '/openapi.json')
    assert.deepEqual(
      Object.keys(document.body.paths).filter(path => path.includes('reservation')),
      []
    )
  })
})

describe('GET /os', () => {
  it('has the images of table os', async t => {
    const service = await aService(t, { filled: false })
    const images = async () => (await service.call<{ images: ImageView[] }>('GET', '/os')).body.images
    assert.deepEqual(await images(), [])
    await service.sync()
    const [first, ...others] = await images()
    assert.deepEqual(
      [first, ...others].map(image => `${image?.os} ${image?.type} ${image?.version}`),
      ['debian12 sas 20261101', 'debian12 ssd 20261101', 'windows2022 ssd 20261101']
    )
    const { snapshot_id = '', created_at, updated_at, ...rest } = first ?? {}
    assert.deepEqual(rest, {
      os: 'debian12',
      type: 'sas',
      replica_snapshot_ids: [],
      version: '20261101',
      volume_type: 'ceph-sas',
      size: 20
    })
    assert.ok(service.sandbox.cloud.snapshots.has(snapshot_id) && created_at && updated_at)
  })
})

describe('health', () => {
  it('is alive, and ready while the database is there and migrated', async t => {
    const service = await aService(t, { filled: false })
    for (const [path, expected] of [
      ['/healthz', 'ok'],
      ['/readyz', 'ready']
    ] as const) {
      const { status, body } = await service.call<object>('GET', path)
      assert.deepEqual([status, body], [200, { status: expected }])
    }
    await service.rows('delete from schema_migrations')
    service.clock.pass(1.1) // What was seen a second ago still holds.
    const { status, body } = await service.call('GET', '/readyz')
    assert.deepEqual([status, body.code], [503, 'database_unavailable'])
    assert.match(body.detail, /migrations/)
    assert.equal((await service.call('GET', '/healthz')).status, 200)
  })
})
