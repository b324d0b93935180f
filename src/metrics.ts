import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { ByPool } from './pool/by-pool.ts'
import { codeOf, PoolError } from './pool/errors.ts'
import { isCurrent } from './pool/image.ts'
import type { Observer } from './pool/observer.ts'
import { countOf, type PoolTarget, poolsOf } from './pool/replenishment.ts'
import { type PoolName, SPARE_STATUSES } from './pool/spare.ts'
import type { StoredStock } from './pool/stores.ts'

/** What levels are read from when Prometheus asks. */
export interface Levels {
  readonly targets: readonly PoolTarget[]
  readonly stock: () => Promise<StoredStock>
  readonly orphans: () => Promise<number>
}

export interface Metrics {
  readonly observer: Observer
  readonly contentType: string
  cloudRequest(report: { service: string; operation: string; outcome: string; seconds: number }): void
  /** All of it in Prometheus's text format; without the levels where the database does not answer. */
  read(levels: Levels): Promise<string>
}

const CLAIM_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const LEAD_TIME_BUCKETS = [0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600]

let processRegistry: Registry | undefined

/** Memory, event loop, garbage collection: watched once, since that has no end, however many services a process starts. */
function registryOfProcess(): Registry {
  if (!processRegistry) {
    processRegistry = new Registry()
    collectDefaultMetrics({ register: processRegistry })
  }
  return processRegistry
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const ofProcess = registryOfProcess()
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `spare_pool_${name}`, help, labelNames, registers })
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name: `spare_pool_${name}`, help, labelNames, buckets, registers })
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `spare_pool_${name}`, help, labelNames, registers })

  gauge('build_info', 'Always 1; the label says which version runs', ['version']).set({ version }, 1)
  const cloudRequests = counter('cloud_requests_total', 'Requests to the cloud', ['service', 'operation', 'outcome'])
  const cloudSeconds = histogram(
    'cloud_request_seconds',
    'Time of requests to the cloud',
    ['service', 'operation'],
    CLAIM_BUCKETS
  )
  const setLevels = levelGauges(gauge)
  return {
    observer: observerOf(counter, histogram, gauge),
    contentType: registry.contentType,
    cloudRequest({ service, operation, outcome, seconds }) {
      cloudRequests.inc({ service, operation, outcome })
      cloudSeconds.observe({ service, operation }, seconds)
    },
    async read(levels) {
      await setLevels(levels).catch((error: unknown) => {
        if (!(error instanceof PoolError)) throw error
      })
      return (await registry.metrics()) + (await ofProcess.metrics())
    }
  }
}

type NewCounter = (name: string, help: string, labelNames?: string[]) => Counter
type NewGauge = (name: string, help: string, labelNames?: string[]) => Gauge
type NewHistogram = (name: string, help: string, labelNames: string[], buckets: number[]) => Histogram

function observerOf(counter: NewCounter, histogram: NewHistogram, gauge: NewGauge): Observer {
  const claims = counter('claims_total', 'Claims served or refused for want of stock, repeats not counted', [
    'os',
    'type',
    'source',
    'miss_reason'
  ])
  const failures = counter('claim_failures_total', 'Claims that got no disk', ['os', 'type', 'code'])
  const claimSeconds = histogram(
    'claim_seconds',
    'From a claim to the disk in its project',
    ['os', 'type', 'source'],
    CLAIM_BUCKETS
  )
  const leadTime = histogram(
    'lead_time_seconds',
    'From asking Cinder for a volume until it is available',
    ['os', 'type'],
    LEAD_TIME_BUCKETS
  )
  const repairs = counter('repairs_total', 'What reconcile and check_state put right', ['kind'])
  const tickSeconds = histogram('tick_seconds', 'Time of one run of a tick', ['tick'], LEAD_TIME_BUCKETS)
  const tickSuccess = gauge('tick_last_success_timestamp_seconds', 'When a tick last went well', ['tick'])
  const tickFailures = counter('tick_failures_total', 'Runs of a tick that failed', ['tick'])
  const itemFailures = counter('tick_items_failed_total', 'Items that a tick had to leave for its next run', ['tick'])
  const labelsOf = firstPools(FAILING_POOLS_MAX)
  return {
    claimed({ os, type, source = '', missReason = '' }, seconds) {
      claims.inc({ os, type, source, miss_reason: missReason })
      claimSeconds.observe({ os, type, source }, seconds)
    },
    claimRefused({ os, type }, missReason) {
      claims.inc({ os, type, source: 'none', miss_reason: missReason })
    },
    claimFailed(pool, error) {
      failures.inc({ ...labelsOf(pool), code: codeOf(error) })
    },
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

/** Callers may name any os and type: beyond so many all others count as one, or the metrics would grow without end. */
function firstPools(max: number): (pool: PoolName) => PoolName {
  const seen = new Set<string>()
  return ({ os, type }) => {
    const key = JSON.stringify([os, type])
    if (seen.size < max) seen.add(key)
    return seen.has(key) ? { os, type } : { os: 'other', type: 'other' }
  }
}

/** Levels are of the database, so every replica shows the same. */
function levelGauges(gauge: NewGauge): (levels: Levels) => Promise<void> {
  const spares = gauge('spares', 'Spares by status', ['os', 'type', 'status'])
  const stale = gauge('stale_spares', 'Spares in stock of an image that is no longer current', ['os', 'type'])
  const target = gauge('target', 'How many spares the pool should hold', ['os', 'type'])
  const orphans = gauge('orphans', 'Volumes and transfers that carry our metadata and that no row knows')
  return async levels => {
    const [stock, orphanCount] = await Promise.all([levels.stock(), levels.orphans()])
    const [images, holdings] = [new ByPool(stock.images), new ByPool(stock.holdings)]
    for (const gauge of [spares, stale, target]) gauge.reset() // A pool that is gone is shown no more.
    for (const pool of poolsOf(levels.targets, stock.holdings)) {
      const { os, type } = pool
      const [image, ours] = [images.one(pool), holdings.all(pool)]
      for (const status of SPARE_STATUSES) {
        spares.set({ os, type, status }, countOf(ours.filter(holding => holding.status === status)))
      }
      const inStock = ours.filter(({ status }) => status === 'available')
      stale.set({ os, type }, countOf(inStock.filter(({ snapshotId }) => !isCurrent(snapshotId, image))))
      target.set({ os, type }, pool.target)
    }
    orphans.set(orphanCount)
  }
}
