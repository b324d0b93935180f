import type { ClaimResult } from '../../pool/claim.ts'
import { CloudError, type PoolError } from '../../pool/errors.ts'
import type { Volume } from '../../pool/ports.ts'
import { mayAcceptTwice } from '../../pool/release.ts'
import type { Spare } from '../../pool/spare.ts'
import { isInHand, isOurs, verdictOnAvailable } from '../../pool/verdict.ts'
import { allEnded } from '../concurrently.ts'
import { disarm } from '../spare/arm.ts'
import {
  destinationOf,
  drop,
  type HeldClaim,
  pause,
  requireHeld,
  retire,
  settleWithSpare,
  volumeIdOf
} from './held-claim.ts'
import {
  armNow,
  LostSpare,
  mayBeArmedLate,
  noteTransfer,
  returnSpare,
  UnfitSpare,
  UntransferableSpare
} from './put-back.ts'
import {
  extensionFailed,
  finalRefusal,
  isRefusal,
  nameRefused,
  outcomeUnknown,
  typeHidden,
  untransferable
} from './refusals.ts'
import { requireRoom } from './require-room.ts'

/** A transfer that only has to be accepted. */
interface Waiting {
  readonly transferId: string
  readonly authKey: string
}

/** Tries of one claim with different spares, before it counts as a miss. */
const SPARES_TRIED = 3

/**
 * Hands over the spare, or the next where one is unfit. Undefined: none was fit, or none is left. `ahead`: its preparation, if
 * that has begun.
 */
export async function handOver(
  held: HeldClaim,
  first: Spare,
  ahead?: Promise<Waiting | undefined>
): Promise<ClaimResult | undefined> {
  const { deps, claim } = held
  let spare: Spare | undefined = first
  for (let tries = 0; spare; ) {
    try {
      const preparing = spare === first ? ahead : undefined
      await accept(held, spare, await (preparing ?? prepare(held, spare)))
      return await settleWithSpare(held, spare)
    } catch (error) {
      if (!(error instanceof UnfitSpare)) throw error
      if (error instanceof UntransferableSpare && claim.status === 'creating') throw untransferable(error)
      await discard(held, spare, error)
      // Rows whose volumes are no spares any more, as after a backup was restored, may be many, and each goes for good.
      if (!(error instanceof LostSpare)) tries += 1
    }
    spare = tries < SPARES_TRIED ? await deps.spares.reserveOldest(claim.id, claim, deps.clock.now()) : undefined
  }
  return undefined
}

/** Retires a spare under its own name and metadata, so that it is known for ours and deleted. What is not ours is left alone. */
async function discard(held: HeldClaim, spare: Spare, error: UnfitSpare): Promise<void> {
  const fields = { claim_id: held.claim.id, spare_id: spare.id, volume_id: spare.volumeId, error: error.message }
  held.deps.log.warn(fields, 'spare could not be handed over')
  if (error instanceof LostSpare && !held.isResumed) return void (await drop(held, spare))
  // An earlier try may have moved the volume: only one that is in neither project is certainly gone.
  if (held.isResumed && (await whereIs(held, spare)) === 'nowhere') return void (await retire(held, spare))
  await returnSpare(held, spare, false)
}

// ---- Prepare --------------------------------------------------------------------------------------------------------

/**
 * Makes the volume the claim's in all but its project: as large as was asked for, renamed, without our metadata, and armed.
 * The rename comes before the accept, so that a crash in between never needs the tenant's token. Safe to repeat. Undefined:
 * there is nothing to accept.
 */
export async function prepare(held: HeldClaim, spare: Spare): Promise<Waiting | undefined> {
  try {
    const volume = await lookAt(held, spare)
    if (mayBeArmedLate(held, spare, volume)) throw outcomeUnknown('a transfer of its disk may still be made')
    const isExtended = needsExtension(held, spare)
    if (isExtended) await extend(held, spare, volume)
    await requireHeld(held) // With its new name the volume is the claim's.
    const ready = isExtended ? { ...spare, transfer: undefined } : spare
    if (held.claim.projectId === held.poolProject.id) return await prepareInPool(held, ready, volume)
    const waiting = waitingTransfer(held, ready, volume)
    if (waiting) {
      await rename(held, spare)
      return waiting
    }
    // The rename's failure counts for more: it may still be carried out.
    const [, armed] = await allEnded(rename(held, spare), armNow(held, spare))
    return { transferId: armed.id, authKey: held.deps.keyring.open(armed.sealedKey) ?? '' }
  } catch (error) {
    throw unfitIfRefused(error)
  }
}

