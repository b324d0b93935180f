import { PoolError } from '../../pool/errors.ts'
import type { Deps } from '../deps.ts'

/** Takes one spare out of stock for good. Its volume is deleted by the ticks. */
export async function retireSpare(deps: Deps, volumeId: string): Promise<void> {
  const spare = await deps.spares.byVolume(volumeId)
  if (!spare)
    throw new PoolError('volume_not_found', `No spare has the volume ${volumeId}: GET /pool/volumes lists them.`)
  if (spare.status === 'reserved') {
    throw new PoolError('spare_reserved', `The spare of volume ${volumeId} is being given to a claim.`, {
      retryAfterSeconds: 5
    })
  }
  const retired = spare.status === 'retiring' || (await deps.spares.retire(spare.id, spare.status, deps.clock.now()))
  if (!retired) return await retireSpare(deps, volumeId) // Its status has moved on: look again.
  deps.log.info({ spare_id: spare.id, volume_id: volumeId }, 'spare retired')
  deps.wake('check_state')
}
