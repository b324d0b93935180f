import { ByPool } from '../../pool/by-pool.ts'
import { conditionOf, type PoolCondition } from '../../pool/condition.ts'
import { startOfWindow } from '../../pool/history.ts'
import type { Image } from '../../pool/image.ts'
import { countByStatus, countStale, type Holding, type PoolPlan, planReplenishment } from '../../pool/replenishment.ts'
import type { SpareStatus } from '../../pool/spare.ts'
import type { Statistics, TickRecord } from '../../pool/stores.ts'
import type { Deps } from '../deps.ts'
import { readStock } from '../stock.ts'

export interface PoolStats extends Statistics {
  readonly condition: PoolCondition
  readonly target: number
  readonly spares: Readonly<Record<SpareStatus, number>>
  readonly staleSpares: number
  readonly oldestSpareSeconds: number | undefined
  readonly paused: boolean
  readonly image: Image | undefined
  readonly newerInCinder: string | undefined
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
  const stock = await readStock(deps)
  const [statistics, ticks, orphans] = await Promise.all([
    deps.history.read(startOfWindow(now, windowSeconds), stock.targets),
    deps.ticks.list(),
    deps.orphans.count()
  ])
  const [images, states, holdings] = [new ByPool(stock.images), new ByPool(stock.states), new ByPool(stock.holdings)]
  const happened = new ByPool(statistics)
  const pools = planReplenishment(stock).map((plan): PoolStats => {
    const [image, state, its] = [images.one(plan), states.one(plan), happened.one(plan)]
    return {
      ...levelsOf(plan, image, holdings.all(plan), now),
      hits: its?.hits ?? 0,
      misses: its?.misses ?? {},
      existing: its?.existing ?? 0,
      leadTime: its?.leadTime,
      claimSeconds: its?.claimSeconds,
      paused: state?.paused ?? false,
      image,
      newerInCinder: state?.newerInCinder,
      lastError: state?.lastError
    }
  })
  return { pools, ticks, orphans }
}

function levelsOf(plan: PoolPlan, image: Image | undefined, ours: readonly Holding[], now: Date) {
  const { os, type, target } = plan
  const oldest = ours.flatMap(({ oldestAt }) => oldestAt?.getTime() ?? [])
  return {
    os,
    type,
    target,
    condition: conditionOf(plan),
    spares: countByStatus(ours),
    staleSpares: countStale(ours, image),
    oldestSpareSeconds:
      oldest.length > 0 ? Math.max(0, Math.round((now.getTime() - Math.min(...oldest)) / 1000)) : undefined
  }
}
