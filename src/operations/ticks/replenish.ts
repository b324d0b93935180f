import { ByPool } from '../../pool/by-pool.ts'
import { CloudError } from '../../pool/errors.ts'
import { isGone } from '../../pool/image.ts'
import { BACKGROUND_CALLS_MAX, type Call } from '../../pool/ports.ts'
import {
  type Creation,
  type HeldBackBy,
  type PoolPlan,
  planReplenishment,
  type Stock,
  type StoredStock
} from '../../pool/replenishment.ts'
import type { Spare } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'
import { IMAGE_GONE, isOfGoneSnapshot } from '../images/gone-snapshots.ts'
import { type RefusedImage, whyRefused } from '../images/read-images.ts'
import { refreshImages } from '../images/refresh-images.ts'
import { notePoolFailure } from '../spare/give-up.ts'
import { requestVolume } from '../spare/request-volume.ts'
import { retireSurplus } from '../spare/retire-surplus.ts'
import { completeStock, readQuota, readStock } from '../stock.ts'
import { eachSpare, runOf } from '../tolerant.ts'

export interface ReplenishResult {
  readonly requested: number
  /** Pools that miss something. */
  readonly pools: readonly PoolPlan[]
}

/**
 * Asks Cinder for what every pool misses, within the limits, the budget and the quota. Once it is recorded what is asked for,
 * the next run may begin: a create that Cinder does not answer keeps nothing else from being made.
 */
export async function replenish(deps: Deps, call: Call, letNextBegin = () => {}): Promise<ReplenishResult> {
  const known = await readStock(deps)
  const plans = planReplenishment(known)
  const isReplaced = await retireSurplus(deps, known, plans)
  if (!isReplaced && !isNeeded(deps, known, plans)) return { requested: 0, pools: [] }
  const { isChanged, refused } = await refreshImages(deps, known.images, call)
  const stock = isReplaced || isChanged ? await readStock(deps) : known
  return await refill(deps, stock, refused, call, letNextBegin)
}

/** Whether something is to be made, or an image is missing or gone, or was so in the run before. */
function isNeeded({ settings }: Deps, { images, states }: Stock, plans: readonly PoolPlan[]): boolean {
  if (settings.imagesSource === 'cinder') return true // Each run follows Cinder.
  if (plans.some(({ missing, heldBackBy }) => missing > 0 && !isWaiting(heldBackBy))) return true
  const [imageOf, stateOf] = [new ByPool(images), new ByPool(states)]
  return settings.targets.some(pool => {
    const image = imageOf.one(pool)
    return !image || isGone(image) || isImageError(stateOf.one(pool)?.lastError)
  })
}

const isWaiting = (heldBackBy: HeldBackBy | undefined): boolean =>
  heldBackBy === 'paused' || heldBackBy === 'backing_off'

async function refill(
  deps: Deps,
  stock: Stock,
  refused: readonly RefusedImage[],
  call: Call,
  letNextBegin: () => void
): Promise<ReplenishResult> {
  const draft = planReplenishment(stock)
  await noteMissingImages(deps, draft, stock, refused)
  const short = draft.filter(isShort)
  if (short.length > 0) await deps.history.noteLevels(short, stock.now) // Claims wake this tick: it sees how low the stock was.
  if (draft.every(pool => pool.create.length === 0)) return { requested: 0, pools: short }
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

const isImageError = (error: string | undefined): boolean =>
  Object.values(IMAGE_ERRORS).some(known => error?.startsWith(known))

/** Logged once, and shown in `stats` as long as it is so. Pools that only other replicas configure are left to those. */
async function noteMissingImages(
  deps: Deps,
  plans: readonly PoolPlan[],
  stock: Stock,
  refused: readonly RefusedImage[]
): Promise<void> {
  const [states, planOf] = [new ByPool(stock.states), new ByPool(plans)]
  for (const { os, type } of deps.settings.targets) {
    const before = states.one({ os, type })?.lastError
    const heldBackBy = planOf.one({ os, type })?.heldBackBy
    const why = whyRefused(refused, { os, type })
    const error = isWithoutImage(heldBackBy) ? [IMAGE_ERRORS[heldBackBy], why].filter(Boolean).join('; ') : undefined
    if (error === before) continue
    if (!error && !isImageError(before)) continue
    const isNews = await deps.pools.noteError({ os, type }, error)
    if (error && isNews) deps.log.error({ os, type, error }, 'no image to make disks from')
  }
}
