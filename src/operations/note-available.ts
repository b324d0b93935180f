import type { Spare } from '../pool/spare.ts'
import type { Ready } from '../pool/stores.ts'
import type { Deps } from './deps.ts'

/** Records that volumes are finished, into stock or ready for their claim; gives those that were not known as such. */
export async function noteAvailable(deps: Deps, ready: readonly Ready[]): Promise<Spare[]> {
  if (ready.length === 0) return []
  const at = deps.clock.now()
  const spares = await deps.spares.noteAvailable(ready, at)
  for (const spare of spares) {
    const seconds = (at.getTime() - spare.createdAt.getTime()) / 1000
    deps.observer.becameAvailable(spare, seconds)
    const { os, type, id, volumeId } = spare
    deps.log.info({ os, type, spare_id: id, volume_id: volumeId, seconds }, 'volume became available')
  }
  return spares
}
