import type { Call, Project } from '../../pool/ports.ts'
import { mayRecoverFromError } from '../../pool/release.ts'
import type { Spare } from '../../pool/spare.ts'
import { isOurs, patienceSeconds } from '../../pool/verdict.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { type TickRun, tolerant } from '../tolerant.ts'
import { disarm } from './arm.ts'

/** Enough for a cloud's delete rate in one tick; what is left comes in the next. */
const AT_ONCE = 100

/** Deletes the volumes of retired spares. A spare's row goes when Cinder no longer has its volume, not before. */
export async function deleteRetired(deps: Deps, run: TickRun): Promise<number> {
  const spares = await deps.spares.nextRetired(AT_ONCE, deps.clock.now())
  if (spares.length === 0) return 0
  const pool = await deps.cloud.poolProject(run)
  let deleted = 0
  await concurrently(spares, 4, async spare => {
    const fields = { spare_id: spare.id, volume_id: spare.volumeId }
    if (await tolerant(deps, run, fields, () => deleteOne(deps, pool, spare, run))) deleted += 1
  })
  if (deleted > 0) deps.wake('replenish') // It counted in the budget and the quota until now.
  return deleted
}

/** Looks once more immediately before: only what is certainly ours, and nobody's, is deleted. True: it is gone. */
async function deleteOne(deps: Deps, pool: Project, spare: Spare, call: Call): Promise<boolean> {
  const { id, volumeId } = spare
  if (!volumeId) return false
  const volume = await pool.volumes.find(volumeId, call)
  if (!volume) return await deps.spares.drop(id, 'retiring')
  const fields = { spare_id: id, volume_id: volumeId, status: volume.status }
  if (!isOurs(volume, id, deps.settings.deployment, pool.id) || (await deps.claims.knowsVolume(volumeId))) {
    deps.log.error(fields, 'retired volume left alone: it is attached, claimed, or no longer marked as ours')
    await deps.spares.drop(id, 'retiring')
    return false
  }
  if (volume.status === 'error' && (await mayRecover(deps, spare, call))) return false
  if (volume.status === 'awaiting-transfer') await takeOutOfTransfer(pool, spare, volumeId, call)
  if (DELETABLE.has(volume.status)) await pool.volumes.delete(volumeId, call)
  else if (volume.status === 'error_deleting') deps.log.error(fields, 'volume not deleted: an admin must force it')
  return false
}

/** By its id where that is known: up to Rocky the way by the volume reads the list of all. */
async function takeOutOfTransfer(pool: Project, { transfer }: Spare, volumeId: string, call: Call): Promise<void> {
  if (transfer && (await pool.transfers.delete(transfer.id, call))) return
  await disarm(pool, volumeId, call)
}

/** Deleted too early, it would be made behind our back, and its image in Ceph belong to nobody. */
async function mayRecover({ clock, cloud }: Deps, { createdAt, availableAt }: Spare, call: Call): Promise<boolean> {
  if (availableAt) return false // It was made long ago, and failed since.
  const seconds = (clock.now().getTime() - createdAt.getTime()) / 1000
  return seconds < patienceSeconds() && mayRecoverFromError(await cloud.release(call))
}

/** Cinder refuses all others: those on their way are looked at again by the next tick. */
const DELETABLE = new Set(['available', 'awaiting-transfer', 'error', 'error_extending', 'error_restoring'])
