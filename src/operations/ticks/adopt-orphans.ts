import { type Image, isCurrent } from '../../pool/image.ts'
import type { Call, Project, Transfer, Volume } from '../../pool/ports.ts'
import { countOf, isHeld, isInFlight } from '../../pool/replenishment.ts'
import { SPARE_ID_KEY, samePool } from '../../pool/spare.ts'
import type { StoredStock } from '../../pool/stores.ts'
import { cannotMove, isOurs } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { disarm } from '../spare/arm.ts'
import { type TickRun, tolerant } from '../tolerant.ts'

export interface OrphanResult {
  readonly adopted: number
  readonly removed: number
  /** Ids of those that are to be seen once more, or could not be seen to. */
  readonly left: readonly string[]
}

/** A volume that carries our metadata and that no row has. */
export interface Unknown {
  readonly id: string
  readonly volume: Volume
  /** Undefined: it is not as a creation of ours leaves it, or another volume is that spare's. */
  readonly spareId: string | undefined
}

/**
 * Volumes of a creation whose row was lost, or of a database restored from a backup. What an earlier pass has seen as well
 * is adopted where it fits its pool, else removed. What a claim knows, and what is not certainly ours (attached, renamed, with
 * a copy of our metadata), is never touched.
 */
export async function adoptOrphans(deps: Deps, unknown: readonly Unknown[], run: TickRun): Promise<OrphanResult> {
  const orphans: Unknown[] = []
  for (const one of unknown) {
    const isOrphan = await tolerant(deps, run, { volume_id: one.id }, () => isKnownToNobody(deps, one))
    if (isOrphan) orphans.push(one)
  }
  let [adopted, removed] = [0, 0]
  const left = await seeTo(deps, orphans, async ({ volume, spareId }, wasSeen) => {
    if (spareId === undefined) {
      if (!wasSeen) tellLeftAlone(deps, volume)
      return false
    }
    if (!wasSeen) return false
    const status = await tolerant(deps, run, { volume_id: volume.id }, () => takeIn(deps, volume, spareId))
    if (status === 'creating') adopted += 1
    if (status === 'retiring') removed += 1
    return status !== undefined
  })
  deps.observer.repaired('adopted_orphan', adopted)
  deps.observer.repaired('removed_orphan', removed)
  return { adopted, removed, left }
}

/** Transfers that a spare in stock does not know, by its name: they go the same way. */
export async function takeBackStrays(
  deps: Deps,
  pool: Project,
  strays: readonly Transfer[],
  run: TickRun
): Promise<OrphanResult> {
  let removed = 0
  const left = await seeTo(deps, strays, async (transfer, wasSeen) => {
    if (!wasSeen) return false
    const fields = { transfer_id: transfer.id, volume_id: transfer.volumeId }
    const isTaken = await tolerant(deps, run, fields, () => takeBack(deps, pool, transfer, run))
    if (isTaken) removed += 1
    return isTaken === true
  })
  deps.observer.repaired('removed_transfer', removed)
  return { adopted: 0, removed, left }
}

/** One after the other, with whether an earlier pass has seen it; gives the ids of those that stay. */
async function seeTo<T extends { readonly id: string }>(
  deps: Deps,
  orphans: readonly T[],
  work: (orphan: T, wasSeen: boolean) => Promise<boolean>
): Promise<string[]> {
  if (orphans.length === 0) return []
  const seenBefore = await deps.orphans.known(orphans.map(({ id }) => id))
  const left: string[] = []
  for (const orphan of orphans) if (!(await work(orphan, seenBefore.has(orphan.id)))) left.push(orphan.id)
  return left
}

/**
 * Whoever has its key could take the spare. With it goes the one that the spare waits in, since Cinder lets the volume out of
 * both: it is armed anew. False: it is known by now, a claim has the spare, or the volume is no longer ours.
 */
async function takeBack(deps: Deps, pool: Project, { id, volumeId }: Transfer, call: Call): Promise<boolean> {
  const volume = await pool.volumes.find(volumeId, call)
  const spare = await deps.spares.byVolume(volumeId)
  if (!volume || spare?.status !== 'available' || spare.transfer?.id === id) return false
  if (!isOurs(volume, spare.id, deps.settings.deployment, pool.id)) return false
  if (!(await deps.spares.unstock(spare.id, deps.clock.now()))) return false
  await disarm(pool, volumeId, call)
  deps.wake('check_state')
  deps.log.warn({ transfer_id: id, spare_id: spare.id, volume_id: volumeId }, 'transfer taken back that no row knew')
  return true
}

const isKnownToNobody = async (deps: Deps, { id }: Unknown): Promise<boolean> =>
  !(await deps.claims.knowsVolume(id)) && !(await deps.spares.byVolume(id))

/** Said once. It stays among the orphans, where an operator sees it. */
function tellLeftAlone({ log }: Deps, { id, name, metadata, sizeGib, attached }: Volume): void {
  const fields = { volume_id: id, name, spare_id: metadata[SPARE_ID_KEY], size: sizeGib, attached }
  log.warn(fields, 'volume left alone that carries our metadata and is not certainly ours')
}

/** Of a current image, finished, as large as its pool's spares, and wanted there. */
function fits(deps: Deps, volume: Volume, stock: StoredStock, image: Image | undefined): boolean {
  if (volume.status !== 'available' && volume.status !== 'awaiting-transfer') return false
  if (cannotMove(volume, deps.settings.handover)) return false
  const target = image && deps.settings.targets.find(one => samePool(one, image))
  if (!image || !target || volume.volumeType !== image.volumeType) return false
  if (volume.sizeGib !== Math.max(target.sizeGib ?? 0, image.sizeGib)) return false
  const held = stock.holdings.filter(
    holding => samePool(holding, target) && (isInFlight(holding) || isHeld(holding, image))
  )
  return countOf(held) < target.target
}

/**
 * The row comes first, and it is unique: of two replicas that see the same volume one takes it in. As `creating` it goes
 * the way of a volume just made, and check_state arms it. Undefined: another replica has just taken it in, or it is a copy of
 * the spare that has its id.
 */
async function takeIn(deps: Deps, volume: Volume, spareId: string): Promise<'creating' | 'retiring' | undefined> {
  const stock = await deps.spares.stock()
  const image = stock.images.find(one => volume.snapshotId !== undefined && isCurrent(volume.snapshotId, one))
  const status = fits(deps, volume, stock, image) ? 'creating' : 'retiring'
  const at = deps.clock.now()
  const taken = await deps.spares.adopt({
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
    createdAt: at, // Its lead time is nothing to go by: this is when it became ours again.
    updatedAt: at,
    availableAt: undefined
  })
  if (!taken) {
    if (!(await deps.spares.byVolume(volume.id))) tellLeftAlone(deps, volume)
    return undefined
  }
  deps.log.warn({ volume_id: volume.id, status }, 'volume taken in that no row knew')
  return status
}
