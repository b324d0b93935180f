import { PoolError } from '../../pool/errors.ts'
import type { Deps } from '../deps.ts'

/** Takes one spare out of stock for good. The ticks delete its volume. */
export async function retireSpare(deps: Deps, volumeId: string): Promise<void> {
  const spare = await deps.spares.byVolume(volumeId)
  if (!spare) {
    throw new PoolError('volume_not_found', `No spare has the volume ${volumeId}: GET /pool/volumes lists them.`)
  }
  if (spare.status === 'reserved') {
    const message = `The spare of volume ${volumeId} is being given to a claim. Try again in a few seconds.`
    throw new PoolError('spare_reserved', message, { retryAfterSeconds: 5 })
  }
  const isRetired = spare.status === 'retiring' || (await deps.spares.retire(spare.id, spare.status, deps.clock.now()))
  if (!isRetired) return await retireSpare(deps, volumeId) // Its status has changed: look again.
  deps.log.info({ spare_id: spare.id, volume_id: volumeId }, 'spare retired')
  deps.wake('check_state')
}
