import { ByPool } from './by-pool.ts'
import type { PoolPlan, Stock } from './replenishment.ts'
import type { PoolName } from './spare.ts'

/** Spares to retire of one pool: the oldest, as long as so many are left. */
export interface Retirement extends PoolName {
  readonly count: number
  readonly keep: number
  /** Only those made before then. */
  readonly before?: Date
}

/** Since when a pool has more in stock than its target; undefined: it has no more than that. */
export interface SurplusSince extends PoolName {
  readonly since: Date | undefined
}

export interface SurplusPlan {
  /** Where that has changed. */
  readonly changed: readonly SurplusSince[]
  /** Stock that has been over its target for too long. */
  readonly surplus: readonly Retirement[]
  /** The oldest spare of each full pool where it is too old: one at a time, so that each is replaced before the next one. */
  readonly aged: readonly Retirement[]
}

const HOUR_MS = 3_600_000

/** What to retire. A paused pool keeps its stock; one that is configured no more is not paused. */
export function planSurplus(stock: Stock, plans: readonly PoolPlan[], surplusSeconds: number): SurplusPlan {
  const nowMs = stock.now.getTime()
  const over = plans.filter(({ held, target, heldBackBy }) => held > target && heldBackBy !== 'paused')
  const [states, isOver] = [new ByPool(stock.states), new ByPool<PoolName>(over)]
  const sinceOf = (pool: PoolName): Date => states.one(pool)?.surplusSince ?? stock.now
  const begun = over.filter(pool => !states.one(pool)?.surplusSince)
  const ended = stock.states.filter(pool => pool.surplusSince && !isOver.one(pool))
  const due = over.filter(pool => nowMs - sinceOf(pool).getTime() >= surplusSeconds * 1000)
  return {
    changed: [
      ...begun.map(({ os, type }) => ({ os, type, since: stock.now })),
      ...ended.map(({ os, type }) => ({ os, type, since: undefined }))
    ],
    surplus: due.map(({ os, type, held, target }) => ({ os, type, count: held - target, keep: target })),
    aged: agedOf(stock, plans)
  }
}

function agedOf(stock: Stock, plans: readonly PoolPlan[]): Retirement[] {
  const [holdings, targets] = [new ByPool(stock.holdings), new ByPool(stock.targets)]
  return plans.flatMap(plan => {
    const { maxAgeHours } = targets.one(plan) ?? {}
    if (maxAgeHours === undefined || plan.held < plan.target || plan.heldBackBy) return []
    const before = new Date(stock.now.getTime() - maxAgeHours * HOUR_MS)
    const isAged = holdings.all(plan).some(({ oldestAt }) => oldestAt && oldestAt < before)
    return isAged ? [{ os: plan.os, type: plan.type, count: 1, keep: plan.held - 1, before }] : []
  })
}
