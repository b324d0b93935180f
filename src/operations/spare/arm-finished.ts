import { ByPool } from '../../pool/by-pool.ts'
import { CloudError, type CloudErrorCode } from '../../pool/errors.ts'
import type { Call, Project } from '../../pool/ports.ts'
import type { Spare } from '../../pool/spare.ts'
import type { FinishedSpare } from '../../pool/stores.ts'
import type { Deps } from '../deps.ts'
import { eachSpare, type TickRun } from '../tolerant.ts'
import { arm, arms, disarm } from './arm.ts'
import { notePoolFailure } from './give-up.ts'

/** A spare that only this run may arm for a while. */
export interface ToArm extends FinishedSpare {
  /** A transfer waits already, and its key is not known: its maker died before he could note it, or it is to be replaced. */
  readonly isArmed: boolean
}

/**
 * Arms finished spares; gives how many. Each is in stock, or with a claim that waited, as soon as it is armed. If it is unclear
 * whether a transfer was made, the spare is left alone until none can come any more: a late one would meet a volume that is a
 * claim's by then. What Cinder refuses is a failure of the pool, and waits as long as the pool does. `signal`: `armingSignal`.
 */
export async function armFinished(
  deps: Deps,
  toArm: readonly ToArm[],
  whenArmed: (spare: Spare) => Promise<void>,
  run: TickRun,
  signal: AbortSignal
): Promise<number> {
  if (toArm.length === 0) return 0
  const poolProject = await deps.cloud.poolProject({ ...run, signal })
  const notBegun: string[] = []
  const refused: Refused[] = []
  const armed = await eachSpare(deps, run, toArm, async spare => {
    if (signal.aborted) return void notBegun.push(spare.id)
    const inStock = await armOne(deps, poolProject, spare, refused, { ...run, signal })
    if (inStock) await whenArmed(inStock)
    return inStock !== undefined
  })
  if (notBegun.length > 0) await deps.spares.stopArming(notBegun)
  await holdBack(deps, refused)
  return armed
}

/** Undefined: it was retired meanwhile. */
async function armOne(
  deps: Deps,
  poolProject: Project,
  spare: ToArm,
  refused: Refused[],
  call: Call
): Promise<Spare | undefined> {
  const { id, volumeId = '', isArmed, poolFailures } = spare
  try {
    if (isArmed) await disarm(poolProject, volumeId, call)
    const transfer = arms(deps) ? await arm(deps, poolProject, spare, volumeId, call) : undefined
    return await deps.spares.noteArmed(id, transfer, deps.clock.now(), poolFailures)
  } catch (error) {
    if (error instanceof CloudError) {
      if (REFUSALS.has(error.code)) refused.push({ ...spare, why: error.message })
      else if (await isOver(poolProject, volumeId, error, call)) await deps.spares.stopArming([id])
    }
    throw error
  }
}

/** Cinder has looked at it and said no. It may well say so again. */
const REFUSALS: ReadonlySet<CloudErrorCode> = new Set(['bad_request', 'forbidden', 'not_found', 'over_quota'])

interface Refused extends Spare {
  readonly why: string
}

/** One failure a pool, however many of its volumes were refused. */
async function holdBack(deps: Deps, refused: readonly Refused[]): Promise<void> {
  for (const ofPool of new ByPool(refused).groups()) {
    const [first] = ofPool
    if (!first) continue
    await notePoolFailure(deps, first, `volume ${first.volumeId} cannot be armed: ${first.why}`, 'volume not armed')
    await deps.spares.armLater(ofPool.map(({ id }) => id))
  }
}

/** A volume waits in one transfer at most. If one is there, ours is not on its way any more, and its key is lost. */
const isOver = async (project: Project, volumeId: string, { mayHaveActed }: CloudError, call: Call): Promise<boolean> =>
  !mayHaveActed || (await project.transfers.ofVolume(volumeId, call)).length > 0
