import type { Call, Project, Volume } from '../../pool/ports.ts'
import { DEPLOYMENT_KEY, type Spare, samePool, spareMetadata } from '../../pool/spare.ts'
import type { FinishedSpare } from '../../pool/stores.ts'
import { cannotMove, isOurs, patienceSeconds, spareIdOf, verdictOnCreating } from '../../pool/verdict.ts'
import { settleClaim } from '../claim/claim-disk.ts'
import { allEnded, collect, concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { arms } from '../spare/arm.ts'
import { armFinished } from '../spare/arm-finished.ts'
import { deleteRetired } from '../spare/delete-retired.ts'
import { giveUp } from '../spare/give-up.ts'
import { notePoolFailure } from '../spare/note-failure.ts'
import { endOfArming, noteFinished } from '../spare/note-finished.ts'
import { EncryptedDisk } from '../spare/request-volume.ts'
import { runOf, type TickRun, tolerant } from '../tolerant.ts'
import { nextLookMs } from './next-look.ts'

export interface CheckResult {
  readonly checked: number
  readonly available: number
  readonly dropped: number
  /** Items that failed by themselves, and are tried again by the next run. */
  readonly left: number
}

/** A finished volume; `isArmed`: a transfer waits that must be taken back first. */
interface Seen {
  readonly spare: Spare
  readonly volumeId: string
  readonly isArmed: boolean
}

/** One look at the cloud, and what it found out. */
interface Look {
  readonly pool: Project
  readonly run: TickRun
  readonly byId: ReadonlyMap<string, Volume>
  /** Those that are certainly a spare's. */
  readonly bySpareId: ReadonlyMap<string, Volume>
  /** Those that have been on their way for too long. */
  readonly overdue: ReadonlySet<Spare>
  readonly finished: Seen[]
  /** What failed, with what is left of it. */
  readonly failed: { readonly spare: Spare; readonly giveUp: () => Promise<void> }[]
  dropped: number
}

/**
 * Looks at all volumes on their way with one listing: out with what failed, into stock with what is finished. What Cinder has
 * finished is written down first, in one statement: that makes room for the next creations, and `letNextBegin` for the next
 * look, before anything is armed.
 */
export async function checkState(deps: Deps, call: Call, letNextBegin = () => {}): Promise<CheckResult> {
  const startedMs = deps.clock.monotonicMs()
  const run = runOf('check_state', call)
  const { spares, anyToDelete } = await deps.spares.onTheirWay()
  const look = spares.length > 0 ? await lookAt(deps, spares, run) : undefined
  const taken = await noteFinished(deps, look?.finished.map(toFinished(deps)) ?? [])
  const dropped = look ? look.dropped + look.failed.length : 0
  // After a success, which must not hide a failure.
  await concurrently(look?.failed ?? [], 4, ({ spare, giveUp }) => tolerant(deps, run, idsOf(spare), giveUp))
  if (taken.length + dropped > 0) deps.wake('replenish')
  lookAgain(deps, spares.length - taken.length - dropped, spares, startedMs)
  const deleting = anyToDelete || dropped > 0 ? deleteRetired(deps, run) : Promise.resolve(0)
  const [available] = await allEnded(bringIn(deps, look, taken, run), deleting.finally(letNextBegin))
  return { checked: spares.length, available, dropped, left: run.left }
}

const idsOf = ({ id, volumeId }: Spare) => ({ spare_id: id, volume_id: volumeId })

function lookAgain(deps: Deps, left: number, spares: readonly Spare[], startedMs: number): void {
  const { clock, wake } = deps
  if (left > 0) wake('check_state', nextLookMs(spares, clock.monotonicMs() - startedMs, clock.now()))
}

/** Into stock, armed where they are to be, and to the claims that disks were made for; gives how many are there. */
async function bringIn(
  deps: Deps,
  look: Look | undefined,
  taken: readonly FinishedSpare[],
  run: TickRun
): Promise<number> {
  if (!look) return 0
  const seen = new Map(look.finished.map(one => [one.spare.id, one]))
  const toArm = taken
    .filter(({ status }) => status === 'creating')
    .map(spare => ({ spare, volumeId: spare.volumeId ?? '', isArmed: seen.get(spare.id)?.isArmed ?? false }))
  const ready = taken.filter(({ status }) => status !== 'creating')
  const settle = async ({ claimId }: Spare): Promise<void> => {
    if (claimId) await tolerant(deps, run, { claim_id: claimId }, () => settleClaim(deps, claimId, run))
  }
  const settling = concurrently(ready, 4, settle)
  const [armed] = await allEnded(armFinished(deps, look.pool, toArm, settle, run), settling)
  return ready.length + armed.length
}

/** A disk made for a claim is not armed: its claim knows how to hand it over. */
const toFinished =
  (deps: Deps) =>
  ({ spare: { id, status, claimId }, isArmed }: Seen) => ({
    id,
    claimId,
    toArm: status === 'creating' && (isArmed || arms(deps))
  })

async function lookAt(deps: Deps, spares: readonly Spare[], run: TickRun): Promise<Look> {
  const pool = await deps.cloud.poolProject(run)
  const volumes = await volumesSince(deps, pool, spares, run)
  const look: Look = {
    pool,
    run,
    byId: new Map(volumes.map(volume => [volume.id, volume])),
    bySpareId: new Map(volumes.map(volume => [spareIdOf(volume, deps.settings.deployment, pool.id) ?? '', volume])),
    overdue: await overdueOf(deps, spares),
    finished: [],
    failed: [],
    dropped: 0
  }
  await concurrently(spares, 4, spare => tolerant(deps, run, idsOf(spare), () => checkOne(deps, look, spare)))
  return look
}

/** Clocks of two machines, and a request that was long on its way. */
const CLOCK_MARGIN_MS = 300_000

/** All our volumes no older than the oldest spare on its way: finished or not, they are in this one listing. */
async function volumesSince(deps: Deps, pool: Project, spares: readonly Spare[], call: Call): Promise<Volume[]> {
  const oldest = Math.min(...spares.map(({ createdAt }) => createdAt.getTime()))
  const createdSince = new Date(oldest - CLOCK_MARGIN_MS)
  const metadata = { [DEPLOYMENT_KEY]: deps.settings.deployment }
  return await collect(pool.volumes.pages({ metadata, createdSince }, call))
}

/** A message that RabbitMQ lost, for one, leaves a volume in `creating` for ever. Costs a statement only where one is late. */
async function overdueOf(deps: Deps, spares: readonly Spare[]): Promise<Set<Spare>> {
  const late = spares.filter(spare => ageSeconds(deps, spare) > patienceSeconds())
  if (late.length === 0) return new Set()
  const longest = await deps.history.longestLeadTimes(late)
  const longestOf = (spare: Spare): number | undefined => longest.find(one => samePool(one, spare))?.seconds
  return new Set(late.filter(spare => ageSeconds(deps, spare) > patienceSeconds(longestOf(spare))))
}

/** Since it was recorded, just before Cinder was asked. */
const ageSeconds = ({ clock }: Deps, { createdAt }: Spare): number =>
  (clock.now().getTime() - createdAt.getTime()) / 1000

async function checkOne(deps: Deps, look: Look, spare: Spare): Promise<void> {
  const { pool, run } = look
  const known = spare.volumeId ? spare : await findLost(deps, look, spare)
  if (!known?.volumeId || known.status === 'retiring') return // A retired one that was found just now will be deleted.
  const { volumeId } = known
  const volume = look.byId.get(volumeId) ?? (await pool.volumes.find(volumeId, run))
  const isReserved = spare.status === 'reserved'
  const fail = (giveUpOne: () => Promise<void>): void => void look.failed.push({ spare: known, giveUp: giveUpOne })
  if (volume && !isReserved && !isOurs(volume, spare.id, deps.settings.deployment, pool.id)) {
    return await leaveAlone(deps, look, known, volume)
  }
  // A claim is told by its hand-over.
  if (volume && !isReserved && cannotMove(volume, deps.settings.handover)) {
    return fail(() => retireEncrypted(deps, known))
  }
  switch (verdictOnCreating(spare, volume)) {
    case 'keep':
      if (look.overdue.has(spare)) fail(() => giveUp(deps, pool, known, volume, run))
      return
    case 'rearm':
      if (isReserved) return // Its claim has armed it, and may be handing it over just now.
      look.finished.push({ spare: known, volumeId, isArmed: true })
      return
    case 'stock':
      look.finished.push({ spare: known, volumeId, isArmed: false })
      return
    case 'drop':
      if (isReserved) return // Its claim may have handed it over just now: it will look.
      fail(() => giveUp(deps, pool, known, volume, run))
      return
    case 'retire':
      fail(() => giveUp(deps, pool, known, volume, run))
  }
}

/** Given out, or taken by hand: the row is older than that, as after a backup of the database was restored. */
async function leaveAlone(deps: Deps, look: Look, { id, status }: Spare, volume: Volume): Promise<void> {
  if (!(await deps.spares.drop(id, status))) return
  look.dropped += 1
  const { id: volumeId, name, status: volumeStatus } = volume
  deps.log.warn({ spare_id: id, volume_id: volumeId, name, status: volumeStatus }, 'volume left alone: it is no spare')
}

async function retireEncrypted(deps: Deps, spare: Spare): Promise<void> {
  if (!(await deps.spares.retireUnfinished(spare.id, deps.clock.now(), endOfArming(deps)))) return // Somebody else has done it.
  await notePoolFailure(deps, spare, new EncryptedDisk(spare).message)
}

/** After the longest call, Cinder may still be at it: a create can wait for its message queue. */
const LOST_AFTER_SECONDS = 120

/**
 * A spare whose volume is not known, because the answer to its creation never came: found by its id in the metadata,
 * it goes on; not found for long enough, Cinder never made it, and the row goes (undefined).
 */
async function findLost(deps: Deps, look: Look, spare: Spare): Promise<Spare | undefined> {
  const age = ageSeconds(deps, spare)
  const isLate = age >= deps.settings.cloudTimeoutSeconds + LOST_AFTER_SECONDS
  const volume = look.bySpareId.get(spare.id) ?? (isLate ? await volumeOf(deps, look, spare) : undefined)
  if (volume) {
    if (age > deps.settings.cloudTimeoutSeconds) {
      deps.log.warn({ spare_id: spare.id, volume_id: volume.id }, 'volume found whose creation had no answer')
      deps.observer.repaired('found_volume', 1)
    }
    return (await deps.spares.noteVolume(spare.id, volume.id, deps.clock.now())) ?? spare
  }
  if (!isLate) return spare
  if (!(await deps.spares.drop(spare.id, spare.status))) return spare
  deps.log.warn({ spare_id: spare.id }, 'creation dropped that Cinder never carried out')
  deps.observer.repaired('dropped_creation', 1)
  look.dropped += 1
  return undefined
}

/** Whenever it was made: the listing has only what is young by Cinder's own clock, which may be apart from ours. */
async function volumeOf({ settings }: Deps, { pool, run }: Look, { id }: Spare): Promise<Volume | undefined> {
  const found = await collect(pool.volumes.pages({ metadata: spareMetadata(settings.deployment, id) }, run))
  return found.find(volume => spareIdOf(volume, settings.deployment, pool.id) === id)
}
