import { type Image, isCurrent } from '../../pool/image.ts'
import type { Project, Transfer, Volume } from '../../pool/ports.ts'
import { countOf, isHeld, isInFlight, type StoredStock } from '../../pool/replenishment.ts'
import { SPARE_ID_KEY, samePool } from '../../pool/spare.ts'
import { cannotMove, isOurs } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { disarm } from '../spare/arm.ts'
import { idsOf, type TickRun, tolerant } from '../tolerant.ts'

/** One pass over the stock, and what it has done so far. */
export interface Review {
  readonly poolProject: Project
  readonly run: TickRun
  /** Ids of volumes and transfers that no row knows after this pass either. */
  readonly orphans: string[]
  adopted: number
  /** Volumes and transfers that no row knew. */
  removed: number
  /** Spares whose volume is gone or unfit. */
  dropped: number
}

/** A volume with our mark that no row has. */
export interface Unknown {
  readonly volume: Volume
  /** Undefined: it is not as our creations leave a volume, or that spare has another volume. */
  readonly spareId: string | undefined
}

/**
 * Volumes whose row was lost with a creation, or with a restored backup of the database. On the second pass that sees one, it is
 * adopted if it fits its pool, else removed. Not touched: what a claim knows, and what is not certainly ours (attached, renamed,
 * with a copy of our metadata).
 */
export async function adoptOrphans(deps: Deps, review: Review, unknown: readonly Unknown[]): Promise<void> {
  const { run, orphans } = review
  const found: Unknown[] = []
  for (const item of unknown) {
    const { id } = item.volume
    const work = async () => !(await deps.claims.knowsVolume(id)) && !(await deps.spares.byVolume(id))
    const isOrphan = await tolerant(deps, run, { volume_id: id }, work)
    if (isOrphan) found.push(item)
  }
  const seenBefore = await known(
    deps,
    found.map(({ volume }) => volume)
  )
  for (const { volume, spareId } of found) {
    const wasSeen = seenBefore.has(volume.id)
    if (spareId === undefined && !wasSeen) tellLeftAlone(deps, volume)
    const work = async (): Promise<boolean> => spareId !== undefined && (await takeIn(deps, review, volume, spareId))
    const isTaken = wasSeen && (await tolerant(deps, run, { volume_id: volume.id }, work))
    if (!isTaken) orphans.push(volume.id)
  }
}

/** Transfers that their spare in stock does not know, though they have its name: removed on the second pass that sees them. */
export async function takeBackStrays(deps: Deps, review: Review, strays: readonly Transfer[]): Promise<void> {
  const seenBefore = await known(deps, strays)
  for (const transfer of strays) {
    const fields = { transfer_id: transfer.id, volume_id: transfer.volumeId }
    const work = () => takeBack(deps, review, transfer)
    const isGone = seenBefore.has(transfer.id) && (await tolerant(deps, review.run, fields, work))
    if (!isGone) review.orphans.push(transfer.id)
  }
}

/** Those that an earlier pass has seen. */
async function known(deps: Deps, found: readonly { readonly id: string }[]): Promise<ReadonlySet<string>> {
  return found.length === 0 ? new Set() : await deps.orphans.known(found.map(({ id }) => id))
}

/**
 * Whoever has its key could take the spare. The transfer that the spare waits in goes with it, since Cinder lets the volume out
 * of both; the spare is armed again. False: it is known by now, a claim has the spare, or the volume is no longer ours.
 */
async function takeBack(deps: Deps, review: Review, { id, volumeId }: Transfer): Promise<boolean> {
  const { poolProject, run } = review
  const volume = await poolProject.volumes.find(volumeId, run)
  const spare = await deps.spares.byVolume(volumeId)
  if (!volume || spare?.status !== 'available' || spare.transfer?.id === id) return false
  if (!isOurs(volume, spare.id, deps.settings.deployment, poolProject.id)) return false
  if (!(await deps.spares.unstock(spare.id, deps.clock.now()))) return false
  await disarm(poolProject, volumeId, run)
  deps.wake('check_state')
  deps.log.warn({ transfer_id: id, ...idsOf(spare) }, 'transfer taken back that no row knew')
  deps.observer.repaired('removed_transfer', 1)
  review.removed += 1
  return true
}

/** Said once. It stays among the orphans, where an operator sees it. */
function tellLeftAlone({ log }: Deps, { id, name, metadata, sizeGib, attached }: Volume): void {
  const fields = { volume_id: id, name, spare_id: metadata[SPARE_ID_KEY], size: sizeGib, attached }
  log.warn(fields, 'volume left alone that carries our metadata and is not certainly ours')
}

/**
 * The row comes first. It is unique, so of two replicas that see the same volume one takes it in. If it fits, it goes on as a
 * volume just made, and check_state arms it. False: another replica has taken it in, or it is a copy of that spare's volume.
 */
async function takeIn(deps: Deps, review: Review, volume: Volume, spareId: string): Promise<boolean> {
  const stock = await deps.spares.stock()
  const image = stock.images.find(candidate => isCurrent(volume.snapshotId ?? '', candidate))
  const status = fits(deps, volume, stock, image) ? 'creating' : 'retiring'
  const at = deps.clock.now()
  const isTaken = await deps.spares.adopt({
    id: spareId,
    os: image?.os ?? '',
    type: image?.type ?? '',
    snapshotId: volume.snapshotId ?? '',
    imageVersion: image?.version ?? '',
    volumeType: volume.volumeType,
    sizeGib: volume.sizeGib,
    volumeId: volume.id,
    name: volume.name,
    status,
    kept: false,
    claimId: undefined,
    transfer: undefined,
    createdAt: at, // Not when it was made: it has no lead time that says anything.
    updatedAt: at,
    availableAt: undefined,
    armingUntil: undefined
  })
  if (!isTaken) {
    if (!(await deps.spares.byVolume(volume.id))) tellLeftAlone(deps, volume)
    return false
  }
  deps.log.warn({ volume_id: volume.id, status }, 'volume taken in that no row knew')
  review[status === 'creating' ? 'adopted' : 'removed'] += 1
  deps.observer.repaired(status === 'creating' ? 'adopted_orphan' : 'removed_orphan', 1)
  return true
}

/** Whether it is finished, of a current image, as large as its pool's spares, and its pool has room for it. */
function fits({ settings }: Deps, volume: Volume, stock: StoredStock, image: Image | undefined): boolean {
  if (volume.status !== 'available' && volume.status !== 'awaiting-transfer') return false
  if (cannotMove(volume, settings.handover)) return false
  const target = image && settings.targets.find(pool => samePool(pool, image))
  if (!image || !target || volume.volumeType !== image.volumeType) return false
  if (volume.sizeGib !== Math.max(target.sizeGib ?? 0, image.sizeGib)) return false
  const ours = stock.holdings.filter(holding => samePool(holding, target))
  return countOf(ours.filter(holding => isInFlight(holding) || isHeld(holding, image))) < target.target
}
