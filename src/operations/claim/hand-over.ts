import type { Claim } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call, Project, Volume } from '../../pool/ports.ts'
import { mayAcceptTwice } from '../../pool/release.ts'
import type { SealedTransfer, Spare } from '../../pool/spare.ts'
import { isInHand, isOurs, verdictOnAvailable } from '../../pool/verdict.ts'
import { allEnded } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { arm, disarm } from '../spare/arm.ts'
import { notePoolFailure } from '../spare/give-up.ts'
import { type HeldLease, leaseOf, requireHeld, requireLease, Superseded } from './lease.ts'
import { requireRoom, typeHidden } from './require-room.ts'

/** This spare cannot be handed over, but another may: its volume is gone, or not in the state that we left it in. */
export class UnfitSpare extends Error {}

/** Cinder makes no transfer for its volume, which is available and waits in none: nobody can be given it. */
export class UntransferableSpare extends UnfitSpare {}

/** Nor is its volume ours to touch any more: it is gone, in use, or under a name that is none of ours. */
export class LostSpare extends UnfitSpare {}

/** A spare with all that a hand-over needs. */
export interface Handover {
  readonly claim: Claim
  readonly lease: HeldLease
  readonly spare: Spare
  readonly volumeId: string
  /** An earlier try of this claim may have begun with it. */
  readonly resumed: boolean
  /** The pool's own project, and the one that the claim is for. */
  readonly pool: Project
  readonly destination: Project
  readonly call: Call
}

/** A spare that is the claim's in all but its project. */
export interface Prepared {
  readonly spare: Spare
  /** What only has to be accepted; undefined: its project is the pool's own, and renaming it was all. */
  readonly waiting: { readonly transferId: string; readonly authKey: string } | undefined
}

export const needsExtension = ({ wantedSizeGib }: Claim, { sizeGib }: Spare): boolean =>
  wantedSizeGib !== undefined && wantedSizeGib > sizeGib

/**
 * Makes the volume the claim's in all but its project: as large as was asked for, armed, renamed, its metadata stripped.
 * Renaming comes before the accept, so that a crash in between never needs the tenant's token. Safe to repeat.
 */
export async function prepare(deps: Deps, handover: Handover): Promise<Prepared> {
  try {
    const volume = await lookAt(deps, handover)
    const isExtended = needsExtension(handover.claim, handover.spare)
    const spare = isExtended ? await extend(deps, handover, volume) : handover.spare
    // With its new name it is the claim's. After an extension, which takes long, the database is asked in any case.
    if (isExtended) await requireHeld(deps, handover)
    else await requireLease(deps, handover.claim.id, handover.lease)
    if (handover.destination.id === handover.pool.id) return await prepareInPool(deps, { ...handover, spare }, volume)
    const waiting = isExtended ? undefined : waitingTransfer(deps, spare, volume)
    if (waiting) {
      await rename(handover)
      return { spare, waiting }
    }
    // The rename's failure counts for more: it may still be carried out.
    const [, armed] = await allEnded(rename(handover), armNow(deps, handover))
    const authKey = deps.keyring.open(armed.sealedKey) ?? ''
    return { spare: { ...spare, transfer: armed }, waiting: { transferId: armed.id, authKey } }
  } catch (error) {
    throw unfitIfRefused(error)
  }
}

/** Nothing is accepted there, so that Cinder has nothing to refuse, and the rename is the last step. */
async function prepareInPool(deps: Deps, handover: Handover, volume: Volume): Promise<Prepared> {
  const spare = { ...handover.spare, transfer: undefined }
  if (handover.spare.transfer) await release(deps, handover)
  if (!isRenamed(deps, handover, volume)) await rename(handover)
  return { spare, waiting: undefined }
}

const isRenamed = ({ settings }: Deps, { claim, spare, pool }: Handover, volume: Volume): boolean =>
  volume.name === claim.name && !isOurs(volume, spare.id, settings.deployment, pool.id)

/**
 * What a row says of its volume may be older than the truth: a backup of the database was restored, somebody has attached the
 * volume, or renamed it. So it is looked at before it is changed.
 */
export async function lookAt({ settings }: Deps, handover: Handover): Promise<Volume> {
  const { pool, spare, volumeId, claim, resumed, call } = handover
  const volume = await pool.volumes.find(volumeId, call)
  if (!volume) throw new LostSpare(`volume ${volumeId} is not in the pool's project any more`)
  const { deployment } = settings
  const isOwn = resumed
    ? isInHand(volume, spare, claim.name, deployment, pool.id)
    : isOurs(volume, spare.id, deployment, pool.id)
  const verdict = verdictOnAvailable(spare, volume, false)
  if (!isOwn || verdict === 'drop') throw new LostSpare(`volume ${volumeId} is "${volume.name}", ${volume.status}`)
  if (verdict === 'retire') throw new UnfitSpare(`volume ${volumeId} is ${volume.status}`)
  return volume
}

