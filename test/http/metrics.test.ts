import assert from 'node:assert/strict'
import { beforeAll, describe, it } from 'vitest'
import { createMetrics } from '../../src/metrics.ts'
import { PoolError } from '../../src/pool/errors.ts'
import { setStatus } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const t = whileTestsRun()
let service: TestService
let samples: readonly Sample[]

async function read(from: TestService): Promise<Sample[]> {
  const { body } = await from.call<string>('GET', '/metrics')
  return [...body.matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', text = '']) => [key, text])),
    value: Number(value)
  }))
}

const of = (name: string, labels: Record<string, string> = {}): Sample[] =>
  samples.filter(
    sample => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  )
const sum = (name: string, labels: Record<string, string> = {}): number =>
  of(name, labels).reduce((total, { value }) => total + value, 0)

/** A day in the life: hits, a repeat, a miss, a refusal, a tick that fails, a stale pool. */
beforeAll(async () => {
  service = await aService(t, { createSeconds: 14, config: { pools: [{ ...DEBIAN, target: 3 }] } })
  for (const hostname of ['a', 'b', 'a']) await service.claim({ hostname })
  await service.claim({ hostname: 'c' })
  await service.claim({ hostname: 'd', wait_seconds: 60 })
  await service.claim({ hostname: 'e', on_empty: 'fail' })
  await service.fill()
  service.sandbox.cloud.addSnapshot({ name: 'debian12_ssd_20261201' })
  await service.sync({ purge: 'none' })
  const [spare] = await service.spares()
  setStatus(service, spare?.volume_id ?? '', 'error')
  await service.call('POST', '/pool/reconcile')
  service.sandbox.cloud.addFault({ operation: 'volume_list', kind: 'status', status: 503 })
  await service.call('POST', '/pool/reconcile')
  service.sandbox.cloud.faults.remove()
  samples = await read(service)
})

