import { CloudError } from '../../pool/errors.ts'
import type { Call, Project, Volume } from '../../pool/ports.ts'
import { type Spare, spareMetadata } from '../../pool/spare.ts'
import { isInHand, verdictOnAvailable } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { arms, disarm } from '../spare/arm.ts'
import { armNow, UnfitSpare } from './hand-over.ts'
import { leaseOf, type OwnClaim, requireHeld } from './lease.ts'

export interface PutBack {
  /** False: it is retired instead. So is one that has grown or failed, whatever is said here. */
  readonly fit: boolean
  /** An accept may have been sent for it and still be on its way: it is disarmed first, and that comes to nothing. */
  readonly sent: boolean
}

/**
 * Takes a spare from its claim and makes it what it was: its own name and metadata, since nothing else tells that it is
 * ours, and armed. False: its volume is not in the pool's project, so nothing was done.
 */
export async function putBack(
  deps: Deps,
  own: OwnClaim,
  pool: Project,
  spare: Spare,
  { fit, sent }: PutBack,
  call: Call
): Promise<boolean> {
  const volume = spare.volumeId ? await pool.volumes.find(spare.volumeId, call) : undefined
  if (!volume) return false
  if (!isInHand(volume, spare, own.claim.name, deps.settings.deployment, pool.id)) {
    await leaveAlone(deps, own, spare, volume)
    return true
  }
  await requireHeld(deps, own) // Else another request may be giving it away just now.
  if (sent) await disarm(pool, volume.id, call)
  const isRestored = await restore(deps, pool, spare, volume, call)
  const isWhole = ['keep', 'rearm'].includes(verdictOnAvailable(spare, volume, arms(deps)))
  const isFit = fit && isRestored && isWhole && volume.sizeGib === spare.sizeGib && spare.availableAt !== undefined
  const isArmed = !sent && volume.status === 'awaiting-transfer' && spare.transfer !== undefined
  const stays = isFit && (!arms(deps) || isArmed || (await isArmedAgain(deps, own, pool, spare, volume, call)))
  const at = deps.clock.now()
  const back = stays ? await deps.spares.putBack(spare.id, leaseOf(own), at) : undefined
  const isDone = stays ? back : await deps.spares.retire(spare.id, 'reserved', at, leaseOf(own))
  if (!isDone) await requireHeld(deps, own)
  if (back?.claimId) deps.wake('reconcile') // It went on to a claim that had waited for one.
  deps.log.info({ spare_id: spare.id, volume_id: volume.id, retired: !stays }, 'spare put back')
  return true
}

/** Attached, or somebody's under another name: of a row that is older than what has become of its volume. */
async function leaveAlone(
  deps: Deps,
  own: OwnClaim,
  { id }: Spare,
  { id: volumeId, name, status }: Volume
): Promise<void> {
  if (!(await deps.spares.drop(id, 'reserved', leaseOf(own)))) await requireHeld(deps, own)
  deps.log.warn({ spare_id: id, volume_id: volumeId, name, status }, 'volume left alone: it is no longer a spare')
}

/** False: Cinder takes no name for this volume, as during maintenance. What has the spare's name already keeps it. */
async function restore(deps: Deps, pool: Project, { id, name }: Spare, volume: Volume, call: Call): Promise<boolean> {
  try {
    await pool.volumes.update(volume.id, { name, metadata: spareMetadata(deps.settings.deployment, id) }, call)
    return true
  } catch (error) {
    if (error instanceof CloudError && error.code === 'bad_request') return false
    throw error
  }
}

/** False: Cinder makes no transfer for it, and told the pool's failure already. */
async function isArmedAgain(
  deps: Deps,
  own: OwnClaim,
  pool: Project,
  spare: Spare,
  { id: volumeId }: Volume,
  call: Call
): Promise<boolean> {
  try {
    await armNow(deps, { ...own, pool, spare, volumeId, call })
    return true
  } catch (error) {
    if (error instanceof UnfitSpare) return false
    throw error
  }
}
