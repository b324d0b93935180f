import { type Claim, usabilityOf } from '../pool/claim.ts'
import { CloudError, PoolError } from '../pool/errors.ts'
import type { Call, Project } from '../pool/ports.ts'
import type { SealedTransfer, Spare } from '../pool/spare.ts'
import { arm, disarm } from './arm.ts'
import { allEnded } from './concurrently.ts'
import type { Deps } from './deps.ts'
import { type HeldLease, leaseOf, requireLease, Superseded } from './lease.ts'
import { requireRoom } from './require-room.ts'

/** This spare cannot be handed over, but another may: its volume is gone, or not in the state that we left it in. */
export class UnfitSpare extends Error {}

/** A spare with all that a hand-over needs. */
export interface Handover {
  readonly claim: Claim
  readonly lease: HeldLease
  readonly spare: Spare
  readonly volumeId: string
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
    const spare = needsExtension(handover.claim, handover.spare) ? await extend(deps, handover) : handover.spare
    await requireLease(deps, handover.claim.id, handover.lease)
    if (handover.destination.id === handover.pool.id) {
      if (spare.transfer) await release(deps, handover)
      await requireUsable(handover)
      await requireLease(deps, handover.claim.id, handover.lease) // With its new name it is the claim's.
      await rename(handover)
      return { spare: { ...spare, transfer: undefined }, waiting: undefined }
    }
    const { transfer } = spare
    const authKey = transfer && deps.keyring.open(transfer.sealedKey)
    if (transfer && authKey !== undefined) {
      await rename(handover)
      return { spare, waiting: { transferId: transfer.id, authKey } }
    }
    // The rename's failure counts for more: it may still be carried out.
    const [, armed] = await allEnded(rename(handover), armNow(deps, handover))
    const waiting = { transferId: armed.id, authKey: deps.keyring.open(armed.sealedKey) ?? '' }
    return { spare: { ...spare, transfer: armed }, waiting }
  } catch (error) {
    throw unfitIfRefused(error)
  }
}

export const rename = async ({ pool, volumeId, claim, call }: Handover): Promise<void> =>
  await pool.volumes.update(volumeId, { name: claim.name, metadata: {} }, call)

/** Where nothing is accepted, Cinder has nothing to refuse: it renames a volume in error too. */
async function requireUsable({ pool, volumeId, call }: Handover): Promise<void> {
  const volume = await pool.volumes.find(volumeId, call)
  if (volume && usabilityOf(volume.status) !== 'unusable') return
  throw new UnfitSpare(`volume ${volumeId} is ${volume?.status ?? 'gone'}`)
}

/** Cinder says no to one volume, not to the claim. */
function unfitIfRefused(error: unknown): unknown {
  const refused = error instanceof CloudError && (error.code === 'not_found' || error.code === 'bad_request')
  return refused ? new UnfitSpare(error.message, { cause: error }) : error
}

type Arming = Omit<Handover, 'destination'>

/** The key is recorded before the accept, since it is told only once; of a transfer that waits already it is lost. */
export async function armNow(deps: Deps, arming: Arming): Promise<SealedTransfer> {
  const { pool, spare, volumeId, call } = arming
  const transfer = await arm(deps, pool, spare, volumeId, call).catch(async (error: unknown) => {
    if (!(error instanceof CloudError && error.code === 'bad_request')) throw error
    await disarm(pool, volumeId, call)
    return await arm(deps, pool, spare, volumeId, call)
  })
  await noteTransfer(deps, arming, transfer)
  return transfer
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
async function extend(deps: Deps, handover: Handover): Promise<Spare> {
  const { pool, spare, volumeId, claim, call } = handover
  const sizeGib = claim.wantedSizeGib ?? spare.sizeGib
  const before = await pool.volumes.find(volumeId, call)
  const isAskedFor = before?.status === 'extending' || before?.status === 'error_extending'
  const isTooSmall = before !== undefined && before.sizeGib < sizeGib && !isAskedFor
  if (isTooSmall) await requireRoom(handover, { volumeType: spare.volumeType, sizeGib, madeGib: before.sizeGib })
  // It may wait in a transfer that we do not know: of a try that died before it could note the key.
  if (before?.status === 'awaiting-transfer') await release(deps, handover)
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

/** Tries of one accept whose outcome is unclear. The same key serves for all of them: it works at most once. */
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
      if (unclear === 0) throw unfitIfRefused(error)
      if (!error.mayHaveActed || unclear === ACCEPT_TRIES) throw unsettled(error.message)
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
  if (code === 'not_found' && /volume type/i.test(message)) {
    return new PoolError(
      'volume_type_hidden',
      `Project ${projectId} may not use this disk's volume type. ${message} An admin must give it access to the type.`
    )
  }
  if (code === 'project_refused' || code === 'forbidden') return notAccessible(projectId, message)
  return undefined
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
