import { type Claim, type ClaimResult, type MissReason, preferredVolume, usabilityOf } from '../../pool/claim.ts'
import { CloudError, PoolError, type PoolErrorCode } from '../../pool/errors.ts'
import { isCurrent, snapshotIdsOf } from '../../pool/image.ts'
import type { Volume } from '../../pool/ports.ts'
import { type Spare, samePool } from '../../pool/spare.ts'
import { collect } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { requireSnapshot } from '../images/gone-snapshots.ts'
import { findImage } from '../images/read-images.ts'
import { awaitDisk, awaitInProject, createDisk } from './create-disk.ts'
import { destinationOf } from './destination.ts'
import { diskOfVolume, give, giveSpare, handOver, handoverOf, refuseUnusable, type Work } from './give-disk.ts'
import {
  accept,
  type Handover,
  LostSpare,
  needsExtension,
  type Prepared,
  pause,
  prepare,
  UnfitSpare,
  unsettled,
  whereIs
} from './hand-over.ts'
import { leaseOf, Superseded } from './lease.ts'
import { putBack } from './put-back.ts'
import { refuseEmpty } from './refuse-empty.ts'
import { completeName, takeAtOnce } from './take-at-once.ts'

type Unplaced = Omit<Work, 'pool' | 'destination'>

/** Serves an open claim: the existing volume, else its spare, else a miss. What cannot be finished is undone. */
export async function serveClaim(deps: Deps, work: Unplaced): Promise<ClaimResult> {
  try {
    const pool = await deps.cloud.poolProject(work.call)
    const destination = await destinationOf(deps, work.claim.projectId, work.request.caller, work.call)
    return await serve(deps, { ...work, destination, pool })
  } catch (error) {
    if (!(error instanceof Superseded)) await undoIfFinal(deps, work, error)
    throw error
  }
}

/** What ends a claim whose disk is being made: anything else may be over by its next repeat. */
const ENDS_A_CREATION: readonly PoolErrorCode[] = [
  'quota_exceeded',
  'volume_type_hidden',
  'image_not_found',
  'image_gone',
  'existing_volume_unusable',
  'invalid_request',
  'cloud_error'
]

/** After these Cinder may have moved the disk: the database failed, perhaps at recording just that. */
const LEAVES_IT_OPEN: readonly PoolErrorCode[] = ['claim_unsettled', 'database_unavailable']

/** What is not over may rename a volume behind our back. */
const mayStillAct = (error: unknown): boolean => error instanceof CloudError && error.mayStillAct

function isFinal(claim: Claim, error: unknown): boolean {
  if (claim.status === 'creating') return error instanceof PoolError && ENDS_A_CREATION.includes(error.code)
  if (error instanceof PoolError) return claim.status === 'open' && !LEAVES_IT_OPEN.includes(error.code)
  return claim.status === 'open' && error instanceof CloudError
}

/**
 * The spare back into stock, the claim forgotten, for as long as it is ours. Judged by the claim as it is now: a disk may
 * be on its way by now. What does not succeed is left to reconcile. The request's own time may be up, so this has as long
 * as one call, for all of it.
 */
async function undoIfFinal(deps: Deps, work: Unplaced, error: unknown): Promise<void> {
  const call = { ...work.call, signal: deps.clock.timeout(deps.settings.cloudTimeoutSeconds * 1000) }
  try {
    const claim = await deps.claims.find(work.claim.id)
    if (!claim || !isFinal(claim, error)) return
    const spare = await deps.spares.ofClaim(claim.id)
    // What may still be renamed behind our back is not fit for the stock.
    const fit = !mayStillAct(error)
    if (spare) await letGo(deps, { ...work, claim, call, pool: await deps.cloud.poolProject(call) }, spare, fit)
    await deps.claims.forget(leaseOf(work))
  } catch (failure) {
    if (!(failure instanceof CloudError || failure instanceof PoolError)) throw failure
    deps.log.warn({ claim_id: work.claim.id, error: failure.message }, 'claim not undone yet: reconcile will')
  }
}

type Owner = Pick<Work, 'claim' | 'lease' | 'resumed' | 'call' | 'pool'>

/** Takes its spare from a claim. One that was made for it alone, and does not fit the pool, is retired. */
async function letGo(deps: Deps, owner: Owner, spare: Spare, fit = true): Promise<void> {
  const { claim, resumed, call, pool } = owner
  const how = { fit: fit && (claim.status === 'open' || (await fitsPool(deps, spare))), sent: resumed }
  if (await putBack(deps, owner, pool, spare, how, call)) return
  // Gone. An earlier try may have accepted it, though, and then it is the claim's.
  if (resumed && spare.volumeId) throw unsettled(`volume ${spare.volumeId} is not in the pool's project`)
  await deps.spares.retire(spare.id, 'reserved', deps.clock.now(), leaseOf(owner))
}