export const needsExtension = ({ claim: { wantedSizeGib = 0 } }: HeldClaim, { sizeGib }: Spare): boolean =>
  wantedSizeGib > sizeGib

/** Nothing is accepted there, so that Cinder has nothing to refuse, and the rename is the last step. */
async function prepareInPool(held: HeldClaim, spare: Spare, volume: Volume): Promise<undefined> {
  const { deps, claim, poolProject } = held
  if (spare.transfer) await release(held, spare)
  const isRenamed = volume.name === claim.name && !isOurs(volume, spare.id, deps.settings.deployment, poolProject.id)
  if (!isRenamed) await rename(held, spare)
}

/**
 * A row may be older than the truth about its volume: a backup of the database was restored, or somebody has attached or
 * renamed the volume. So it is looked at before it is changed.
 */
async function lookAt(held: HeldClaim, spare: Spare): Promise<Volume> {
  const { deps, poolProject, claim, isResumed, call } = held
  const { deployment } = deps.settings
  const volumeId = volumeIdOf(spare)
  const volume = await poolProject.volumes.find(volumeId, call)
  if (!volume) throw new LostSpare(`volume ${volumeId} is not in the pool's project any more`)
  const isOwn = isResumed
    ? isInHand(volume, spare, claim.name, deployment, poolProject.id)
    : isOurs(volume, spare.id, deployment, poolProject.id)
  const verdict = verdictOnAvailable(spare, volume, false)
  if (!isOwn || verdict === 'drop') throw new LostSpare(`volume ${volumeId} is "${volume.name}", ${volume.status}`)
  if (verdict === 'retire') throw new UnfitSpare(`volume ${volumeId} is ${volume.status}`)
  return volume
}

/** The transfer that was made ahead of time, if the volume still waits in one and its key can be opened. */
function waitingTransfer({ deps }: HeldClaim, { transfer }: Spare, volume: Volume): Waiting | undefined {
  const authKey = transfer && deps.keyring.open(transfer.sealedKey)
  if (!transfer || authKey === undefined || volume.status !== 'awaiting-transfer') return undefined
  return { transferId: transfer.id, authKey }
}

/** A name that Cinder refuses is the claim's own fault, not the spare's. */
async function rename({ poolProject, claim, call }: HeldClaim, spare: Spare): Promise<void> {
  try {
    await poolProject.volumes.update(volumeIdOf(spare), { name: claim.name, metadata: {} }, call)
  } catch (error) {
    throw isRefusal(error, 'bad_request') ? nameRefused(claim.name, error) : error
  }
}

/** Cinder refused one volume, not the claim. */
const unfitIfRefused = (error: unknown): unknown =>
  isRefusal(error, 'not_found', 'bad_request') ? new UnfitSpare(error.message, { cause: error }) : error

async function release(held: HeldClaim, spare: Spare): Promise<void> {
  await disarm(held.poolProject, volumeIdOf(spare), held.call)
  await noteTransfer(held, spare, undefined)
}

const EXTENDING_POLL_MS = 100

