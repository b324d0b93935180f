import { ByPool } from '../../pool/by-pool.ts'
import { CloudError, type CloudErrorCode } from '../../pool/errors.ts'
import type { Call, Project } from '../../pool/ports.ts'
import type { Spare } from '../../pool/spare.ts'
import type { FinishedSpare } from '../../pool/stores.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { type TickRun, tolerant } from '../tolerant.ts'
import { arm, arms, disarm } from './arm.ts'
import { notePoolFailure } from './note-failure.ts'
import { armingMs } from './note-finished.ts'

/** A spare that nobody else may arm for a while, with what was seen of its volume. */
export interface ToArm {
  readonly spare: FinishedSpare
  readonly volumeId: string
  /** A transfer waits whose key is not known: of one who died before he could note it, or of a spare to be armed anew. */
  readonly isArmed: boolean
}

const AT_ONCE = 4

/**
 * Arms finished volumes: each is in stock as soon as that is done, or is a claim's that waited; gives them all. Where it is
 * not clear whether it was done, a volume is left alone for as long as anything may be on its way: what is late would meet a
 * volume that is a claim's by then. What Cinder refuses is its pool's failure, and waits for as long as the pool does.
 */
export async function armFinished(
  deps: Deps,
  pool: Project,
  toArm: readonly ToArm[],
  whenArmed: (spare: Spare) => Promise<void>,
  run: TickRun
): Promise<Spare[]> {
  if (toArm.length === 0) return []
  const signal = AbortSignal.any([deps.clock.timeout(armingMs(deps)), ...(run.signal ? [run.signal] : [])])
  const armed: Spare[] = []
  const notBegun: string[] = []
  const refusals: Refusal[] = []
  await concurrently(toArm, AT_ONCE, async one => {
    if (signal.aborted) return void notBegun.push(one.spare.id)
    const fields = { spare_id: one.spare.id, volume_id: one.volumeId }
    const spare = await tolerant(deps, run, fields, () => armOne(deps, pool, one, refusals, { ...run, signal }))
    if (!spare) return
    armed.push(spare)
    await whenArmed(spare)
  })
  if (notBegun.length > 0) await deps.spares.stopArming(notBegun)
  await holdBack(deps, refusals)
  return armed
}

/** Undefined: it was retired meanwhile. */
async function armOne(
  deps: Deps,
  pool: Project,
  { spare, volumeId, isArmed }: ToArm,
  refusals: Refusal[],
  call: Call
): Promise<Spare | undefined> {
  try {
    if (isArmed) await disarm(pool, volumeId, call)
    const transfer = arms(deps) ? await arm(deps, pool, spare, volumeId, call) : undefined
    return await deps.spares.noteArmed(spare.id, transfer, deps.clock.now(), spare.poolFailures)
  } catch (error) {
    if (error instanceof CloudError) {
      if (REFUSALS.has(error.code)) refusals.push({ spare, why: error.message })
      else if (await isOver(pool, volumeId, error, call)) await deps.spares.stopArming([spare.id])
    }
    throw error
  }
}

/** Cinder has looked at it and said no: it may well say so again. */
const REFUSALS: ReadonlySet<CloudErrorCode> = new Set(['bad_request', 'forbidden', 'not_found', 'over_quota'])

interface Refusal {
  readonly spare: Spare
  readonly why: string
}

/** One failure of each pool, however many of its volumes were refused. */
async function holdBack(deps: Deps, refusals: readonly Refusal[]): Promise<void> {
  for (const ofPool of new ByPool(refusals.map(({ spare, why }) => ({ ...spare, why }))).groups()) {
    const [first] = ofPool
    if (!first) continue
    await notePoolFailure(deps, first, `volume ${first.volumeId} cannot be armed: ${first.why}`, 'volume not armed')
    await deps.spares.armLater(ofPool.map(({ id }) => id))
  }
}

/** A volume waits in one transfer at most: where one is, ours is not on its way any more, and its key is lost. */
const isOver = async (pool: Project, volumeId: string, { mayHaveActed }: CloudError, call: Call): Promise<boolean> =>
  !mayHaveActed || (await pool.transfers.ofVolume(volumeId, call)).length > 0