/** A claim that waited may have been given one from stock; its own may be as good. */
export async function fitsPool({ settings, images }: Deps, spare: Spare): Promise<boolean> {
  const target = settings.targets.find(one => samePool(one, spare))
  const image = target && (await images.find(spare))
  const isServed = spare.kept || isCurrent(spare.snapshotId, image)
  return image !== undefined && isServed && spare.sizeGib === Math.max(target?.sizeGib ?? 0, image.sizeGib)
}

async function serve(deps: Deps, work: Work): Promise<ClaimResult> {
  const { spare, resumed } = work
  if (spare && spare.availableAt === undefined) {
    if (!spare.volumeId) throw unsettled('the answer to the creation of its disk has not come yet')
    return await awaitDisk(deps, work, spare)
  }
  const first = spare && handoverOf(work, spare)
  if (first && resumed && (await whereIs(first)) === 'destination') {
    await completeName(deps, first)
    return await giveSpare(deps, work, first.spare)
  }
  const { existing, attempt, fit } = await lookAndPrepare(deps, work, first)
  if (existing) return await giveExisting(deps, work, existing, fit)
  const result = attempt && (await serveFromStock(deps, work, attempt))
  return result ?? (await serveMiss(deps, work, first !== undefined))
}

/** A hand-over that has begun or not, or that has shown already that it cannot be done. */
interface Attempt {
  readonly handover: Handover
  readonly prepared?: Prepared | undefined
  /** Nothing is looked up in Cinder before it. */
  readonly isAlone?: boolean
  readonly unfit?: UnfitSpare | undefined
}

interface Looked {
  readonly existing: Volume | undefined
  readonly attempt: Attempt | undefined
  /** False: the spare may still be renamed behind our back, and must not go back into stock. */
  readonly fit?: boolean
}

/**
 * Looks for an existing volume beside renaming the spare, which saves a round trip and can be taken back. An extension
 * cannot, and waits for the look-up.
 */
async function lookAndPrepare(deps: Deps, work: Work, handover: Handover | undefined): Promise<Looked> {
  const looking = existingVolume(deps, work)
  const isAlone = !looksInCinder(deps, work) // The hand-over may do all at once.
  const isInPool = work.destination.id === work.pool.id // There the rename is the last step, and ends the claim.
  if (!handover || isAlone || isInPool || work.resumed || needsExtension(work.claim, handover.spare)) {
    return { existing: await looking, attempt: handover && { handover, isAlone } }
  }
  const [look, preparation] = await Promise.allSettled([looking, prepare(deps, handover)])
  const failure: unknown = preparation.status === 'rejected' ? preparation.reason : undefined
  if (look.status === 'rejected') throw mayStillAct(failure) ? failure : look.reason // It says more of the spare.
  if (look.value) return { existing: look.value, attempt: undefined, fit: !mayStillAct(failure) }
  if (preparation.status === 'fulfilled') {
    return { existing: undefined, attempt: { handover, prepared: preparation.value } }
  }
  if (!(failure instanceof UnfitSpare)) throw failure
  return { existing: undefined, attempt: { handover, unfit: failure } }
}

/** With `check_existing: claims` only for a claim that was resumed. */
const looksInCinder = ({ settings }: Deps, { resumed }: Work): boolean => settings.checkExisting === 'cinder' || resumed

/** A volume of the claim's name in its project. */
async function existingVolume(deps: Deps, work: Work): Promise<Volume | undefined> {
  const { claim, destination, call, spare } = work
  if (!looksInCinder(deps, work)) return undefined
  if (claim.status === 'creating' && spare) return undefined // Its caller knows which disk is being made for it.
  const volumes = await collect(destination.volumes.pages({ name: claim.name }, call))
  // One that was made in the project for this very claim and failed is replaced, not in the way.
  return preferredVolume(volumes.filter(one => !(isMadeFor(work, one) && usabilityOf(one.status) === 'unusable')))
}

/** Made in the project itself for this claim, by a try that did not hear of it: tenants cannot see the pool's snapshots. */
const isMadeFor = ({ claim, image }: Work, volume: Volume): boolean =>
  claim.status === 'creating' &&
  (volume.id === claim.disk?.volumeId ||
    (image !== undefined && volume.snapshotId !== undefined && snapshotIdsOf(image).includes(volume.snapshotId)))

/** The disk that was there, which may be the very one that an earlier try has renamed or made. */
async function giveExisting(deps: Deps, work: Work, volume: Volume, fit = true): Promise<ClaimResult> {
  const { claim, spare } = work
  if (spare?.volumeId === volume.id && work.resumed) return await handOver(deps, work, spare)
  if (isMadeFor(work, volume)) return await awaitInProject(deps, work, volume)
  // A row that is older than the truth: the volume was given under this name before, and is no spare.
  if (spare?.volumeId === volume.id) await deps.spares.drop(spare.id, 'reserved', leaseOf(work))
  else if (spare) await letGo(deps, work, (await deps.spares.ofClaim(claim.id)) ?? spare, fit)
  refuseUnusable(claim, volume)
  const disk = diskOfVolume(volume, await deps.claims.originOf(volume.id))
  return await give(deps, work, { source: 'existing', missReason: undefined, disk }, volume.status)
}

