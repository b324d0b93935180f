import { CloudError, PoolError } from '../../pool/errors.ts'
import { isCurrent } from '../../pool/image.ts'
import { isPending, UNCLEAR_SECONDS } from '../../pool/lease.ts'
import type { Volume } from '../../pool/ports.ts'
import { DEPLOYMENT_KEY, type SealedTransfer, type Spare, samePool, spareMetadata } from '../../pool/spare.ts'
import { isInHand, verdictOnAvailable } from '../../pool/verdict.ts'
import { arm, arms, disarm } from '../spare/arm.ts'
import { notePoolFailure } from '../spare/give-up.ts'
import {
  destinationOf,
  drop,
  type HeldClaim,
  leaseOf,
  requireHeld,
  retire,
  Superseded,
  settleWithSpare,
  volumeIdOf
} from './held-claim.ts'
import { endsClaim, isRefusal, mayStillAct, outcomeUnknown } from './refusals.ts'

/** This spare cannot be handed over, but another may: its volume is gone, or not in the state that we left it in. */
export class UnfitSpare extends Error {}

/** Cinder makes no transfer for its volume, which is available and waits in none: nobody can be given it. */
export class UntransferableSpare extends UnfitSpare {}

/** Its volume is not ours to touch any more: it is gone, in use, or has another name. */
export class LostSpare extends UnfitSpare {}

/**
 * Undoes a claim that this failure ends. A disk may be on its way by now, so the claim is read again. The request's own time
 * may be up, so this has as long as one call. What fails is left to reconcile.
 */
export async function undoIfOver(held: HeldClaim, error: unknown): Promise<void> {
  const { deps } = held
  try {
    const claim = await deps.claims.find(held.claim.id)
    if (!claim || !endsClaim(claim, error)) return
    const call = { ...held.call, signal: deps.clock.timeout(deps.settings.cloudTimeoutSeconds * 1000) }
    // A volume that may still be renamed is not fit for the stock.
    await undo({ ...held, claim, call }, !mayStillAct(error))
  } catch (failure) {
    if (!(failure instanceof CloudError || failure instanceof PoolError)) throw failure
    deps.log.warn({ claim_id: held.claim.id, error: failure.message }, 'claim not undone yet: reconcile will')
  }
}

/** Ends a claim that gets nothing: its spare goes back. If Cinder has moved the volume, it is the claim's. */
export async function undo(held: HeldClaim, isFit = true): Promise<void> {
  const { deps } = held
  const spare = await deps.spares.ofClaim(held.claim.id)
  if (spare && (await isHandedOverInPool(held, spare))) return void (await settleWithSpare(held, spare))
  if (spare && !(await takeBack(held, spare, isFit))) return await finishMoved(held, spare)
  await deps.claims.forget(leaseOf(held))
}

/** In the pool's own project the rename is the last step: a volume with the claim's name may be in use by now. */
async function isHandedOverInPool({ claim, poolProject, isResumed, call }: HeldClaim, spare: Spare): Promise<boolean> {
  if (claim.projectId !== poolProject.id || !isResumed || !spare.availableAt) return false
  const volume = await poolProject.volumes.find(volumeIdOf(spare), call)
  return volume?.name === claim.name && volume.metadata[DEPLOYMENT_KEY] === undefined
}

/** The project may be out of our sight. A volume that is nowhere was deleted, and its spare is retired. */
async function finishMoved(held: HeldClaim, spare: Spare): Promise<void> {
  const { deps, call } = held
  const destination = await destinationOf(held).catch((error: unknown) => {
    if (!(error instanceof PoolError)) throw error
  })
  if (destination && !(await destination.volumes.find(volumeIdOf(spare), call))) {
    await retire(held, spare)
    await deps.claims.forget(leaseOf(held))
    return
  }
  await settleWithSpare(held, spare)
}

/**
 * Takes its spare from a claim. One that was made for the claim alone, and does not fit the pool, is retired. False: an earlier
 * try has moved the volume, so nothing was done.
 */
async function takeBack(held: HeldClaim, spare: Spare, isFit = true): Promise<boolean> {
  const isMade = spare.availableAt !== undefined
  const fits = isFit && isMade && (held.claim.status === 'open' || (await fitsPool(held, spare)))
  if (isMade && (await putBack(held, spare, fits))) return true
  if (isMade && held.isResumed) return false
  await retire(held, spare)
  return true
}

/** The same, for a claim that goes on. */
export async function returnSpare(held: HeldClaim, spare: Spare, isFit: boolean): Promise<void> {
  if (await takeBack(held, spare, isFit)) return
  throw outcomeUnknown(`volume ${spare.volumeId} is not in the pool's project`)
}

/** A claim that waited may have been given a spare from stock; its own disk may be as good. */
async function fitsPool({ deps: { settings, images } }: HeldClaim, spare: Spare): Promise<boolean> {
  const target = settings.targets.find(target => samePool(target, spare))
  const image = target && (await images.find(spare))
  const isServed = spare.kept || isCurrent(spare.snapshotId, image)
  return image !== undefined && isServed && spare.sizeGib === Math.max(target?.sizeGib ?? 0, image.sizeGib)
}

