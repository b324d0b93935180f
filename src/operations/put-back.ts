import type { Call, Project } from '../pool/ports.ts'
import { type Spare, spareMetadata } from '../pool/spare.ts'
import { verdictOnAvailable } from '../pool/verdict.ts'
import { arms, disarm } from './arm.ts'
import type { Deps } from './deps.ts'
import { armNow } from './hand-over.ts'
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
  const { id, name, volumeId } = spare
  const volume = volumeId ? await pool.volumes.find(volumeId, call) : undefined
  if (!volume) return false
  if (sent) await disarm(pool, volume.id, call)
  await pool.volumes.update(volume.id, { name, metadata: spareMetadata(deps.settings.deployment, id) }, call)
  const isWhole = ['keep', 'rearm'].includes(verdictOnAvailable(spare, volume, arms(deps)))
  const stays = fit && isWhole && volume.sizeGib === spare.sizeGib && spare.availableAt !== undefined
  const armed = !sent && volume.status === 'awaiting-transfer' && spare.transfer !== undefined
  if (stays && arms(deps) && !armed) await armNow(deps, { ...own, pool, spare, volumeId: volume.id, call })
  const at = deps.clock.now()
  const back = stays ? await deps.spares.putBack(id, leaseOf(own), at) : undefined
  const isDone = stays ? back : await deps.spares.retire(id, 'reserved', at, leaseOf(own))
  if (!isDone) await requireHeld(deps, own)
  if (back?.claimId) deps.wake('reconcile') // It went on to a claim that had waited for one.
  deps.log.info({ spare_id: id, volume_id: volume.id, retired: !stays }, 'spare put back')
  return true
}
