import { compareVersions, isCurrent } from '../pool/image.ts'
import type { Call, Project, Transfer, Volume } from '../pool/ports.ts'
import { DEPLOYMENT_KEY, SPARE_ID_KEY, type Spare, samePool } from '../pool/spare.ts'
import { isOurs, type Verdict, verdictOnAvailable } from '../pool/verdict.ts'
import { adoptOrphans } from './adopt-orphans.ts'
import { arms } from './arm.ts'
import { concurrently } from './concurrently.ts'
import { deleteRetired } from './delete-retired.ts'
import type { Deps } from './deps.ts'
import { readImages } from './read-images.ts'
import { settleClaims } from './settle-claims.ts'
import { tolerant } from './tolerant.ts'

export interface ReconcileResult {
  readonly settled: number
  readonly adopted: number
  readonly removed: number
  readonly dropped: number
}

/** Makes the database and the cloud agree again, after whatever has happened to either. */
export async function reconcile(deps: Deps, call: Call): Promise<ReconcileResult> {
  const settled = await settleClaims(deps, call)
  const pool = await deps.cloud.pool(call)
  const review: Review = {
    pool,
    transfers: await waitingTransfers(pool, call),
    strays: [],
    unknown: [],
    dropped: 0,
    call
  }
  await reviewRest(deps, review, await reviewVolumes(deps, review))
  const { unknown, strays, dropped } = review
  const { adopted, removed } = await adoptOrphans(deps, pool, { volumes: unknown, transfers: strays }, call)
  await retireStale(deps)
  await lookForNewer(deps, call)
  await deleteRetired(deps, call)
  await forgetOld(deps)
  await recountStock(deps)
  if (adopted + dropped + removed > 0) deps.wake('replenish')
  return { settled, adopted, removed, dropped }
}

/** By volume: one each, unless somebody has reset its status meanwhile. */
async function waitingTransfers(pool: Project, call: Call): Promise<Map<string, Transfer[]>> {
  const byVolume = new Map<string, Transfer[]>()
  for (const transfer of await pool.transfers.list(undefined, call)) {
    byVolume.set(transfer.volumeId, [...(byVolume.get(transfer.volumeId) ?? []), transfer])
  }
  return byVolume
}

/** What has been looked at so far. Of the stock only ids are kept, and the transfers that wait: it may be large. */
interface Review {
  readonly pool: Project
  /** Older than what the tables say by now, as is every page of volumes. */
  readonly transfers: ReadonlyMap<string, readonly Transfer[]>
  /** Transfers by the names of spares that know nothing of them. */
  readonly strays: Transfer[]
  /** Volumes that no row knows. */
  readonly unknown: Volume[]
  /** How many rows went. */
  dropped: number
  readonly call: Call
}

/** Compares each page of our volumes with its rows; gives the ids of all. */
async function reviewVolumes(deps: Deps, review: Review): Promise<ReadonlySet<string>> {
  const seen = new Set<string>()
  const metadata = { [DEPLOYMENT_KEY]: deps.settings.deployment }
  for await (const page of review.pool.volumes.pages({ metadata }, review.call)) {
    const spareIds = page.map(({ metadata }) => metadata[SPARE_ID_KEY] ?? '')
    const spares = await deps.spares.ofVolumes(
      page.map(({ id }) => id),
      spareIds
    )
    const byVolume = new Map(spares.map(spare => [spare.volumeId, spare]))
    // check_state finds these by the id in their metadata.
    const awaited = new Set(spares.filter(({ volumeId }) => volumeId === undefined).map(({ id }) => id))
    await concurrently(page, 4, async volume => {
      seen.add(volume.id)
      const spare = byVolume.get(volume.id)
      if (spare) await reviewInTurn(deps, review, spare, volume)
      else if (!awaited.has(volume.metadata[SPARE_ID_KEY] ?? '')) review.unknown.push(volume)
    })
  }
  return seen
}

const PAGE = 1_000

/** Of the spares in stock those whose volume was not among ours. */
async function reviewRest(deps: Deps, review: Review, seen: ReadonlySet<string>): Promise<void> {
  let marker: string | undefined
  do {
    const page = await deps.spares.list({ status: 'available', limit: PAGE, marker })
    const unseen = page.rows.filter(({ volumeId }) => volumeId !== undefined && !seen.has(volumeId))
    await concurrently(unseen, 4, async spare => await reviewInTurn(deps, review, spare, undefined))
    marker = page.nextMarker
  } while (marker)
}

