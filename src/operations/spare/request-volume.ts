import { CloudError } from '../../pool/errors.ts'
import { ENCRYPTED } from '../../pool/image.ts'
import type { Call, Volume } from '../../pool/ports.ts'
import { type Spare, spareMetadata } from '../../pool/spare.ts'
import { cannotMove } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { endOfArming } from './note-finished.ts'

/** What is made quickly is seen quickly; each look says when the next one should be. */
const FIRST_LOOK_MS = 250

/** A disk that could never be handed over, of an image that table `os` has by other hands than a sync's. */
export class EncryptedDisk extends CloudError {
  constructor({ os, type, snapshotId }: Spare) {
    super(
      'bad_request',
      `Disks of ${os} on ${type}, made from snapshot ${snapshotId}, cannot be handed over: ${ENCRYPTED}`
    )
  }
}

/**
 * Asks Cinder for the volume of a recorded spare, and records the answer. Refused: the row goes. Unclear: it stays, and
 * check_state looks for a volume with its id in the metadata before anything else is done about it.
 * One that turns out encrypted is retired, and an EncryptedDisk thrown.
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
    const pool = await deps.cloud.poolProject(call)
    const metadata = spareMetadata(deps.settings.deployment, id)
    const volume = await pool.volumes.create({ name, snapshotId, sizeGib, volumeType, metadata }, call)
    deps.wake('check_state', FIRST_LOOK_MS)
    return volume
  } catch (error) {
    if (error instanceof CloudError && !error.mayHaveActed) await dropUnmade(deps, spare)
    throw error
  }
}

/** A claim that was given another meanwhile has left it to the stock. */
async function dropUnmade({ spares }: Deps, { id, status }: Spare): Promise<void> {
  if (!(await spares.drop(id, status)) && status === 'reserved') await spares.drop(id, 'requested')
}
