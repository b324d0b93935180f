import type { PoolPlan, Stock } from '../../pool/replenishment.ts'
import type { PoolName } from '../../pool/spare.ts'
import { planSurplus } from '../../pool/surplus.ts'
import type { Deps } from '../deps.ts'

/** Retires stock that nobody wants any more, or that is too old; true: some of it is to be replaced. */
export async function retireSurplus(deps: Deps, stock: Stock, plans: readonly PoolPlan[]): Promise<boolean> {
  const { changed, surplus, aged } = planSurplus(stock, plans, deps.settings.surplusSeconds)
  if (changed.length > 0) await deps.pools.noteSurplus(changed)
  if (surplus.length > 0) tell(deps, await deps.spares.retireOldest(surplus, stock.now), 'surplus spare retired')
  const replaced = aged.length > 0 ? await deps.spares.retireOldest(aged, stock.now) : []
  tell(deps, replaced, 'old spare retired')
  return replaced.length > 0
}

function tell(deps: Deps, retired: readonly PoolName[], message: string): void {
  for (const { os, type } of retired) deps.log.info({ os, type }, message)
  if (retired.length > 0) deps.wake('check_state') // Which deletes it.
}
