import { CloudError } from '../../pool/errors.ts'
import type { Call, Project, Volume } from '../../pool/ports.ts'
import { backoffSeconds } from '../../pool/replenishment.ts'
import type { Spare } from '../../pool/spare.ts'
import { verdictOnCreating } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { endOfArming } from './note-finished.ts'

/**
 * Retires a spare whose creation failed or takes too long. Drops it if the volume is gone or not ours to touch. Leaves it if it
 * is finished by now: it may be on its way to a claim.
 */
export async function giveUp(
  deps: Deps,
  poolProject: Project,
  spare: Spare,
  volume: Volume | undefined,
  call: Call
): Promise<void> {
  const hasLeft =
    verdictOnCreating(spare, volume) === 'drop'
      ? await deps.spares.drop(spare.id, spare.status)
      : await deps.spares.retireUnfinished(spare.id, deps.clock.now(), endOfArming(deps))
  if (!hasLeft) return // Somebody else has done it, and noted why.
  // Cinder tells the reason apart from the volume, and not to everybody.
  const fault = volume && (await poolProject.volumes.faultOf(volume.id, call).catch(ifCloudError))
  await notePoolFailure(deps, spare, `volume ${spare.volumeId} ${faultIn(spare, volume)}${fault ? `: ${fault}` : ''}`)
}

/** The pool waits before it tries again: longer after each failure in a row. */
export async function notePoolFailure(
  deps: Deps,
  { os, type, id }: Spare,
  error: string,
  message = 'volume not created'
): Promise<void> {
  deps.log.warn({ os, type, spare_id: id, error }, message)
  const now = deps.clock.now().getTime()
  await deps.pools.noteFailure({ os, type }, error, failures => new Date(now + backoffSeconds(failures) * 1000))
}

function faultIn(spare: Spare, volume: Volume | undefined): string {
  if (!volume) return 'is gone'
  const { volumeType, status } = volume
  if (volumeType !== spare.volumeType) {
    return `is of volume type "${volumeType}", though "${spare.volumeType}" was asked for`
  }
  if (verdictOnCreating(spare, volume) !== 'keep') return `is in status ${status}`
  return (
    `has been in status ${status} since ${spare.createdAt.toISOString()}, and was given up. It is deleted when Cinder is ` +
    'done with it. If Cinder never is, an admin must reset its state to error'
  )
}

function ifCloudError(error: unknown): undefined {
  if (!(error instanceof CloudError)) throw error
}