async function reviewInTurn(deps: Deps, review: Review, spare: Spare, volume: Volume | undefined): Promise<void> {
  if (spare.status !== 'available') return
  const fields = { spare_id: spare.id, volume_id: spare.volumeId }
  if (await tolerant(deps, fields, () => reviewSpare(deps, review, spare, volume))) review.dropped += 1
}

/** True: the spare is no longer in stock. */
async function reviewSpare(
  deps: Deps,
  { pool, transfers, strays, call }: Review,
  spare: Spare,
  listed: Volume | undefined
): Promise<boolean> {
  const { volumeId, transfer } = spare
  if (!volumeId) return false
  const verdictOn = (volume: Volume | undefined, waiting: readonly Transfer[]): Verdict => {
    if (volume && !isOurs(volume, spare.id, deps.settings.deployment, pool.id)) return 'drop'
    const verdict = verdictOnAvailable(spare, volume, arms(deps))
    // Two that armed it at once: the transfer that waits is the other one's.
    return verdict === 'keep' && transfer && !waiting.some(({ id }) => id === transfer.id) ? 'rearm' : verdict
  }
  // The listing may be older than a claim or a page of it may have moved: what looks wrong is asked for by itself.
  const waiting = transfers.get(volumeId) ?? []
  if (verdictOn(listed, waiting) === 'keep') {
    strays.push(...waiting.filter(({ id, name }) => id !== transfer?.id && name === spare.name))
    return false
  }
  const volume = await pool.volumes.find(volumeId, call)
  const verdict = verdictOn(volume, transfer ? await pool.transfers.list(volumeId, call) : [])
  return await carryOut(deps, spare, volumeId, verdict, volume?.status ?? 'gone')
}

/** A claim may have taken the spare by now: then the row's status stays as it is, and so does the claim's disk. */
async function carryOut(
  deps: Deps,
  spare: Spare,
  volumeId: string,
  verdict: Verdict,
  volumeStatus: string
): Promise<boolean> {
  if (verdict === 'keep' || verdict === 'stock') return false
  if ((await deps.spares.byVolume(volumeId))?.status !== 'available') return false
  const fields = { spare_id: spare.id, volume_id: volumeId, status: volumeStatus }
  if (verdict === 'rearm') {
    if (await deps.spares.unstock(spare.id, deps.clock.now()))
      deps.log.info(fields, 'spare left the stock to be armed anew')
    deps.wake('check_state')
    return false
  }
  const left =
    verdict === 'drop'
      ? await deps.spares.drop(spare.id, 'available')
      : await deps.spares.retire(spare.id, 'available', deps.clock.now())
  if (!left) return false
  deps.log.warn(fields, 'spare left the stock: its volume is gone or unfit')
  deps.observer.repaired('dropped_spare', 1)
  return true
}

/** What no sync kept and is no longer current: of a snapshot that left table `os` by other hands than a sync's. */
async function retireStale(deps: Deps): Promise<void> {
  const spares = await deps.spares.retireStale(deps.clock.now())
  if (spares.length > 0) deps.log.warn({ count: spares.length }, 'stale spares retired')
}

/** An image that was updated in Cinder without a sync: `stats` shows it, nothing is changed by it. */
async function lookForNewer(deps: Deps, call: Call): Promise<void> {
  const [{ images: found }, known] = await Promise.all([readImages(deps, call), deps.images.list()])
  const newer = found.filter(image => {
    const current = known.find(one => samePool(one, image))
    return current && !isCurrent(image.snapshotId, current) && compareVersions(image.version, current.version) >= 0
  })
  await deps.pools.noteNewer(newer)
}

const DAY_MS = 86_400_000

/** Old records, in batches, so that no statement is long. */
async function forgetOld(deps: Deps): Promise<void> {
  const now = deps.clock.now()
  const before = new Date(now.getTime() - deps.settings.keepDays * DAY_MS)
  while ((await deps.claims.prune(before)) > 0);
  while ((await deps.history.prune(before)) > 0);
  await deps.history.thin(before, now)
}

async function recountStock(deps: Deps): Promise<void> {
  const wrong = await deps.history.recount()
  if (wrong > 0) deps.log.warn({ count: wrong }, 'stock counted anew')
}