describe('GET /metrics', () => {
  it.for([
    ['spare_pool_spares', ['os', 'status', 'type']],
    ['spare_pool_stale_spares', ['os', 'type']],
    ['spare_pool_target', ['os', 'type']],
    ['spare_pool_claims_total', ['miss_reason', 'os', 'source', 'type']],
    ['spare_pool_claim_failures_total', ['code', 'os', 'type']],
    ['spare_pool_claim_seconds_bucket', ['le', 'os', 'source', 'type']],
    ['spare_pool_claim_seconds_sum', ['os', 'source', 'type']],
    ['spare_pool_claim_seconds_count', ['os', 'source', 'type']],
    ['spare_pool_lead_time_seconds_bucket', ['le', 'os', 'type']],
    ['spare_pool_lead_time_seconds_count', ['os', 'type']],
    ['spare_pool_cloud_requests_total', ['operation', 'outcome', 'service']],
    ['spare_pool_cloud_request_seconds_count', ['operation', 'service']],
    ['spare_pool_tick_seconds_count', ['tick']],
    ['spare_pool_tick_last_success_timestamp_seconds', ['tick']],
    ['spare_pool_tick_failures_total', ['tick']],
    ['spare_pool_orphans', []],
    ['spare_pool_repairs_total', ['kind']],
    ['spare_pool_build_info', ['version']],
    ['process_cpu_seconds_total', []],
    ['nodejs_heap_size_used_bytes', []]
  ] as const)('has %s with the labels %j', ([name, labels]) => {
    const found = of(name)
    assert.ok(found.length > 0)
    for (const sample of found) assert.deepEqual(Object.keys(sample.labels).toSorted(), labels)
  })

  it('comes in Prometheus’s own format', async () => {
    const { headers } = await service.call('GET', '/metrics')
    assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
  })

  it('counts the spares as stats does, in every status', async () => {
    const [pool] = (await service.stats()).pools
    for (const [status, count] of Object.entries(pool?.spares ?? {})) {
      assert.equal(sum('spare_pool_spares', { ...DEBIAN, status }), count, status)
    }
    assert.equal(of('spare_pool_spares').length, 5)
    assert.equal(sum('spare_pool_stale_spares', DEBIAN), pool?.stale_spares)
    assert.equal(sum('spare_pool_target', DEBIAN), 3)
    assert.equal(sum('spare_pool_orphans'), 0)
  })

  it('counts each claim once, repeats not, as stats does', async () => {
    const [pool] = (await service.stats()).pools
    assert.equal(sum('spare_pool_claims_total', { source: 'pool', miss_reason: '' }), 3)
    assert.equal(sum('spare_pool_claims_total', { source: 'created', miss_reason: 'empty' }), 1)
    assert.equal(sum('spare_pool_claims_total', { source: 'none', miss_reason: 'empty' }), 1)
    assert.equal(sum('spare_pool_claims_total'), 5)
    assert.deepEqual([pool?.claims.hits, pool?.claims.misses], [3, { empty: 2 }])
  })

  it('counts the claims that got no disk, by what they were told', () => {
    assert.deepEqual(
      of('spare_pool_claim_failures_total').map(({ labels, value }) => [labels['code'], value]),
      [['pool_empty', 1]]
    )
  })

  it('times each claim once, and each volume that was finished', async () => {
    for (const source of ['pool', 'created']) {
      assert.equal(sum('spare_pool_claim_seconds_count', { source }), sum('spare_pool_claims_total', { source }))
    }
    const finished = await service.rows<{ count: number }>('select count(*) from lead_times')
    assert.equal(sum('spare_pool_lead_time_seconds_count', DEBIAN), finished[0]?.count)
    assert.equal(sum('spare_pool_lead_time_seconds_bucket', { le: '10' }), 0)
    assert.ok(sum('spare_pool_lead_time_seconds_sum') >= 14 * (finished[0]?.count ?? 0))
  })

  it('has buckets that fit claims and flattening', () => {
    const buckets = (name: string) => new Set(of(name).map(({ labels }) => labels['le']))
    for (const le of ['0.05', '0.1', '0.25', '1', '60']) assert.ok(buckets('spare_pool_claim_seconds_bucket').has(le))
    for (const le of ['5', '30', '300', '3600']) assert.ok(buckets('spare_pool_lead_time_seconds_bucket').has(le))
  })

  it('counts and times every request to the cloud, by its outcome', () => {
    assert.equal(sum('spare_pool_cloud_requests_total'), sum('spare_pool_cloud_request_seconds_count'))
    assert.ok(sum('spare_pool_cloud_requests_total', { operation: 'transfer_accept', outcome: 'ok' }) >= 3)
    assert.ok(sum('spare_pool_cloud_requests_total', { operation: 'volume_list', outcome: 'unavailable' }) >= 1)
    assert.ok(sum('spare_pool_cloud_requests_total', { operation: 'token_issue' }) >= 1)
    const services = new Set(of('spare_pool_cloud_requests_total').map(({ labels }) => labels['service']))
    assert.equal(services.size, 2)
  })

  it('times every run of a tick, counts those that failed, and says when one last went well', async () => {
    const { ticks } = await service.stats()
    for (const tick of ['replenish', 'check_state', 'reconcile']) {
      assert.ok(sum('spare_pool_tick_seconds_count', { tick }) > 0)
      const at = Date.parse(ticks[tick]?.last_ok_at ?? '') / 1000
      assert.equal(sum('spare_pool_tick_last_success_timestamp_seconds', { tick }), at)
    }
    assert.deepEqual(
      of('spare_pool_tick_failures_total').map(({ labels, value }) => [labels['tick'], value]),
      [['reconcile', 1]]
    )
    assert.equal(sum('spare_pool_tick_seconds_count', { tick: 'reconcile' }), 2)
  })

  it('counts what was put right', () => {
    assert.equal(sum('spare_pool_repairs_total', { kind: 'dropped_spare' }), 1)
  })

  it('has the version that runs', () => {
    assert.deepEqual(
      of('spare_pool_build_info').map(({ labels, value }) => [labels['version'], value]),
      [['0.1.0', 1]]
    )
  })

  it('does not grow without end with what callers name', async () => {
    const metrics = createMetrics('1')
    for (let n = 0; n < 2_000; n += 1)
      metrics.observer.claimFailed({ os: `os-${n}`, type: 'ssd' }, new PoolError('image_not_found', ''))
    const empty = { targets: [], stock: { images: [], states: [], holdings: [] }, orphans: 0 }
    const all = await metrics.read(async () => empty)
    const lines = all.split('\n').filter(line => line.startsWith('spare_pool_claim_failures_total'))
    assert.equal(lines.length, 1_001)
    assert.ok(lines.some(line => line.includes('os="other"') && line.endsWith(' 1000')))
  })
})
