import { CloudError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import { type Spare, spareMetadata } from '../pool/spare.ts'
import type { Deps } from './deps.ts'

/** What is made quickly is seen quickly; each look says when the next one should be. */
const FIRST_LOOK_MS = 250

/**
 * Asks Cinder for the volume of a recorded spare, and records the answer. Refused: the row goes. Unclear: it stays, and
 * check_state looks for a volume with its id in the metadata before anything else is done about it.
 */
export async function requestVolume(deps: Deps, spare: Spare, call: Call): Promise<Spare | undefined> {
  const { id, name, snapshotId, sizeGib } = spare
  try {
    const pool = await deps.cloud.pool(call)
    const metadata = spareMetadata(deps.settings.deployment, id)
    const volume = await pool.volumes.create({ name, snapshotId, sizeGib, metadata }, call)
    deps.wake('check_state', FIRST_LOOK_MS)
    return await deps.spares.noteVolume(id, volume.id, deps.clock.now())
  } catch (error) {
    if (error instanceof CloudError && !error.mayHaveActed) await dropUnmade(deps, spare)
    throw error
  }
}

/** A claim that was given another meanwhile has left it to the stock. */
async function dropUnmade({ spares }: Deps, { id, status }: Spare): Promise<void> {
  if (!(await spares.drop(id, status)) && status === 'reserved') await spares.drop(id, 'requested')
}
