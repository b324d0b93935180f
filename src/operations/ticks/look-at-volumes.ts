import type { Call, Project, Volume } from '../../pool/ports.ts'
import { DEPLOYMENT_KEY, type Spare, samePool, spareMetadata } from '../../pool/spare.ts'
import { cannotMove, isOurs, patienceSeconds, spareIdOf, verdictOnCreating } from '../../pool/verdict.ts'
import { collect } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { giveUp, notePoolFailure } from '../spare/give-up.ts'
import { endOfArming } from '../spare/note-finished.ts'
import { EncryptedDisk } from '../spare/request-volume.ts'
import { eachSpare, idsOf, type TickRun } from '../tolerant.ts'

/** What one look at the volumes on their way has found. Those that are not finished are in none of these. */
export interface Found {
  readonly finished: Finished[]
  readonly failed: { readonly spare: Spare; readonly giveUp: () => Promise<void> }[]
  /** Spares whose rows are gone now. */
  dropped: number
}

/** A spare whose volume is finished. */
export interface Finished {
  readonly spare: Spare
  /** It waits in a transfer that must be deleted first. */
  readonly isArmed: boolean
}

/** What the look goes by. */
interface Look {
  readonly poolProject: Project
  readonly run: TickRun
  readonly byId: ReadonlyMap<string, Volume>
  /** Only volumes that are certainly a spare's. */
  readonly bySpareId: ReadonlyMap<string, Volume>
  readonly overdue: ReadonlySet<Spare>
  readonly found: Found
}

export async function lookAtVolumes(deps: Deps, spares: readonly Spare[], run: TickRun): Promise<Found> {
  const found: Found = { finished: [], failed: [], dropped: 0 }
  if (spares.length === 0) return found
  const poolProject = await deps.cloud.poolProject(run)
  const volumes = await volumesSince(deps, poolProject, spares, run)
  const spareIdIn = (volume: Volume): string => spareIdOf(volume, deps.settings.deployment, poolProject.id) ?? ''
  const look: Look = {
    poolProject,
    run,
    byId: new Map(volumes.map(volume => [volume.id, volume])),
    bySpareId: new Map(volumes.map(volume => [spareIdIn(volume), volume])),
    overdue: await overdueAmong(deps, spares),
    found
  }
  await eachSpare(deps, run, spares, spare => lookAt(deps, look, spare))
  return found
}

/** The clocks of two machines may be apart, and a request may have been on its way for long. */
const CLOCK_MARGIN_MS = 300_000

/** All our volumes no older than the oldest spare on its way: this one listing has them all, finished or not. */
async function volumesSince(deps: Deps, project: Project, spares: readonly Spare[], call: Call): Promise<Volume[]> {
  const oldest = Math.min(...spares.map(({ createdAt }) => createdAt.getTime()))
  const createdSince = new Date(oldest - CLOCK_MARGIN_MS)
  const metadata = { [DEPLOYMENT_KEY]: deps.settings.deployment }
  return await collect(project.volumes.pages({ metadata, createdSince }, call))
}

/** A volume may stay in `creating` for ever, such as when RabbitMQ loses a message. Costs a statement only if one is late. */
async function overdueAmong(deps: Deps, spares: readonly Spare[]): Promise<Set<Spare>> {
  const late = spares.filter(spare => ageSeconds(deps, spare) > patienceSeconds())
  if (late.length === 0) return new Set()
  const longest = await deps.history.longestLeadTimes(late)
  const longestOf = (spare: Spare): number | undefined => longest.find(pool => samePool(pool, spare))?.seconds
  return new Set(late.filter(spare => ageSeconds(deps, spare) > patienceSeconds(longestOf(spare))))
}

/** Since it was recorded, just before Cinder was asked. */
const ageSeconds = ({ clock }: Deps, { createdAt }: Spare): number =>
  (clock.now().getTime() - createdAt.getTime()) / 1000

async function lookAt(deps: Deps, look: Look, recorded: Spare): Promise<void> {
  const { poolProject, run, found } = look
  const spare = recorded.volumeId ? recorded : await findLost(deps, look, recorded)
  if (!spare?.volumeId || spare.status === 'retiring') return // A retired one that was found just now will be deleted.
  const volume = look.byId.get(spare.volumeId) ?? (await poolProject.volumes.find(spare.volumeId, run))
  // A claim that has the spare may be handing it over at this moment, and looks by itself.
  const isReserved = recorded.status === 'reserved'
  if (volume && !isReserved) {
    if (!isOurs(volume, spare.id, deps.settings.deployment, poolProject.id)) {
      return await leaveAlone(deps, found, spare, volume)
    }
    if (cannotMove(volume, deps.settings.handover)) {
      return void found.failed.push({ spare, giveUp: () => retireEncrypted(deps, spare) })
    }
  }
  const verdict = verdictOnCreating(spare, volume)
  if (verdict === 'keep' && !look.overdue.has(recorded)) return
  if (isReserved && (verdict === 'rearm' || verdict === 'drop')) return
  if (verdict === 'stock' || verdict === 'rearm') found.finished.push({ spare, isArmed: verdict === 'rearm' })
  else found.failed.push({ spare, giveUp: () => giveUp(deps, poolProject, spare, volume, run) })
}

/** Given out, or taken by hand: the row is older than that, as after a backup of the database was restored. */
async function leaveAlone(deps: Deps, found: Found, spare: Spare, { name, status }: Volume): Promise<void> {
  if (!(await deps.spares.drop(spare.id, spare.status))) return
  found.dropped += 1
  deps.log.warn({ ...idsOf(spare), name, status }, 'volume left alone: it is no spare')
}

async function retireEncrypted(deps: Deps, spare: Spare): Promise<void> {
  const isRetired = await deps.spares.retireUnfinished(spare.id, deps.clock.now(), endOfArming(deps))
  if (isRetired) await notePoolFailure(deps, spare, new EncryptedDisk(spare).message)
}

/** After the longest call Cinder may still be at it: a create can wait for the message queue. */
const LOST_AFTER_SECONDS = 120

/**
 * A spare whose creation had no answer, so that its volume is not known. If a volume has its id in the metadata, it goes on.
 * If none turns up for long enough, Cinder never made it, and the row goes (undefined).
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
  if (!isLate || !(await deps.spares.drop(spare.id, spare.status))) return spare
  deps.log.warn({ spare_id: spare.id }, 'creation dropped that Cinder never carried out')
  deps.observer.repaired('dropped_creation', 1)
  look.found.dropped += 1
  return undefined
}

/** Whenever it was made: the listing has only volumes that are young by Cinder's clock, which may differ from ours. */
async function volumeOf({ settings }: Deps, look: Look, { id }: Spare): Promise<Volume | undefined> {
  const { poolProject, run } = look
  const metadata = spareMetadata(settings.deployment, id)
  const volumes = await collect(poolProject.volumes.pages({ metadata }, run))
  return volumes.find(volume => spareIdOf(volume, settings.deployment, poolProject.id) === id)
}
