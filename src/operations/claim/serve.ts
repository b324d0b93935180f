import { type ClaimResult, type MissReason, preferredVolume, usabilityOf } from '../../pool/claim.ts'
import { snapshotIdsOf } from '../../pool/image.ts'
import type { Project, Volume } from '../../pool/ports.ts'
import { type Spare, samePool } from '../../pool/spare.ts'
import { collect } from '../concurrently.ts'
import { requireSnapshot } from '../images/gone-snapshots.ts'
import { findImage } from '../images/read-images.ts'
import { awaitDisk, awaitInProject, createDisk } from './create-disk.ts'
import { handOver, looksInCinder, needsExtension, prepare, whereIs } from './hand-over.ts'
import {
  destinationOf,
  diskOfVolume,
  drop,
  type HeldClaim,
  isTimeUp,
  pause,
  Superseded,
  settle,
  settleWithSpare
} from './held-claim.ts'
import { returnSpare, undoIfOver } from './put-back.ts'
import { imageNotFound, mayStillAct, outcomeUnknown, refuseEmpty, refuseUnusable } from './refusals.ts'

/** Serves a claim: the existing volume, else its spare, else a miss. What cannot be finished is undone. */
export async function serve(held: HeldClaim): Promise<ClaimResult> {
  try {
    const destination = await destinationOf(held)
    const { spare } = held
    if (spare && !spare.availableAt) {
      if (!spare.volumeId) throw outcomeUnknown('the answer to the creation of its disk has not come yet')
      return await awaitDisk(held, spare)
    }
    const isMoved = spare && held.isResumed && (await whereIs(held, spare)) === 'destination'
    if (isMoved) return await settleWithSpare(held, spare)
    return await serveInTurn(held, destination)
  } catch (error) {
    if (!(error instanceof Superseded)) await undoIfOver(held, error)
    throw error
  }
}

/** Prepares the spare while it looks for an existing volume, where that can be undone: this saves a round trip. */
async function serveInTurn(held: HeldClaim, destination: Project): Promise<ClaimResult> {
  const { spare } = held
  const looking = existingVolume(held, destination)
  const ahead = spare && mayPrepareAhead(held, spare) ? prepare(held, spare) : undefined
  const [look, preparation] = await Promise.allSettled([looking, ahead])
  const failure: unknown = preparation.status === 'rejected' ? preparation.reason : undefined
  if (look.status === 'rejected') throw mayStillAct(failure) ? failure : look.reason // It says more of the spare.
  if (look.value) return await giveExisting(held, look.value, !mayStillAct(failure))
  return (spare && (await handOver(held, spare, ahead))) ?? (await serveMiss(held))
}

/** An extension cannot be undone. In the pool's own project the rename is the last step, and ends the claim. */
const mayPrepareAhead = (held: HeldClaim, spare: Spare): boolean =>
  looksInCinder(held) && !held.isResumed && held.claim.projectId !== held.poolProject.id && !needsExtension(held, spare)

// ---- Existing -------------------------------------------------------------------------------------------------------

/** A volume of the claim's name in its project. */
async function existingVolume(held: HeldClaim, destination: Project): Promise<Volume | undefined> {
  const { claim, spare, isResumed, call } = held
  if (!looksInCinder(held)) return undefined
  if (claim.status === 'creating' && spare) return undefined // Its caller knows which disk is being made for it.
  const volumes = await collect(destination.volumes.pages({ name: claim.name }, call))
  // One that was made in the project for this very claim and failed is replaced, not in the way.
  const found = preferredVolume(
    volumes.filter(one => !(isMadeFor(held, one) && usabilityOf(one.status) === 'unusable'))
  )
  return isResumed && found && found.id === spare?.volumeId ? undefined : found // An earlier try has renamed it.
}

/** Made in the project itself for this claim, by a try that did not hear of it: tenants cannot see the pool's snapshots. */
const isMadeFor = ({ claim, image }: HeldClaim, volume: Volume): boolean =>
  claim.status === 'creating' &&
  (volume.id === claim.disk?.volumeId ||
    (image !== undefined && volume.snapshotId !== undefined && snapshotIdsOf(image).includes(volume.snapshotId)))

/** Not fit: the spare may still be renamed behind our back, and must not go back into stock. */
async function giveExisting(held: HeldClaim, volume: Volume, isFit: boolean): Promise<ClaimResult> {
  const { deps, claim, spare } = held
  if (isMadeFor(held, volume)) return await awaitInProject(held, volume)
  // The row is older than the truth: the volume was given under this name before, and is no spare.
  if (spare?.volumeId === volume.id) await drop(held, spare)
  else if (spare) await returnSpare(held, (await deps.spares.ofClaim(claim.id)) ?? spare, isFit)
  refuseUnusable(claim, volume)
  const disk = diskOfVolume(volume, await deps.claims.originOf(volume.id))
  return await settle(held, { source: 'existing', missReason: undefined, disk }, volume.status)
}

// ---- Miss -----------------------------------------------------------------------------------------------------------

async function serveMiss(held: HeldClaim): Promise<ClaimResult> {
  const { deps, claim, onEmpty } = held
  const image = await findImage(deps, claim, held.call, held.image)
  if (!image) throw imageNotFound(claim)
  requireSnapshot(image)
  const missReason = claim.missReason ?? (await reasonOfMiss(held))
  if (onEmpty === 'fail' && claim.status === 'open') return await awaitStock(held, missReason)
  return await createDisk({ ...held, claim: { ...claim, missReason } }, image)
}

async function reasonOfMiss({ deps, claim, spare }: HeldClaim): Promise<MissReason> {
  if (spare) return 'handover_failed'
  if (await deps.spares.hasStale(claim)) return 'stale'
  return deps.settings.targets.some(target => samePool(target, claim)) ? 'empty' : 'no_pool'
}

/** Waits for a spare for as long as the caller does. */
async function awaitStock(held: HeldClaim, reason: MissReason): Promise<ClaimResult> {
  held.deps.wake('replenish')
  for (;;) {
    const spare = await nextSpare(held)
    const result = spare && (await handOver(held, spare))
    if (result) return result
    if (isTimeUp(held)) throw await refuseEmpty(held.deps, held.claim, reason)
  }
}

const STOCK_POLL_MS = 250

/** The oldest spare, or the next that comes into stock while the caller waits: before any later claim's. */
async function nextSpare(held: HeldClaim): Promise<Spare | undefined> {
  const { deps, claim } = held
  const { spares, clock } = deps
  if (isTimeUp(held)) return await spares.reserveOldest(claim.id, claim, clock.now())
  let spare = await spares.reserveOrWait(claim.id, claim, clock.now())
  while (!spare && !isTimeUp(held)) {
    await pause(held, STOCK_POLL_MS)
    spare = await spares.ofClaim(claim.id)
  }
  if (spare) return spare
  await spares.endWaiting(claim.id)
  return (await spares.reserveOldest(claim.id, claim, clock.now())) ?? (await spares.ofClaim(claim.id))
}
