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
  const volumes = await ourVolumes(deps, pool, call)
  const transfers = await waitingTransfers(pool, call)
  const strays: Transfer[] = []
  const { dropped, known, awaited } = await reviewStock(deps, { pool, volumes, transfers, strays, call })
  const unknown = [...volumes.values()].filter(
    ({ id, metadata }) => !known.has(id) && !awaited.has(metadata[SPARE_ID_KEY] ?? '')
  )
  const { adopted, removed } = await adoptOrphans(deps, pool, { volumes: unknown, transfers: strays }, call)
  await retireStale(deps)
  await lookForNewer(deps, call)
  await deleteRetired(deps, call)
  await forgetOld(deps)
  await recountStock(deps)
  if (adopted + dropped + removed > 0) deps.wake('replenish')
  return { settled, adopted, removed, dropped }
}

/** Every volume of this deployment that is still in the pool's project, by id. */
async function ourVolumes(deps: Deps, pool: Project, call: Call): Promise<Map<string, Volume>> {
  const volumes = new Map<string, Volume>()
  const metadata = { [DEPLOYMENT_KEY]: deps.settings.deployment }
  for await (const page of pool.volumes.pages({ metadata }, call)) {
    for (const volume of page) volumes.set(volume.id, volume)
  }
  return volumes
}

/** By volume: one each, unless somebody has reset its status meanwhile. */
async function waitingTransfers(pool: Project, call: Call): Promise<Map<string, Transfer[]>> {
  const byVolume = new Map<string, Transfer[]>()
  for (const transfer of await pool.transfers.list(undefined, call)) {
    byVolume.set(transfer.volumeId, [...(byVolume.get(transfer.volumeId) ?? []), transfer])
  }
  return byVolume
}

const PAGE = 1_000

/** What one listing of each kind has shown: older than what the tables say by now. */
interface Listed {
  readonly pool: Project
  readonly volumes: ReadonlyMap<string, Volume>
  readonly transfers: ReadonlyMap<string, readonly Transfer[]>
  /** Transfers by the names of spares that know nothing of them, as far as the review has come. */
  readonly strays: Transfer[]
  readonly call: Call
}

interface Review {
  /** How many rows went. */
  readonly dropped: number
  /** The volumes that rows know. */
  readonly known: ReadonlySet<string>
  /** The spares that wait for theirs: check_state finds it by the id in its metadata. */
  readonly awaited: ReadonlySet<string>
}

/** Compares every spare in stock with its volume. */
async function reviewStock(deps: Deps, listed: Listed): Promise<Review> {
  const [known, awaited] = [new Set<string>(), new Set<string>()]
  let dropped = 0
  let marker: string | undefined
  do {
    const page = await deps.spares.list({ limit: PAGE, marker })
    for (const spare of page.rows) {
      if (spare.volumeId) known.add(spare.volumeId)
      else awaited.add(spare.id)
    }
    const inStock = page.rows.filter(({ status }) => status === 'available')
    await concurrently(inStock, 4, async spare => {
      const fields = { spare_id: spare.id, volume_id: spare.volumeId }
      if (await tolerant(deps, fields, () => reviewSpare(deps, listed, spare))) dropped += 1
    })
    marker = page.nextMarker
  } while (marker)
  return { dropped, known, awaited }
}

/** True: the spare is no longer in stock. */
async function reviewSpare(deps: Deps, listed: Listed, spare: Spare): Promise<boolean> {
  const { pool, volumes, transfers, strays, call } = listed
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
  if (verdictOn(volumes.get(volumeId), waiting) === 'keep') {
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
