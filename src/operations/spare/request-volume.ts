import { CloudError } from '../../pool/errors.ts'
import { ENCRYPTED } from '../../pool/image.ts'
import type { Call, Volume } from '../../pool/ports.ts'
import { type Spare, spareMetadata } from '../../pool/spare.ts'
import { cannotMove } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { endOfArming } from './note-finished.ts'

/** Soon, since the volume may be made quickly. Each look says when the next one should be. */
const FIRST_LOOK_MS = 250

/** A disk that could never be handed over: its image came into table `os` by other hands than a sync's. */
export class EncryptedDisk extends CloudError {
  constructor({ os, type, snapshotId }: Spare) {
    const disks = `Disks of ${os} on ${type}, made from snapshot ${snapshotId},`
    super('bad_request', `${disks} cannot be handed over: ${ENCRYPTED}`)
  }
}

/**
 * Asks Cinder for the volume of a recorded spare, and records the answer. If Cinder refuses, the row goes. If there is no
 * clear answer, the row stays until check_state has looked for a volume with its id in the metadata.
 * A volume that turns out to be encrypted is retired, and an EncryptedDisk thrown.
 */
export async function requestVolume(deps: Deps, spare: Spare, call: Call): Promise<Spare | undefined> {
  const volume = await create(deps, spare, call)
  const noted = await deps.spares.noteVolume(spare.id, volume.id, deps.clock.now())
  if (!cannotMove(volume, deps.settings.handover)) return noted
  if (noted) await deps.spares.retireUnfinished(noted.id, deps.clock.now(), endOfArming(deps))
  throw new EncryptedDisk(spare)
}

async function create(deps: Deps, spare: Spare, call: Call): Promise<Volume> {
  const { id, name, snapshotId, sizeGib, volumeType } = spare
  try {
    const poolProject = await deps.cloud.poolProject(call)
    const metadata = spareMetadata(deps.settings.deployment, id)
    const volume = await poolProject.volumes.create({ name, snapshotId, sizeGib, volumeType, metadata }, call)
    deps.wake('check_state', FIRST_LOOK_MS)
    return volume
  } catch (error) {
    if (error instanceof CloudError && !error.mayHaveActed) await dropUnmade(deps, spare)
    throw error
  }
}

/** A reserved spare may be `requested` by now: its claim was given another one, and left it to the stock. */
async function dropUnmade({ spares }: Deps, { id, status }: Spare): Promise<void> {
  if (!(await spares.drop(id, status)) && status === 'reserved') await spares.drop(id, 'requested')
}
