import type { Call } from '../../pool/ports.ts'
import { type PoolPlan, planReplenishment } from '../../pool/replenishment.ts'
import type { Deps } from '../deps.ts'
import { imagesAfterRefresh } from '../images/refresh-images.ts'
import { completeStock, readQuota } from '../stock.ts'

/** What the next replenish would do, with the images that it would find. Changes nothing. */
export async function planNext(deps: Deps, call: Call): Promise<PoolPlan[]> {
  const stored = await deps.spares.stock()
  const stock = { ...stored, images: (await imagesAfterRefresh(deps, stored.images, call)).after }
  const draft = planReplenishment(completeStock(deps, stock))
  if (draft.every(({ create }) => create.length === 0)) return draft
  return planReplenishment(completeStock(deps, stock, await readQuota(deps, call)))
}
