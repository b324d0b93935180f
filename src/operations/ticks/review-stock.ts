import type { Project, Transfer, Volume } from '../../pool/ports.ts'
import { DEPLOYMENT_KEY, SPARE_ID_KEY, type Spare } from '../../pool/spare.ts'
import type { Listed, Stretch } from '../../pool/stores.ts'
import { cannotMove, isOurs, spareIdOf, type Verdict, verdictOnAvailable } from '../../pool/verdict.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { arms } from '../spare/arm.ts'
import { type TickRun, tolerant } from '../tolerant.ts'
import { adoptOrphans, takeBackStrays, type Unknown } from './adopt-orphans.ts'
import type { Parts } from './parts.ts'

export interface StockReview {
  /** Volumes that no row knew. */
  readonly adopted: number
  /** Volumes and transfers that no row knew. */
  readonly removed: number
  /** Rows whose volume is gone or unfit. */
  readonly dropped: number
}

/**
 * Compares all volumes of ours in Cinder, and the transfers that they wait in, with their rows. Cinder and the tables are read
 * side by side in the order of volume ids, a page at a time, so that of the stock, which may be large, nothing is kept.
 */
export async function reviewStock(deps: Deps, run: TickRun, parts: Parts): Promise<StockReview> {
  const counts = { adopted: 0, removed: 0, dropped: 0 }
  const pool = await parts.try("the pool's project not entered", () => deps.cloud.poolProject(run))
  if (!pool) return counts
  const review: Review = { ...counts, pool, orphans: [], run }
  const volumes = await parts.try('volumes not reviewed', () => reviewVolumes(deps, review))
  const transfers = await parts.try('transfers not reviewed', () => reviewTransfers(deps, review))
  const isComplete = volumes === true && transfers === true
  await parts.try('orphans not noted', () => deps.orphans.note(review.orphans, deps.clock.now(), isComplete))
  return review
}

interface Review {
  readonly pool: Project
  /** Ids of volumes and transfers that no row knows, for the next pass. */
  readonly orphans: string[]
  adopted: number
  removed: number
  dropped: number
  readonly run: TickRun
}

/** True: to the end. */
async function reviewVolumes(deps: Deps, review: Review): Promise<true> {
  const { pool, run } = review
  const pages = pool.volumes.pages({ metadata: { [DEPLOYMENT_KEY]: deps.settings.deployment } }, run)
  for await (const { page, ...stretch } of stretches(pages, ({ id }) => id)) {
    const ids = page.map(({ id }) => id)
    const spareIds = page.map(({ metadata }) => metadata[SPARE_ID_KEY] ?? '')
    const spares = await deps.spares.ofVolumes(ids, spareIds)
    const byVolume = new Map(spares.map(spare => [spare.volumeId, spare]))
    const looksWrong = page.flatMap(volume => {
      const spare = byVolume.get(volume.id)
      return spare?.status === 'available' && verdictOn(deps, review, spare, volume) !== 'keep' ? [spare] : []
    })
    await lookAtEach(deps, review, looksWrong)
    await lookAtUnlisted(deps, review, { what: 'volume', ids, ...stretch })
    const unknown = page.filter(({ id }) => !byVolume.has(id)).flatMap(unknownOf(deps, pool, spares))
    const { adopted, removed, left } = await adoptOrphans(deps, unknown, run)
    review.adopted += adopted
    review.removed += removed
    review.orphans.push(...left)
  }
  return true
}

/** None for one whose creation had no answer: check_state finds it. */
function unknownOf({ settings }: Deps, pool: Project, spares: readonly Spare[]): (volume: Volume) => Unknown[] {
  const byId = new Map(spares.map(spare => [spare.id, spare]))
  return volume => {
    const spareId = spareIdOf(volume, settings.deployment, pool.id)
    const spare = byId.get(spareId ?? '')
    if (spare && spare.volumeId === undefined) return []
    return [{ id: volume.id, volume, spareId: spare ? undefined : spareId }]
  }
}

/** True: to the end. */
async function reviewTransfers(deps: Deps, review: Review): Promise<true> {
  const { pool, run } = review
  for await (const { page, ...stretch } of stretches(pool.transfers.pages(run), ({ volumeId }) => volumeId)) {
    const spares = await deps.spares.ofVolumes(
      page.map(({ volumeId }) => volumeId),
      []
    )
    const byVolume = new Map(spares.map(spare => [spare.volumeId, spare]))
    await lookAtUnlisted(deps, review, { what: 'transfer', ids: page.map(({ id }) => id), ...stretch })
    /** By the name of a spare that knows nothing of it. */
    const isStray = ({ id, volumeId, name }: Transfer): boolean => {
      const spare = byVolume.get(volumeId)
      return spare?.status === 'available' && spare.name === name && spare.transfer?.id !== id
    }
    const { removed, left } = await takeBackStrays(deps, pool, page.filter(isStray), run)
    review.removed += removed
    review.orphans.push(...left)
  }
  return true
}

/**
 * Each page with the stretch of the order of volume ids that it covers: from the end of the one before it to its own. It is
 * held back until another has come, since the last one's stretch has no end.
 */
async function* stretches<T>(
  pages: AsyncIterable<readonly T[]>,
  volumeIdOf: (item: T) => string
): AsyncGenerator<Stretch & { readonly page: readonly T[] }> {
  let after: string | undefined
  let page: readonly T[] = []
  for await (const next of pages) {
    const last = page.at(-1)
    const upTo = last && volumeIdOf(last)
    if (upTo !== undefined) yield { page, after, upTo }
    after = upTo
    page = next
  }
  yield { page, after, upTo: undefined }
}

const PAGE = 1_000

async function lookAtUnlisted(deps: Deps, review: Review, listed: Listed): Promise<void> {
  let after = listed.after
  let spares: Spare[]
  do {
    spares = await deps.spares.unlisted({ ...listed, after }, PAGE)
    await lookAtEach(deps, review, spares)
    after = spares.at(-1)?.volumeId
  } while (spares.length === PAGE)
}

/** A page may be older than a claim, or than the row: what looks wrong is asked for by itself. */
async function lookAtEach(deps: Deps, review: Review, spares: readonly Spare[]): Promise<void> {
  await concurrently(spares, 4, async spare => {
    const fields = { spare_id: spare.id, volume_id: spare.volumeId }
    if (await tolerant(deps, review.run, fields, () => lookAt(deps, review, spare))) review.dropped += 1
  })
}

/** True: the spare is no longer in stock. */
async function lookAt(deps: Deps, review: Review, spare: Spare): Promise<boolean> {
  const { pool, run } = review
  const { volumeId, transfer } = spare
  if (!volumeId) return false
  const volume = await pool.volumes.find(volumeId, run)
  let verdict = verdictOn(deps, review, spare, volume)
  if (verdict === 'keep' && transfer) {
    // Two that armed it at once: the transfer that waits is the other one's.
    if ((await pool.transfers.find(transfer.id, run))?.volumeId !== volumeId) verdict = 'rearm'
  }
  return await carryOut(deps, spare, volumeId, verdict, volume?.status ?? 'gone')
}

function verdictOn(deps: Deps, { pool }: Review, spare: Spare, volume: Volume | undefined): Verdict {
  if (volume && !isOurs(volume, spare.id, deps.settings.deployment, pool.id)) return 'drop'
  if (volume && cannotMove(volume, deps.settings.handover)) return 'retire'
  return verdictOnAvailable(spare, volume, arms(deps))
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
