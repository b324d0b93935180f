import { type Image, isCurrent } from '../pool/image.ts'
import {
  conditionOf,
  countOf,
  type Holding,
  type PoolCondition,
  type PoolPlan,
  planReplenishment
} from '../pool/replenishment.ts'
import { type PoolName, SPARE_STATUSES, type SpareStatus, samePool } from '../pool/spare.ts'
import type { Percentiles, Statistics, TickRecord } from '../pool/stores.ts'
import type { Deps } from './deps.ts'
import { completeStock } from './replenish.ts'

export interface PoolStats extends PoolName {
  readonly condition: PoolCondition
  readonly target: number
  readonly spares: Readonly<Record<SpareStatus, number>>
  readonly staleSpares: number
  readonly oldestSpareSeconds: number | undefined
  readonly paused: boolean
  readonly image: Image | undefined
  readonly newerInCinder: string | undefined
  readonly hits: number
  readonly misses: Readonly<Record<string, number>>
  readonly existing: number
  readonly leadTime: Percentiles | undefined
  readonly claimSeconds: Percentiles | undefined
  readonly lastError: string | undefined
}

export interface Stats {
  readonly pools: readonly PoolStats[]
  readonly ticks: readonly TickRecord[]
  readonly orphans: number
}

/** Every pool at a glance; what happened is counted over the last `windowSeconds`. */
export async function showStats(deps: Deps, windowSeconds: number): Promise<Stats> {
  const now = deps.clock.now()
  const since = new Date(now.getTime() - windowSeconds * 1000)
  const [stored, statistics, ticks, orphans] = await Promise.all([
    deps.spares.stock(),
    deps.history.read(since),
    deps.ticks.list(),
    deps.orphans.count()
  ])
  const stock = completeStock(deps, stored, undefined)
  const pools = planReplenishment(stock).map((plan): PoolStats => {
    const image = stock.images.find(one => samePool(one, plan))
    const state = stock.states.find(one => samePool(one, plan))
    const oldest = statistics.oldest.find(one => samePool(one, plan))?.createdAt
    return {
      ...levelsOf(plan, image, stock.holdings),
      ...claimsOf(plan, statistics),
      oldestSpareSeconds: oldest && Math.round((now.getTime() - oldest.getTime()) / 1000),
      paused: state?.paused ?? false,
      image,
      newerInCinder: state?.newerInCinder,
      lastError: state?.lastError
    }
  })
  return { pools, ticks, orphans }
}

function levelsOf(plan: PoolPlan, image: Image | undefined, holdings: readonly Holding[]) {
  const { os, type, target } = plan
  const ours = holdings.filter(holding => samePool(holding, plan))
  const countIn = (status: SpareStatus): number => countOf(ours.filter(holding => holding.status === status))
  const stale = ours.filter(({ status, snapshotId }) => status === 'available' && !isCurrent(snapshotId, image))
  return {
    os,
    type,
    target,
    condition: conditionOf(plan),
    spares: Object.fromEntries(SPARE_STATUSES.map(status => [status, countIn(status)])) as Record<SpareStatus, number>,
    staleSpares: countOf(stale)
  }
}

function claimsOf(pool: PoolName, { claims, claimSeconds, leadTimes }: Statistics) {
  const ours = claims.filter(claim => samePool(claim, pool))
  const count = (source: string): number =>
    ours.filter(claim => claim.source === source).reduce((sum, claim) => sum + claim.count, 0)
  const misses = ours.filter(claim => claim.source === 'created')
  return {
    hits: count('pool'),
    existing: count('existing'),
    misses: Object.fromEntries(misses.map(({ missReason = 'empty', count }) => [missReason, count])),
    leadTime: leadTimes.find(one => samePool(one, pool)),
    claimSeconds: claimSeconds.find(one => samePool(one, pool))
  }
}
