import { compareVersions, isCurrent, isGone } from '../../pool/image.ts'
import type { Call } from '../../pool/ports.ts'
import { planReplenishment } from '../../pool/replenishment.ts'
import { samePool } from '../../pool/spare.ts'
import { refusedBefore } from '../claim/refusals.ts'
import type { Deps } from '../deps.ts'
import { goneAmong } from '../images/gone-snapshots.ts'
import { readImages, replaceGone } from '../images/read-images.ts'
import { deleteRetired } from '../spare/delete-retired.ts'
import { readStock } from '../stock.ts'
import { Parts, runOf } from '../tolerant.ts'
import { reviewStock, type StockReview } from './review-stock.ts'
import { settleClaims } from './settle-claims.ts'

export interface ReconcileResult extends StockReview {
  readonly settled: number
  /** Items that failed, and are tried again by the next run. */
  readonly left: number
}

/** Makes the database and the cloud agree again. Each part is tried, and the first failure is thrown at the end. */
export async function reconcile(deps: Deps, call: Call): Promise<ReconcileResult> {
  const run = runOf('reconcile', call)
  const parts = new Parts(run)
  const settled = await parts.try('claims not settled', () => settleClaims(deps, run))
  const { adopted, removed, dropped } = await reviewStock(deps, run, parts)
  await parts.try('stale spares not retired', () => retireStale(deps))
  await parts.try('newer images not looked for', () => lookForNewer(deps, run))
  await parts.try('retired spares not deleted', () => deleteRetired(deps, run))
  await parts.try('history not written', () => writeHistory(deps))
  await parts.try('old records not forgotten', () => forgetOld(deps))
  if (adopted + dropped + removed > 0) deps.wake('replenish')
  parts.throwFirst()
  return { settled: settled ?? 0, adopted, removed, dropped, left: run.left }
}

/** Spares of a snapshot that left table `os` by other hands than a sync's. */
async function retireStale(deps: Deps): Promise<void> {
  const count = await deps.spares.retireStale(deps.clock.now())
  if (count > 0) deps.log.warn({ count }, 'stale spares retired')
}

/**
 * Images that were updated in Cinder without a sync: `stats` shows them, and nothing changes. Only an image whose snapshot was
 * deleted is replaced, if `images.source` takes images from Cinder.
 */
async function lookForNewer(deps: Deps, call: Call): Promise<void> {
  const { images: found, snapshots } = await readImages(deps, call)
  let known = await deps.images.list()
  if (await deps.images.setGone(await goneAmong(deps, known, snapshots, call))) {
    deps.wake('replenish')
    known = await deps.images.list()
  }
  if (deps.settings.imagesSource !== 'os_table' && known.some(isGone)) {
    await replaceGone(deps, found)
    known = await deps.images.list()
  }
  const newer = found.filter(image => {
    const current = known.find(knownImage => samePool(knownImage, image))
    return current && !isCurrent(image.snapshotId, current) && compareVersions(image.version, current.version) >= 0
  })
  await deps.pools.noteNewer(newer)
}

/** What has happened since the last run, and how much stock there is. */
async function writeHistory(deps: Deps): Promise<void> {
  const now = deps.clock.now()
  await deps.history.record(now)
  await deps.history.noteLevels(planReplenishment(await readStock(deps)), now)
}

const DAY_MS = 86_400_000

/** Old records, in batches, so that no statement is long. */
async function forgetOld(deps: Deps): Promise<void> {
  const now = deps.clock.now()
  const before = new Date(now.getTime() - deps.settings.keepDays * DAY_MS)
  while ((await deps.claims.prune(before)) > 0);
  while ((await deps.history.prune(before)) > 0);
  while ((await deps.history.forgetRefusals(refusedBefore(deps))) > 0);
  await deps.history.thin(now)
}