/**
 * Makes a spare what it was: its own name and metadata, since nothing else tells that it is ours, and armed. Retires it if it is
 * not fit, has grown or failed. False: its volume is not in the pool's project, so nothing was done.
 */
async function putBack(held: HeldClaim, spare: Spare, isFit: boolean): Promise<boolean> {
  const { deps, claim, poolProject, isResumed, call } = held
  const volume = await poolProject.volumes.find(volumeIdOf(spare), call)
  if (!volume) return false
  if (!isInHand(volume, spare, claim.name, deps.settings.deployment, poolProject.id)) {
    // It is attached, or somebody else's under another name: the row is older than the truth.
    if (!(await drop(held, spare))) throw new Superseded()
    const fields = { spare_id: spare.id, volume_id: volume.id, name: volume.name, status: volume.status }
    deps.log.warn(fields, 'volume left alone: it is no longer a spare')
    return true
  }
  await requireHeld(held) // Else another request may be giving it away just now.
  if (isResumed) await disarm(poolProject, volume.id, call) // Then an accept that is still on its way finds nothing.
  const isRestored = await restore(held, spare)
  const isWhole = ['keep', 'rearm'].includes(verdictOnAvailable(spare, volume, arms(deps)))
  const isAsMade = isRestored && isWhole && volume.sizeGib === spare.sizeGib
  const isStock = isFit && isAsMade && !mayBeArmedLate(held, spare, volume)
  const isArmed = !isResumed && volume.status === 'awaiting-transfer' && spare.transfer !== undefined
  const stays = isStock && (!arms(deps) || isArmed || (await isArmedAgain(held, spare)))
  const back = stays ? await deps.spares.putBack(spare.id, leaseOf(held), deps.clock.now()) : undefined
  if (!(stays ? back : await retire(held, spare))) throw new Superseded()
  if (back?.claimId) deps.wake('reconcile') // It went on to a claim that had waited for one.
  deps.log.info({ spare_id: spare.id, volume_id: volume.id, retired: !stays }, 'spare put back')
  return true
}

/** False: Cinder takes no name for this volume, as during maintenance. */
async function restore({ deps, poolProject, call }: HeldClaim, spare: Spare): Promise<boolean> {
  try {
    const metadata = spareMetadata(deps.settings.deployment, spare.id)
    await poolProject.volumes.update(volumeIdOf(spare), { name: spare.name, metadata }, call)
    return true
  } catch (error) {
    if (isRefusal(error, 'bad_request')) return false
    throw error
  }
}

/** False: Cinder makes no transfer for it, which was noted as the pool's failure. */
async function isArmedAgain(held: HeldClaim, spare: Spare): Promise<boolean> {
  try {
    await armNow(held, spare)
    return true
  } catch (error) {
    if (error instanceof UnfitSpare) return false
    throw error
  }
}

/**
 * The key is recorded before the accept, since Cinder tells it only once. Where it is unclear whether a transfer is made, that is
 * recorded: nobody hands the volume over while one may come.
 */
export async function armNow(held: HeldClaim, spare: Spare): Promise<SealedTransfer> {
  const { clock } = held.deps
  const transfer = await armAnew(held, spare).catch(async (error: unknown) => {
    const until = new Date(clock.now().getTime() + UNCLEAR_SECONDS * 1000)
    if (mayStillAct(error)) await noteTransfer(held, spare, undefined, until)
    throw error
  })
  await noteTransfer(held, spare, transfer)
  return transfer
}

/**
 * A transfer that was asked for may still be made, with an admin's token even of a volume that is in its project by then. Once
 * one waits, no other can come.
 */
export const mayBeArmedLate = ({ deps }: HeldClaim, { armingUntil }: Spare, { status }: Volume): boolean =>
  status === 'available' && armingUntil !== undefined && isPending(armingUntil, deps.clock.now(), UNCLEAR_SECONDS)

/** The key of a transfer that waits already is lost. */
async function armAnew(held: HeldClaim, spare: Spare): Promise<SealedTransfer> {
  const { deps, poolProject, call } = held
  const volumeId = volumeIdOf(spare)
  return await arm(deps, poolProject, spare, volumeId, call).catch(async (error: unknown) => {
    if (!isRefusal(error, 'bad_request')) throw error
    await disarm(poolProject, volumeId, call)
    return await arm(deps, poolProject, spare, volumeId, call).catch(async (again: unknown) => {
      throw await lastingRefusal(held, spare, again)
    })
  })
}

/** It is the pool's failure: Cinder will probably refuse its next volume, too. */
async function lastingRefusal({ deps, poolProject, call }: HeldClaim, spare: Spare, error: unknown): Promise<unknown> {
  if (!isRefusal(error, 'bad_request')) return error
  const volume = await poolProject.volumes.find(volumeIdOf(spare), call)
  if (volume?.status !== 'available' || volume.attached) return error
  await notePoolFailure(deps, spare, error.message)
  return new UntransferableSpare(error.message, { cause: error })
}

export async function noteTransfer(
  held: HeldClaim,
  spare: Spare,
  transfer: SealedTransfer | undefined,
  armingUntil?: Date
): Promise<void> {
  const { spares, clock } = held.deps
  if (await spares.noteTransfer(spare.id, leaseOf(held), transfer, clock.now(), armingUntil)) return
  throw new Superseded('another request has taken it over, or disposed of its spare')
}
