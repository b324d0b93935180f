import type { Call } from '../../pool/ports.ts'
import type { Spare } from '../../pool/spare.ts'
import type { FinishedSpare } from '../../pool/stores.ts'
import { settleClaim } from '../claim/claim-disk.ts'
import { allEnded, concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { arms } from '../spare/arm.ts'
import { armFinished } from '../spare/arm-finished.ts'
import { deleteRetired } from '../spare/delete-retired.ts'
import { armingSignal, noteFinished } from '../spare/note-finished.ts'
import { idsOf, runOf, type TickRun, tolerant } from '../tolerant.ts'
import { type Finished, type Found, lookAtVolumes } from './look-at-volumes.ts'

export interface CheckResult {
  readonly checked: number
  readonly available: number
  readonly dropped: number
  /** Items that failed, and are tried again by the next run. */
  readonly left: number
}

/**
 * Looks at all volumes on their way with one listing: what is finished goes into stock, what failed is given up. Finished
 * volumes are recorded first, in one statement. That makes room for the next creations, and for the next look (`letNextBegin`),
 * before anything is armed.
 */
export async function checkState(deps: Deps, call: Call, letNextBegin = () => {}): Promise<CheckResult> {
  const startedMs = deps.clock.monotonicMs()
  const run = runOf('check_state', call)
  const { spares, anyToDelete } = await deps.spares.onTheirWay()
  const found = await lookAtVolumes(deps, spares, run)
  const arming = armingSignal(deps, run)
  const finished = await noteFinished(deps, found.finished.map(toNote(deps)))
  // Only now: the success that was just noted must not hide a failure of the same pool.
  await concurrently(found.failed, 4, ({ spare, giveUp }) => tolerant(deps, run, idsOf(spare), giveUp))
  const dropped = found.dropped + found.failed.length
  if (finished.length + dropped > 0) deps.wake('replenish')
  if (spares.length > finished.length + dropped) lookAgain(deps, spares, startedMs)
  const deleting = anyToDelete || dropped > 0 ? deleteRetired(deps, run) : Promise.resolve()
  const [available] = await allEnded(bringIn(deps, found, finished, run, arming), deleting.finally(letNextBegin))
  return { checked: spares.length, available, dropped, left: run.left }
}

/** A disk made for a claim is not armed: its claim knows how to hand it over. */
const toNote =
  (deps: Deps) =>
  ({ spare: { id, status, claimId }, isArmed }: Finished) => ({
    id,
    claimId,
    toArm: status === 'creating' && (isArmed || arms(deps))
  })

/** Into stock, armed if they should be, or to the claims that they were made for; gives how many are there. */
async function bringIn(
  deps: Deps,
  found: Found,
  finished: readonly FinishedSpare[],
  run: TickRun,
  arming: AbortSignal
): Promise<number> {
  const armedIds = new Set(found.finished.filter(({ isArmed }) => isArmed).map(({ spare }) => spare.id))
  const toArm = finished
    .filter(({ status }) => status === 'creating')
    .map(spare => ({ ...spare, isArmed: armedIds.has(spare.id) }))
  const ready = finished.filter(({ status }) => status !== 'creating')
  const settle = async ({ claimId }: Spare): Promise<void> => {
    if (claimId) await tolerant(deps, run, { claim_id: claimId }, () => settleClaim(deps, claimId, run))
  }
  const [armed] = await allEnded(armFinished(deps, toArm, settle, run, arming), concurrently(ready, 4, settle))
  return ready.length + armed
}

/** Later for an older volume: what is noticed late delays a refill by this share of the volume's own time at most. */
const SHARE_OF_AGE = 0.05
const LEAST_MS = 250
/** Of what a look takes: so Cinder spends a tenth of one thread on them at most. */
const TIMES_A_LOOK = 10

function lookAgain({ clock, wake }: Deps, spares: readonly Spare[], startedMs: number): void {
  wake('check_state', nextLookMs(spares, clock.monotonicMs() - startedMs, clock.now()))
}

/** When to look again, however seldom the tick runs by itself. The youngest decides, since it may be finished soon. */
export function nextLookMs(spares: readonly Spare[], lookMs: number, now: Date): number {
  const youngest = Math.max(...spares.map(({ createdAt }) => createdAt.getTime()))
  return Math.max(LEAST_MS, (now.getTime() - youngest) * SHARE_OF_AGE, lookMs * TIMES_A_LOOK)
}
