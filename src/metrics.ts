import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { ByPool } from './pool/by-pool.ts'
import { codeOf, PoolError } from './pool/errors.ts'
import type { Observer } from './pool/observer.ts'
import { countByStatus, countStale, type PoolTarget, poolsOf, type StoredStock } from './pool/replenishment.ts'
import type { PoolName } from './pool/spare.ts'

/** What the configuration wants and the database knows, at one moment. */
export interface Levels {
  readonly targets: readonly PoolTarget[]
  readonly stock: StoredStock
  readonly orphans: number
}

type CloudRequest = Record<'service' | 'operation' | 'outcome', string> & { seconds: number }
export type Metrics = ReturnType<typeof createMetrics>

const POOL = ['os', 'type']
/** Buckets for claims and calls to the cloud. */
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
/** Buckets for lead times and ticks. */
const LONG_SECONDS = [0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600]

/** Memory, event loop, garbage collection: watched once a process, however many services it starts. */
const ofProcess = new Registry()
collectDefaultMetrics({ register: ofProcess })

export function createMetrics(version: string) {
  const registry = new Registry()
  const instruments = instrumentsOf(registry)
  const { counter, gauge, histogram } = instruments
  gauge('build_info', 'Always 1; the label says which version runs', ['version']).set({ version }, 1)
  const requests = counter('cloud_requests_total', 'Requests to the cloud', ['service', 'operation', 'outcome'])
  const seconds = histogram('cloud_request_seconds', 'Time of requests to the cloud', SECONDS, ['service', 'operation'])
  const setLevels = levelGauges(instruments)
  return {
    observer: observerOf(instruments),
    contentType: registry.contentType,
    cloudRequest({ service, operation, outcome, seconds: took }: CloudRequest): void {
      requests.inc({ service, operation, outcome })
      seconds.observe({ service, operation }, took)
    },
    /** All metrics in Prometheus's text format; without the levels while the database does not answer. */
    async read(levels: () => Promise<Levels>): Promise<string> {
      await levels().then(setLevels, (error: unknown) => {
        if (!(error instanceof PoolError)) throw error
      })
      return (await registry.metrics()) + (await ofProcess.metrics())
    }
  }
}

type Instruments = ReturnType<typeof instrumentsOf>

function instrumentsOf(registry: Registry) {
  const of = (name: string, help: string, labelNames: string[]) => {
    return { name: `spare_pool_${name}`, help, labelNames, registers: [registry] }
  }
  return {
    counter: (name: string, help: string, labels: string[]) => new Counter(of(name, help, labels)),
    gauge: (name: string, help: string, labels: string[] = []) => new Gauge(of(name, help, labels)),
    histogram: (name: string, help: string, buckets: number[], labels: string[]) =>
      new Histogram({ ...of(name, help, labels), buckets })
  }
}

function observerOf({ counter, gauge, histogram }: Instruments): Observer {
  const claims = counter('claims_total', 'Claims, repeats not counted', [...POOL, 'source', 'miss_reason'])
  const failures = counter('claim_failures_total', 'Claims that got no disk', [...POOL, 'code'])
  const claimSeconds = histogram('claim_seconds', 'From a claim to its disk', SECONDS, [...POOL, 'source'])
  const leadTime = histogram('lead_time_seconds', 'Lead time of a volume', LONG_SECONDS, POOL)
  const repairs = counter('repairs_total', 'What reconcile and check_state repaired', ['kind'])
  const tickSeconds = histogram('tick_seconds', 'Time of one run of a tick', LONG_SECONDS, ['tick'])
  const tickSuccess = gauge('tick_last_success_timestamp_seconds', 'When a tick last succeeded', ['tick'])
  const tickFailures = counter('tick_failures_total', 'Runs of a tick that failed', ['tick'])
  const itemFailures = counter('tick_items_failed_total', 'Items that a tick left for its next run', ['tick'])
  const labelsOf = firstPools(FAILING_POOLS_MAX)
  return {
    claimed({ os, type, source = '', missReason = '' }, seconds) {
      claims.inc({ os, type, source, miss_reason: missReason })
      claimSeconds.observe({ os, type, source }, seconds)
    },
    claimRefused: ({ os, type }, missReason) => claims.inc({ os, type, source: 'none', miss_reason: missReason }),
    claimFailed: (name, error) => failures.inc({ ...labelsOf(name), code: codeOf(error) }),
    becameAvailable: ({ os, type }, seconds) => leadTime.observe({ os, type }, seconds),
    repaired(kind, count) {
      if (count > 0) repairs.inc({ kind }, count)
    },
    ticked(tick, seconds, ok, at) {
      tickSeconds.observe({ tick }, seconds)
      if (ok) tickSuccess.set({ tick }, at.getTime() / 1000)
      else tickFailures.inc({ tick })
    },
    itemFailed: tick => itemFailures.inc({ tick })
  }
}

const FAILING_POOLS_MAX = 1_000

/** Callers may name any os and type. Pools beyond the first so many count as one, else the metrics would grow without end. */
function firstPools(max: number): (pool: PoolName) => PoolName {
  const seen = new Set<string>()
  return ({ os, type }) => {
    const key = JSON.stringify([os, type])
    if (seen.size < max) seen.add(key)
    return seen.has(key) ? { os, type } : { os: 'other', type: 'other' }
  }
}

/** Levels come from the database: every replica shows the same. */
function levelGauges({ gauge }: Instruments): (levels: Levels) => void {
  const spares = gauge('spares', 'Spares by status', [...POOL, 'status'])
  const stale = gauge('stale_spares', 'Spares in stock of an image that is no longer current', POOL)
  const target = gauge('target', 'How many spares the pool should hold', POOL)
  const orphanCount = gauge('orphans', 'Volumes and transfers that carry our metadata and that no row knows')
  return ({ targets, stock, orphans }) => {
    const [images, holdings] = [new ByPool(stock.images), new ByPool(stock.holdings)]
    for (const level of [spares, stale, target]) level.reset() // Else a pool that is gone would stay.
    for (const pool of poolsOf(targets, stock.holdings)) {
      const { os, type } = pool
      const ours = holdings.all(pool)
      for (const [status, count] of Object.entries(countByStatus(ours))) spares.set({ os, type, status }, count)
      stale.set({ os, type }, countStale(ours, images.one(pool)))
      target.set({ os, type }, pool.target)
    }
    orphanCount.set(orphans)
  }
}
