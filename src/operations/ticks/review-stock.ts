import type { Project, Transfer, Volume } from '../../pool/ports.ts'
import { DEPLOYMENT_KEY, SPARE_ID_KEY, type Spare } from '../../pool/spare.ts'
import type { Listed, Stretch } from '../../pool/stores.ts'
import { cannotMove, isOurs, spareIdOf, type Verdict, verdictOnAvailable } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { arms } from '../spare/arm.ts'
import { eachSpare, idsOf, type Parts, type TickRun } from '../tolerant.ts'
import { adoptOrphans, type Review, takeBackStrays, type Unknown } from './adopt-orphans.ts'

export type StockReview = Readonly<Pick<Review, 'adopted' | 'removed' | 'dropped'>>

/**
 * Compares our volumes in Cinder, and the transfers that they wait in, with their rows. Both sides are read in the order of
 * volume ids, a page at a time: the stock may be large, and is never held in memory.
 */
export async function reviewStock(deps: Deps, run: TickRun, parts: Parts): Promise<StockReview> {
  const counts = { adopted: 0, removed: 0, dropped: 0 }
  const poolProject = await parts.try("the pool's project not entered", () => deps.cloud.poolProject(run))
  if (!poolProject) return counts
  const review: Review = { ...counts, poolProject, run, orphans: [] }
  const volumes = await parts.try('volumes not reviewed', () => reviewVolumes(deps, review))
  const transfers = await parts.try('transfers not reviewed', () => reviewTransfers(deps, review))
  const isComplete = volumes === 'done' && transfers === 'done'
  await parts.try('orphans not noted', () => deps.orphans.note(review.orphans, deps.clock.now(), isComplete))
  return review
}

async function reviewVolumes(deps: Deps, review: Review): Promise<'done'> {
  const { poolProject, run } = review
  const pages = poolProject.volumes.pages({ metadata: { [DEPLOYMENT_KEY]: deps.settings.deployment } }, run)
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
    const unknown = page.filter(({ id }) => !byVolume.has(id)).flatMap(unknownAmong(deps, poolProject, spares))
    await adoptOrphans(deps, review, unknown)
  }
  return 'done'
}

/** Without volumes whose creation had no answer: check_state finds those. */
function unknownAmong({ settings }: Deps, project: Project, spares: readonly Spare[]): (volume: Volume) => Unknown[] {
  const byId = new Map(spares.map(spare => [spare.id, spare]))
  return volume => {
    const spareId = spareIdOf(volume, settings.deployment, project.id)
    const spare = byId.get(spareId ?? '')
    if (spare && spare.volumeId === undefined) return []
    return [{ volume, spareId: spare ? undefined : spareId }]
  }
}

async function reviewTransfers(deps: Deps, review: Review): Promise<'done'> {
  const pages = review.poolProject.transfers.pages(review.run)
  for await (const { page, ...stretch } of stretches(pages, ({ volumeId }) => volumeId)) {
    const volumeIds = page.map(({ volumeId }) => volumeId)
    const spares = await deps.spares.ofVolumes(volumeIds, [])
    const byVolume = new Map(spares.map(spare => [spare.volumeId, spare]))
    await lookAtUnlisted(deps, review, { what: 'transfer', ids: page.map(({ id }) => id), ...stretch })
    /** It has the name of a spare that does not know it. */
    const isStray = ({ id, volumeId, name }: Transfer): boolean => {
      const spare = byVolume.get(volumeId)
      return spare?.status === 'available' && spare.name === name && spare.transfer?.id !== id
    }
    await takeBackStrays(deps, review, page.filter(isStray))
  }
  return 'done'
}

/**
 * Each page with the stretch of volume ids that it covers: from the end of the page before it to its own end. A page waits
 * until the next one has come, since the last one's stretch has no end.
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

/** A page may be older than a claim, or than the row. So what looks wrong is looked at by itself. */
async function lookAtEach(deps: Deps, review: Review, spares: readonly Spare[]): Promise<void> {
  review.dropped += await eachSpare(deps, review.run, spares, spare => lookAt(deps, review, spare))
}

/** True: the spare has left the stock. */
async function lookAt(deps: Deps, review: Review, spare: Spare): Promise<boolean> {
  const { poolProject, run } = review
  const { volumeId, transfer } = spare
  if (!volumeId) return false
  const volume = await poolProject.volumes.find(volumeId, run)
  let verdict = verdictOn(deps, review, spare, volume)
  if (verdict === 'keep' && transfer) {
    // Two may have armed it at once: then the transfer that waits is the other one's.
    if ((await poolProject.transfers.find(transfer.id, run))?.volumeId !== volumeId) verdict = 'rearm'
  }
  // A claim may have taken the spare by now: then its status stays as it is, and so does the claim's disk.
  if (verdict === 'keep' || (await deps.spares.byVolume(volumeId))?.status !== 'available') return false
  return await carryOut(deps, spare, verdict, volume?.status ?? 'gone')
}

function verdictOn(deps: Deps, { poolProject }: Review, spare: Spare, volume: Volume | undefined): Verdict {
  if (volume && !isOurs(volume, spare.id, deps.settings.deployment, poolProject.id)) return 'drop'
  if (volume && cannotMove(volume, deps.settings.handover)) return 'retire'
  return verdictOnAvailable(spare, volume, arms(deps))
}

async function carryOut(deps: Deps, spare: Spare, verdict: Verdict, volumeStatus: string): Promise<boolean> {
  const { spares, clock, log } = deps
  const fields = { ...idsOf(spare), status: volumeStatus }
  if (verdict === 'rearm') {
    if (await spares.unstock(spare.id, clock.now())) log.info(fields, 'spare left the stock to be armed again')
    deps.wake('check_state')
    return false
  }
  const hasLeft =
    verdict === 'drop'
      ? await spares.drop(spare.id, 'available')
      : await spares.retire(spare.id, 'available', clock.now())
  if (!hasLeft) return false
  log.warn(fields, 'spare left the stock: its volume is gone or unfit')
  deps.observer.repaired('dropped_spare', 1)
  return true
}