/** Before the hand-over, so that the project's quota is checked for the whole disk. An armed volume cannot be extended. */
async function extend(held: HeldClaim, spare: Spare, before: Volume): Promise<void> {
  const { poolProject, claim, call } = held
  const volumeId = volumeIdOf(spare)
  const sizeGib = claim.wantedSizeGib ?? spare.sizeGib
  const isAskedFor = before.status === 'extending' || before.status === 'error_extending'
  const isTooSmall = before.sizeGib < sizeGib && !isAskedFor
  if (isTooSmall) await requireRoom(held, spare.volumeType, sizeGib, before.sizeGib)
  // It may wait in a transfer that we do not know, of a try that died before it could note the key.
  if (before.status === 'awaiting-transfer') await release(held, spare)
  if (isTooSmall) await poolProject.volumes.extend(volumeId, sizeGib, call)
  for (;;) {
    const volume = await poolProject.volumes.find(volumeId, call)
    if (volume?.status === 'available' && volume.sizeGib >= sizeGib) return
    // To extend the next spare would fail, too.
    if (volume?.status === 'error_extending') throw extensionFailed(sizeGib, await faultOf(held, volumeId))
    if (volume?.status !== 'extending') {
      throw new UnfitSpare(`volume ${volumeId} was to be extended and is ${volume?.status ?? 'gone'}`)
    }
    await pause(held, EXTENDING_POLL_MS)
  }
}

async function faultOf({ poolProject, call }: HeldClaim, volumeId: string): Promise<string> {
  const fault = await poolProject.volumes.faultOf(volumeId, call).catch((error: unknown) => {
    if (!(error instanceof CloudError)) throw error
  })
  return fault ?? `volume ${volumeId} is error_extending`
}

// ---- Accept ---------------------------------------------------------------------------------------------------------

/** Tries of one accept whose outcome is unclear. The same key serves for all of them: it works at most once, since Ocata. */
const ACCEPT_TRIES = 2

/**
 * Moves the volume into the claim's project. After an unclear answer it looks where the volume is, before anything else is
 * handed out. Throws UnfitSpare, a PoolError that ends the claim, or `claim_unsettled`.
 */
async function accept(held: HeldClaim, spare: Spare, waiting: Waiting | undefined): Promise<void> {
  const { deps, claim, call } = held
  if (!waiting) return
  const destination = await destinationOf(held)
  for (let unclear = 0; ; ) {
    try {
      await requireHeld(held)
      await destination.transfers.accept(waiting.transferId, waiting.authKey, call)
      return
    } catch (error) {
      if (!(error instanceof CloudError)) throw error
      if (error.mayHaveActed) unclear += 1
      // If the first try was refused, nothing is on its way. After an unclear one a refusal may be its own doing.
      const final = unclear === 0 ? finalRefusal(error, claim) : undefined
      if (final) throw final
      const place = await whereIs(held, spare)
      if (place === 'destination') return
      if (place === 'nowhere') throw new UnfitSpare(`volume ${spare.volumeId} is gone`, { cause: error })
      if (unclear === 0) throw (await hiddenType(held, spare, waiting, error)) ?? unfitIfRefused(error)
      const isLast = unclear === ACCEPT_TRIES || (error.mayStillAct && mayAcceptTwice(await deps.cloud.release(call)))
      if (!error.mayHaveActed || isLast) throw outcomeUnknown(error.message)
    }
  }
}

/** With `check_existing: claims` only for a claim that was resumed. */
export const looksInCinder = ({ deps, isResumed }: HeldClaim): boolean =>
  deps.settings.checkExisting === 'cinder' || isResumed

/**
 * Not found, though the transfer still waits: Cinder did not find the volume's type, which is hidden from the project. Told by
 * the state, since Cinder's words are in any language.
 */
async function hiddenType(
  { poolProject, claim, call }: HeldClaim,
  { volumeId, volumeType }: Spare,
  { transferId }: Waiting,
  { code, message }: CloudError
): Promise<PoolError | undefined> {
  if (code !== 'not_found') return undefined
  const isWaiting = (await poolProject.transfers.find(transferId, call))?.volumeId === volumeId
  return isWaiting ? typeHidden(claim, volumeType, message) : undefined
}

/** Where an unclear accept, or another request, has left the volume. */
export async function whereIs(held: HeldClaim, spare: Spare): Promise<'pool' | 'destination' | 'nowhere'> {
  const { poolProject, call } = held
  const volumeId = volumeIdOf(spare)
  try {
    if (await poolProject.volumes.find(volumeId, call)) return 'pool'
    const destination = await destinationOf(held)
    return (await destination.volumes.find(volumeId, call)) ? 'destination' : 'nowhere'
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    throw outcomeUnknown(error.message)
  }
}
