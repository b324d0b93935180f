import { CloudError } from '../pool/errors.ts'
import type { Call, Project } from '../pool/ports.ts'
import type { Spare } from '../pool/spare.ts'
import type { Ready } from '../pool/stores.ts'
import { arm, arms, disarm } from './arm.ts'
import { concurrently } from './concurrently.ts'
import type { Deps } from './deps.ts'
import { tolerant } from './tolerant.ts'

/** A spare whose volume Cinder has finished. */
export interface Finished {
  readonly spare: Spare
  readonly volumeId: string
  /** A transfer waits whose key is not known: of one who died before he could note it, or of a spare to be armed anew. */
  readonly isArmed: boolean
}

/** A transfer without an answer may still be made for so long after the time for it is up. */
const UNCLEAR_MS = 60_000

/**
 * Arms finished volumes where they are for the stock; gives all that are ready. A volume that somebody else arms is left
 * alone, for as long as anything of his may be on its way: what is late would meet a volume that is a claim's by then.
 */
export async function armFinished(
  deps: Deps,
  pool: Project,
  finished: readonly Finished[],
  call: Call
): Promise<Ready[]> {
  // A disk made for a claim is not armed: its claim knows how to hand it over.
  const needsWork = ({ spare, isArmed }: Finished): boolean => spare.status === 'creating' && (isArmed || arms(deps))
  const ready: Ready[] = finished
    .filter(one => !needsWork(one))
    .map(({ spare: { id } }) => ({ id, transfer: undefined }))
  const toArm = finished.filter(needsWork)
  if (toArm.length === 0) return ready
  const limitMs = deps.settings.cloudTimeoutSeconds * 1000
  const at = deps.clock.now()
  const ids = toArm.map(({ spare }) => spare.id)
  const ours = new Set(await deps.spares.startArming(ids, new Date(at.getTime() + limitMs + UNCLEAR_MS), at))
  const signal = AbortSignal.any([deps.clock.timeout(limitMs), ...(call.signal ? [call.signal] : [])])
  const notBegun: string[] = []
  await concurrently(
    toArm.filter(({ spare }) => ours.has(spare.id)),
    4,
    async one => {
      if (signal.aborted) return void notBegun.push(one.spare.id)
      const fields = { spare_id: one.spare.id, volume_id: one.volumeId }
      const armed = await tolerant(deps, fields, () => armOne(deps, pool, one, { ...call, signal }))
      if (armed) ready.push(armed)
    }
  )
  if (notBegun.length > 0) await deps.spares.stopArming(notBegun)
  return ready
}

async function armOne(deps: Deps, pool: Project, { spare, volumeId, isArmed }: Finished, call: Call): Promise<Ready> {
  try {
    if (isArmed) await disarm(pool, volumeId, call)
    return { id: spare.id, transfer: arms(deps) ? await arm(deps, pool, spare, volumeId, call) : undefined }
  } catch (error) {
    if (error instanceof CloudError && (await isOver(pool, volumeId, error, call)))
      await deps.spares.stopArming([spare.id])
    throw error
  }
}

/** A volume waits in one transfer at most: where one is, ours is not on its way any more, and its key is lost. */
const isOver = async (pool: Project, volumeId: string, { mayHaveActed }: CloudError, call: Call): Promise<boolean> =>
  !mayHaveActed || (await pool.transfers.list(volumeId, call)).length > 0