/** The transfer that was made ahead of time, where the volume still waits in one and its key can be opened. */
export function waitingTransfer({ keyring }: Deps, { transfer }: Spare, volume: Volume): Prepared['waiting'] {
  const authKey = transfer && keyring.open(transfer.sealedKey)
  if (!transfer || authKey === undefined || volume.status !== 'awaiting-transfer') return undefined
  return { transferId: transfer.id, authKey }
}

/** A name that Cinder refuses is the claim's own affair, and no fault of the spare. */
export async function rename({ pool, volumeId, claim, call }: Handover): Promise<void> {
  try {
    await pool.volumes.update(volumeId, { name: claim.name, metadata: {} }, call)
  } catch (error) {
    if (!(error instanceof CloudError && error.code === 'bad_request')) throw error
    const detail = `Cinder does not take "${claim.name}" as the name of a volume. ${error.message} Claim under another hostname.`
    throw new PoolError('invalid_request', detail, { cause: error })
  }
}

/** Cinder says no to one volume, not to the claim. */
function unfitIfRefused(error: unknown): unknown {
  const refused = error instanceof CloudError && (error.code === 'not_found' || error.code === 'bad_request')
  return refused ? new UnfitSpare(error.message, { cause: error }) : error
}

type Arming = Omit<Handover, 'destination' | 'resumed'>

/** The key is recorded before the accept, since it is told only once; of a transfer that waits already it is lost. */
export async function armNow(deps: Deps, arming: Arming): Promise<SealedTransfer> {
  const { pool, spare, volumeId, call } = arming
  const transfer = await arm(deps, pool, spare, volumeId, call).catch(async (error: unknown) => {
    if (!(error instanceof CloudError && error.code === 'bad_request')) throw error
    await disarm(pool, volumeId, call)
    return await arm(deps, pool, spare, volumeId, call).catch(async (again: unknown) => {
      throw await lastingRefusal(deps, arming, again)
    })
  })
  await noteTransfer(deps, arming, transfer)
  return transfer
}

/** It is the pool's failure: what Cinder says of this volume it will probably say of the next one. */
async function lastingRefusal(deps: Deps, { pool, spare, volumeId, call }: Arming, error: unknown): Promise<unknown> {
  if (!(error instanceof CloudError && error.code === 'bad_request')) return error
  const volume = await pool.volumes.find(volumeId, call)
  if (volume?.status !== 'available' || volume.attached) return error
  await notePoolFailure(deps, spare, error.message)
  return new UntransferableSpare(error.message, { cause: error })
}

async function release(deps: Deps, handover: Handover): Promise<void> {
  await disarm(handover.pool, handover.volumeId, handover.call)
  await noteTransfer(deps, handover, undefined)
}

async function noteTransfer(deps: Deps, arming: Arming, transfer: SealedTransfer | undefined): Promise<void> {
  if (await deps.spares.noteTransfer(arming.spare.id, leaseOf(arming), transfer, deps.clock.now())) return
  throw new Superseded('another request has taken it over, or disposed of its spare')
}

const EXTENDING_POLL_MS = 100

/** Before the hand-over, so that the project's quota is checked for the whole of it. An armed volume cannot be extended. */
async function extend(deps: Deps, handover: Handover, before: Volume): Promise<Spare> {
  const { pool, spare, volumeId, claim, call } = handover
  const sizeGib = claim.wantedSizeGib ?? spare.sizeGib
  const isAskedFor = before.status === 'extending' || before.status === 'error_extending'
  const isTooSmall = before.sizeGib < sizeGib && !isAskedFor
  if (isTooSmall) await requireRoom(handover, { volumeType: spare.volumeType, sizeGib, madeGib: before.sizeGib })
  // It may wait in a transfer that we do not know: of a try that died before it could note the key.
  if (before.status === 'awaiting-transfer') await release(deps, handover)
  if (isTooSmall) await pool.volumes.extend(volumeId, sizeGib, call)
  for (;;) {
    const volume = await pool.volumes.find(volumeId, call)
    if (volume?.status === 'available' && volume.sizeGib >= sizeGib) break
    if (volume?.status === 'error_extending') throw await extensionFailed(handover, sizeGib)
    if (volume?.status !== 'extending') {
      throw new UnfitSpare(`volume ${volumeId} was to be extended and is ${volume?.status ?? 'gone'}`)
    }
    await pause(deps, EXTENDING_POLL_MS, call)
  }
  return { ...spare, transfer: undefined }
}

