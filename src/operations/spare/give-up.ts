import { CloudError } from '../../pool/errors.ts'
import type { Call, Project, Volume } from '../../pool/ports.ts'
import type { Spare } from '../../pool/spare.ts'
import { verdictOnCreating } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { notePoolFailure } from './note-failure.ts'
import { endOfArming } from './note-finished.ts'

/**
 * Retires a spare whose creation failed or takes too long, or drops it where nothing is left or it is not ours to touch any
 * more. It stays where it is finished by now, since then it may be on its way to a claim.
 */
export async function giveUp(
  deps: Deps,
  pool: Project,
  spare: Spare,
  volume: Volume | undefined,
  call: Call
): Promise<void> {
  const isLeft =
    verdictOnCreating(spare, volume) === 'drop'
      ? await deps.spares.drop(spare.id, spare.status)
      : await deps.spares.retireUnfinished(spare.id, deps.clock.now(), endOfArming(deps))
  if (!isLeft) return // Somebody else has done it, and noted why.
  // Why it failed is worth more than that it did. Cinder tells it apart from the volume, and not to everybody.
  const fault = volume ? await pool.volumes.faultOf(volume.id, call).catch(ifCloudError) : undefined
  await notePoolFailure(deps, spare, `volume ${spare.volumeId} ${faultIn(spare, volume)}${fault ? `: ${fault}` : ''}`)
}

function faultIn(spare: Spare, volume: Volume | undefined): string {
  if (!volume) return 'is gone'
  if (volume.volumeType !== spare.volumeType) {
    return `is of volume type "${volume.volumeType}", though "${spare.volumeType}" was asked for`
  }
  if (verdictOnCreating(spare, volume) !== 'keep') return `is in status ${volume.status}`
  return (
    `has been in status ${volume.status} since ${spare.createdAt.toISOString()}, and was given up. It is deleted when Cinder is ` +
    'done with it; where Cinder never is, an admin must reset its state to error'
  )
}

function ifCloudError(error: unknown): undefined {
  if (!(error instanceof CloudError)) throw error
}
