import { ByPool } from '../../pool/by-pool.ts'
import { CloudError } from '../../pool/errors.ts'
import { BACKGROUND_CALLS_MAX, type Call, type Quota } from '../../pool/ports.ts'
import {
  type Creation,
  type HeldBackBy,
  type PoolPlan,
  planReplenishment,
  poolsOf,
  type Stock
} from '../../pool/replenishment.ts'
import type { Spare } from '../../pool/spare.ts'
import type { StoredStock } from '../../pool/stores.ts'
import type { Deps } from '../deps.ts'
import { IMAGE_GONE, isOfGoneSnapshot } from '../images/gone-snapshots.ts'
import { type RefusedImage, whyRefused } from '../images/read-images.ts'
import { refreshImages } from '../images/refresh-images.ts'
import { notePoolFailure } from '../spare/give-up.ts'
import { requestVolume } from '../spare/request-volume.ts'
import { retireSurplus } from '../spare/retire-surplus.ts'
import { eachSpare, runOf } from '../tolerant.ts'

export interface ReplenishResult {
  readonly requested: number
  /** Pools that miss something. */
  readonly pools: readonly PoolPlan[]
}

/**
 * Beyond so many, they would make every look at the stock and the statistics slow. Timings are folded for each pool by itself,
 * which is the dearer the more pools there are, and worth it only for some of each.
 */
const UNFOLDED_MAX = { counts: 1_000, timings: 5_000, timingsOfEachPool: 20 }

/**
 * Asks Cinder for what every pool misses, within the limits, the budget and the quota. Once it is recorded what is asked for,
 * the next run may begin: a create that Cinder does not answer keeps nothing else from being made.
 */
export async function replenish(deps: Deps, call: Call, letNextBegin = () => {}): Promise<ReplenishResult> {
  const { settings, spares, clock } = deps
  const { targets, surplusSeconds } = settings
  const demand = { targets, surplusSeconds, imageErrors: Object.values(IMAGE_ERRORS) }
  const need = await spares.need(demand, clock.now())
  const { unfolded } = need
  try {
    const isReplacing = await retireSurplus(deps, demand, need)
    // Where Cinder is the source of images, each run follows it.
    if (!need.isNeeded && !isReplacing && settings.imagesSource !== 'cinder') return { requested: 0, pools: [] }
    return await refill(deps, call, letNextBegin)
  } finally {
    const timingsMax = Math.max(UNFOLDED_MAX.timings, settings.targets.length * UNFOLDED_MAX.timingsOfEachPool)
    if (unfolded.counts > UNFOLDED_MAX.counts) await deps.history.foldCounts()
    if (unfolded.timings > timingsMax) await deps.history.foldTimings()
  }
}

async function refill(deps: Deps, call: Call, letNextBegin: () => void): Promise<ReplenishResult> {
  let stock = await deps.spares.stock()
  const { isChanged, refused } = await refreshImages(deps, stock.images, call)
  if (isChanged) stock = await deps.spares.stock()
  const draft = planReplenishment(completeStock(deps, stock, undefined))
  await noteMissingImages(deps, draft, stock, refused)
  if (draft.every(pool => pool.create.length === 0)) return { requested: 0, pools: draft.filter(isShort) }
  const quota = await readQuota(deps, call)
  let plans = draft
  const plan = (current: StoredStock): Creation[] => {
    plans = planReplenishment(completeStock(deps, current, quota))
    return plans.flatMap(({ create }) => create)
  }
  const spares = await deps.spares.request(plan, deps.newId, deps.clock.now())
  letNextBegin()
  // More at a time would wait in line while their time runs, and then all queue for the database at once.
  const run = runOf('replenish', call)
  await eachSpare(deps, run, spares, spare => create(deps, spare, call), BACKGROUND_CALLS_MAX)
  return { requested: spares.length, pools: plans.filter(isShort) }
}

const isShort = ({ missing, heldBackBy }: PoolPlan): boolean => missing > 0 || isWithoutImage(heldBackBy)

export const completeStock = ({ settings, clock }: Deps, stored: StoredStock, quota: Quota | undefined): Stock => ({
  ...stored,
  targets: poolsOf(settings.targets, stored.holdings),
  limits: settings.limits,
  quota,
  now: clock.now()
})

export const readQuota = async (deps: Deps, call: Call): Promise<Quota> =>
  await (await deps.cloud.poolProject(call)).volumes.quota(call)

/** A failure is the pool's own: the other pools are served all the same. */
async function create(deps: Deps, spare: Spare, call: Call): Promise<void> {
  try {
    await requestVolume(deps, spare, call)
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    if (await isOfGoneSnapshot(deps, spare.snapshotId, error, call)) return
    await notePoolFailure(deps, spare, error.message)
  }
}

const IMAGE_ERRORS = {
  no_image: 'no image: no snapshot for this os and type is in table os, nor one in Cinder by images.snapshot_name',
  image_gone: IMAGE_GONE
} as const

const isWithoutImage = (heldBackBy: HeldBackBy | undefined): heldBackBy is keyof typeof IMAGE_ERRORS =>
  heldBackBy !== undefined && heldBackBy in IMAGE_ERRORS

/** Logged once, and shown in `stats` as long as it is so. Pools that only other replicas configure are left to those. */
async function noteMissingImages(
  deps: Deps,
  plans: readonly PoolPlan[],
  stock: StoredStock,
  refused: readonly RefusedImage[]
): Promise<void> {
  const [states, planOf] = [new ByPool(stock.states), new ByPool(plans)]
  for (const { os, type } of deps.settings.targets) {
    const before = states.one({ os, type })?.lastError
    const heldBackBy = planOf.one({ os, type })?.heldBackBy
    const why = whyRefused(refused, { os, type })
    const error = isWithoutImage(heldBackBy) ? [IMAGE_ERRORS[heldBackBy], why].filter(Boolean).join('; ') : undefined
    if (error === before) continue
    if (!error && !Object.values(IMAGE_ERRORS).some(known => before?.startsWith(known))) continue
    const isNews = await deps.pools.noteError({ os, type }, error)
    if (error && isNews) deps.log.error({ os, type, error }, 'no image to make disks from')
  }
}