/** What the claim asked for cannot be done: to try it with the next spare would only cost that one, too. */
async function extensionFailed({ pool, volumeId, call }: Handover, sizeGib: number): Promise<PoolError> {
  const fault = await pool.volumes.faultOf(volumeId, call).catch((error: unknown) => {
    if (!(error instanceof CloudError)) throw error
  })
  const words = fault ?? `volume ${volumeId} is error_extending`
  return new PoolError('cloud_error', `Cinder could not extend a disk to ${sizeGib} GiB: ${words}`)
}

/** Tries of one accept whose outcome is unclear. The same key serves for all of them: it works at most once, since Ocata. */
const ACCEPT_TRIES = 2

/**
 * Moves the volume into the claim's project. An unclear answer is settled by looking at who owns it, before anything else
 * is handed out. Throws UnfitSpare, a final PoolError of the claim, or `claim_unsettled`.
 */
export async function accept(deps: Deps, handover: Handover, { waiting }: Prepared): Promise<void> {
  const { destination, call } = handover
  if (!waiting) return
  for (let unclear = 0; ; ) {
    try {
      await requireLease(deps, handover.claim.id, handover.lease)
      await destination.transfers.accept(waiting.transferId, waiting.authKey, call)
      return
    } catch (error) {
      if (!(error instanceof CloudError)) throw error
      if (error.mayHaveActed) unclear += 1
      // Refused at the first try, nothing is on its way. After an unclear one a refusal may be of its own doing.
      const final = unclear === 0 ? finalRefusal(error, handover.claim) : undefined
      if (final) throw final
      const place = await whereIs(handover)
      if (place === 'destination') return
      if (place === 'nowhere') throw new UnfitSpare(`volume ${handover.volumeId} is gone`, { cause: error })
      if (unclear === 0) throw (await hiddenType(handover, waiting.transferId, error)) ?? unfitIfRefused(error)
      const isLast = unclear === ACCEPT_TRIES || (error.mayStillAct && mayAcceptTwice(await deps.cloud.release(call)))
      if (!error.mayHaveActed || isLast) throw unsettled(error.message)
    }
  }
}

/** Waits between two looks. When the request's time is up, or the service stops, its claim is left as it is. */
export async function pause({ clock, isStopping }: Deps, ms: number, { signal }: Call): Promise<void> {
  await clock.sleep(ms, signal).catch(() => {
    throw unsettled('the time for this request is up')
  })
  if (isStopping()) throw unsettled('the service is stopping')
}

export const unsettled = (why: string): PoolError =>
  new PoolError(
    'claim_unsettled',
    `The outcome in Cinder is not known yet (${why}). Repeat the same claim: it will be given the same disk.`,
    { retryAfterSeconds: 2 }
  )

/** What no other spare would change. */
function finalRefusal({ code, message }: CloudError, { projectId }: Claim): PoolError | undefined {
  if (code === 'over_quota') {
    return new PoolError(
      'quota_exceeded',
      `Project ${projectId} has no quota left for this disk. ${message} Raise its quota or delete disks, then claim again.`
    )
  }
  if (code === 'project_refused' || code === 'forbidden') return notAccessible(projectId, message)
  return undefined
}

/**
 * Not found, though the transfer still waits: what Cinder did not find is the volume's type, which is hidden from the
 * project. Told by the state, since its words are in whatever language it speaks.
 */
async function hiddenType(
  { pool, claim, spare, volumeId, call }: Handover,
  transferId: string,
  { code, message }: CloudError
): Promise<PoolError | undefined> {
  if (code !== 'not_found') return undefined
  if ((await pool.transfers.find(transferId, call))?.volumeId !== volumeId) return undefined
  return typeHidden(claim, spare.volumeType, message)
}

export const notAccessible = (projectId: string, why: string): PoolError =>
  new PoolError(
    'project_not_accessible',
    `Neither the caller's token nor the service's user can take a disk into project ${projectId}. ${why} Send a Keystone ` +
      "token scoped to that project as X-Auth-Token, or give the service's user a role in it."
  )

/** Where an unclear accept, or one of another request, has left the volume. */
export async function whereIs({
  pool,
  destination,
  volumeId,
  call
}: Handover): Promise<'pool' | 'destination' | 'nowhere'> {
  try {
    if (await pool.volumes.find(volumeId, call)) return 'pool'
    return (await destination.volumes.find(volumeId, call)) ? 'destination' : 'nowhere'
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    throw unsettled(error.message)
  }
}
