import type { Finished, FinishedSpare } from '../../pool/stores.ts'
import type { Deps } from '../deps.ts'

/** A transfer without an answer may still be made for so long after the time for it is up. */
const UNCLEAR_MS = 60_000

/** All of them have as long as one call to be armed. */
export const armingMs = ({ settings }: Deps): number => settings.cloudTimeoutSeconds * 1000

/** Nobody else arms a spare until then. */
export const endOfArming = (deps: Deps): Date => new Date(deps.clock.now().getTime() + armingMs(deps) + UNCLEAR_MS)

/** Records what Cinder has finished; gives what was not known as such, or is now ours to arm. */
export async function noteFinished(deps: Deps, finished: readonly Finished[]): Promise<FinishedSpare[]> {
  if (finished.length === 0) return []
  const at = deps.clock.now()
  const spares = await deps.spares.noteFinished(finished, endOfArming(deps), at)
  for (const spare of spares) {
    if (spare.availableAt?.getTime() !== at.getTime()) continue // It has been finished for long, and is armed anew.
    const seconds = (at.getTime() - spare.createdAt.getTime()) / 1000
    deps.observer.becameAvailable(spare, seconds)
    const { os, type, id, volumeId } = spare
    deps.log.info({ os, type, spare_id: id, volume_id: volumeId, seconds }, 'volume became available')
  }
  return spares
}
