import { UNCLEAR_SECONDS } from '../../pool/lease.ts'
import type { Call } from '../../pool/ports.ts'
import type { Finished, FinishedSpare } from '../../pool/stores.ts'
import type { Deps } from '../deps.ts'
import { idsOf } from '../tolerant.ts'

/** All spares of a run together have as long as one call to be armed. Begin it before they are noted. */
export const armingSignal = ({ clock, settings }: Deps, { signal }: Call): AbortSignal =>
  AbortSignal.any([clock.timeout(settings.cloudTimeoutSeconds * 1000), ...(signal ? [signal] : [])])

/** Nobody else arms a spare until then. */
export const endOfArming = ({ clock, settings }: Deps): Date =>
  new Date(clock.now().getTime() + (settings.cloudTimeoutSeconds + UNCLEAR_SECONDS) * 1000)

/** Records what Cinder has finished; gives the spares that this is news of, or that are now ours to arm. */
export async function noteFinished(deps: Deps, finished: readonly Finished[]): Promise<FinishedSpare[]> {
  if (finished.length === 0) return []
  const at = deps.clock.now()
  const spares = await deps.spares.noteFinished(finished, endOfArming(deps), at)
  for (const spare of spares) {
    const { os, type, createdAt, availableAt } = spare
    if (availableAt?.getTime() !== at.getTime()) continue // It was finished long ago, and is armed again.
    const seconds = (at.getTime() - createdAt.getTime()) / 1000
    deps.observer.becameAvailable(spare, seconds)
    deps.log.info({ os, type, ...idsOf(spare), seconds }, 'volume became available')
  }
  return spares
}
