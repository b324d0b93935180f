import type { Call, Project } from '../../pool/ports.ts'
import { mayRecoverFromError } from '../../pool/release.ts'
import type { Spare } from '../../pool/spare.ts'
import { isOurs, patienceSeconds } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { eachSpare, idsOf, type TickRun } from '../tolerant.ts'
import { disarm } from './arm.ts'

/** As many as a cloud can delete in one tick. The rest comes in the next. */
const SPARES_MAX = 100

/** Deletes the volumes of retired spares. A spare's row goes only when Cinder no longer has its volume. */
export async function deleteRetired(deps: Deps, run: TickRun): Promise<void> {
  const spares = await deps.spares.nextRetired(SPARES_MAX, deps.clock.now())
  if (spares.length === 0) return
  const poolProject = await deps.cloud.poolProject(run)
  const gone = await eachSpare(deps, run, spares, spare => deleteVolume(deps, poolProject, spare, run))
  if (gone > 0) deps.wake('replenish') // They counted in the budget and the quota until now.
}

/** Looks once more just before: only what is certainly ours, and nobody's, is deleted. True: it is gone. */
async function deleteVolume(deps: Deps, poolProject: Project, spare: Spare, call: Call): Promise<boolean> {
  const { id, volumeId } = spare
  if (!volumeId) return false
  const volume = await poolProject.volumes.find(volumeId, call)
  if (!volume) return await deps.spares.drop(id, 'retiring')
  const fields = { ...idsOf(spare), status: volume.status }
  if (!isOurs(volume, id, deps.settings.deployment, poolProject.id) || (await deps.claims.knowsVolume(volumeId))) {
    deps.log.error(fields, 'retired volume left alone: it is attached, claimed, or no longer marked as ours')
    await deps.spares.drop(id, 'retiring')
    return false
  }
  if (volume.status === 'error' && (await mayRecover(deps, spare, call))) return false
  if (volume.status === 'awaiting-transfer') await takeOutOfTransfer(poolProject, spare, volumeId, call)
  if (DELETABLE.has(volume.status)) await poolProject.volumes.delete(volumeId, call)
  else if (volume.status === 'error_deleting') deps.log.error(fields, 'volume not deleted: an admin must force it')
  return false
}

/** Cinder refuses all others. Those on their way are looked at again by the next tick. */
const DELETABLE = new Set(['available', 'awaiting-transfer', 'error', 'error_extending', 'error_restoring'])

/** By the transfer's id where that is known: up to Rocky, finding it by the volume reads the list of all transfers. */
async function takeOutOfTransfer(project: Project, { transfer }: Spare, volumeId: string, call: Call): Promise<void> {
  if (transfer && (await project.transfers.delete(transfer.id, call))) return
  await disarm(project, volumeId, call)
}

/** Deleted too early, it would still be made, and its image in Ceph would belong to nobody. */
async function mayRecover({ clock, cloud }: Deps, { createdAt, availableAt }: Spare, call: Call): Promise<boolean> {
  if (availableAt) return false // It was made long ago, and failed since.
  const seconds = (clock.now().getTime() - createdAt.getTime()) / 1000
  return seconds < patienceSeconds() && mayRecoverFromError(await cloud.release(call))
}