/** Tries of one claim with different spares, before it counts as a miss. */
const SPARES_TRIED = 3

/** Hands over the reserved spare, or the next where one is unfit. Undefined: none was fit, or none is left. */
async function serveFromStock(deps: Deps, work: Work, first: Attempt): Promise<ClaimResult | undefined> {
  let attempt = first
  for (let tries = 0; ; ) {
    const { handover } = attempt
    try {
      if (attempt.unfit) throw attempt.unfit
      const taken = attempt.isAlone ? await takeAtOnce(deps, handover) : undefined
      return await giveSpare(deps, work, taken ?? (await takeInTurn(deps, attempt)))
    } catch (error) {
      if (!(error instanceof UnfitSpare)) throw error
      await discard(deps, work, handover, error)
      // Rows whose volumes are no spares any more, as after a backup was restored, may be many, and each goes for good.
      if (!(error instanceof LostSpare)) tries += 1
    }
    const next = tries < SPARES_TRIED && (await deps.spares.reserveOldest(work.claim.id, work.claim, deps.clock.now()))
    if (!next) return undefined
    attempt = { handover: handoverOf(work, next) }
  }
}

async function takeInTurn(deps: Deps, { handover, prepared: before }: Attempt): Promise<Spare> {
  const prepared = before ?? (await prepare(deps, handover))
  await accept(deps, handover, prepared)
  return prepared.spare
}

/**
 * Retired under its own name and metadata, so that what is left of it is known for ours and deleted. What is ours no more
 * is left alone.
 */
async function discard(deps: Deps, work: Work, handover: Handover, error: UnfitSpare): Promise<void> {
  const { spare, claim } = handover
  const fields = { claim_id: claim.id, spare_id: spare.id, volume_id: spare.volumeId, error: error.message }
  deps.log.warn(fields, 'spare could not be handed over')
  if (error instanceof LostSpare && !work.resumed) {
    await deps.spares.drop(spare.id, 'reserved', leaseOf(work))
    return
  }
  // What an earlier try had to do with may have moved: only what is in neither project is certainly gone.
  const isGone = work.resumed && (await whereIs(handover)) === 'nowhere'
  if (isGone) await deps.spares.retire(spare.id, 'reserved', deps.clock.now(), leaseOf(work))
  else await letGo(deps, work, spare, false)
}

async function serveMiss(deps: Deps, work: Work, triedSpares: boolean): Promise<ClaimResult> {
  const image = await findImage(deps, work.claim, work.call, work.image)
  if (!image) throw imageNotFound(work.claim)
  requireSnapshot(image)
  const missReason = work.claim.missReason ?? (await reasonOfMiss(deps, work.claim, triedSpares))
  if (work.request.onEmpty === 'fail' && work.claim.status === 'open') return await awaitStock(deps, work, missReason)
  return await createDisk(deps, { ...work, image, missReason })
}

const imageNotFound = ({ os, type }: Claim): PoolError =>
  new PoolError(
    'image_not_found',
    `No image for os "${os}" on type "${type}": it is not in table os, and no snapshot in Cinder matches ` +
      'images.snapshot_name for it. GET /os lists the images; POST /os/sync reads them again.'
  )

async function reasonOfMiss(deps: Deps, claim: Claim, triedSpares: boolean): Promise<MissReason> {
  if (triedSpares) return 'handover_failed'
  if (await deps.spares.hasStale(claim)) return 'stale'
  return deps.settings.targets.some(target => samePool(target, claim)) ? 'empty' : 'no_pool'
}

/** Waits for a spare for as long as the caller does. */
async function awaitStock(deps: Deps, work: Work, reason: MissReason): Promise<ClaimResult> {
  deps.wake('replenish')
  const until = deps.clock.monotonicMs() + work.request.waitSeconds * 1000
  for (;;) {
    const spare = await nextSpare(deps, work, until)
    const result = spare && (await serveFromStock(deps, work, { handover: handoverOf(work, spare) }))
    if (result) return result
    if (deps.clock.monotonicMs() >= until) throw await refuseEmpty(deps, work.claim, reason)
  }
}

const STOCK_POLL_MS = 250

/** The oldest one, or the next that comes into stock until then: before any later claim's. */
async function nextSpare(deps: Deps, { claim, call }: Work, until: number): Promise<Spare | undefined> {
  const { spares, clock } = deps
  if (clock.monotonicMs() >= until) return await spares.reserveOldest(claim.id, claim, clock.now())
  let spare = await spares.reserveOrWait(claim.id, claim, clock.now())
  while (!spare && clock.monotonicMs() < until) {
    await pause(deps, STOCK_POLL_MS, call)
    spare = await spares.ofClaim(claim.id)
  }
  if (spare) return spare
  await spares.endWaiting(claim.id)
  return (await spares.reserveOldest(claim.id, claim, clock.now())) ?? (await spares.ofClaim(claim.id))
}
