import { isCurrent } from '../pool/image.ts'
import type { Call, Project, Volume } from '../pool/ports.ts'
import { countOf, isHeld, isInFlight } from '../pool/replenishment.ts'
import {
  DEPLOYMENT_KEY,
  SPARE_ID_KEY,
  type Spare,
  type SpareStatus,
  samePool,
  spareMetadata,
  spareName
} from '../pool/spare.ts'
import type { StoredStock } from '../pool/stores.ts'
import { arm, arms, disarm } from './arm.ts'
import type { Deps } from './deps.ts'

export interface OrphanResult {
  readonly adopted: number
  readonly removed: number
}

/**
 * Volumes that carry our metadata and that no row knows: of a creation whose row was lost, of a database restored from a
 * backup. What two passes have seen is adopted where it fits its pool, else removed. A volume that is attached, renamed
 * or known to a claim is never touched.
 */
export async function adoptOrphans(
  deps: Deps,
  pool: Project,
  unknown: readonly Volume[],
  call: Call
): Promise<OrphanResult> {
  const orphans: Volume[] = []
  for (const volume of unknown) if (await isOrphan(deps, pool, volume)) orphans.push(volume)
  const seenBefore = await deps.orphans.note(
    orphans.map(({ id }) => id),
    deps.clock.now()
  )
  let [adopted, removed] = [0, 0]
  for (const volume of orphans.filter(({ id }) => seenBefore.includes(id))) {
    const status = (await fits(deps, volume)) ? 'available' : 'retiring'
    if (!(await takeIn(deps, pool, volume, status, call))) continue
    await deps.orphans.forget(volume.id)
    if (status === 'available') adopted += 1
    else removed += 1
  }
  deps.observer.repaired('adopted_orphan', adopted)
  deps.observer.repaired('removed_orphan', removed)
  return { adopted, removed }
}

async function isOrphan(deps: Deps, pool: Project, volume: Volume): Promise<boolean> {
  const { metadata, name, attached, projectId, id } = volume
  const ours = metadata[DEPLOYMENT_KEY] === deps.settings.deployment && projectId === pool.id
  const untouched = !attached && name === spareName(metadata[SPARE_ID_KEY] ?? '')
  return ours && untouched && !(await deps.claims.knowsVolume(id)) && !(await deps.spares.byVolume(id))
}

/** Of a current image, finished, as large as its pool's spares, and wanted there. */
async function fits(deps: Deps, volume: Volume): Promise<boolean> {
  if (volume.status !== 'available' && volume.status !== 'awaiting-transfer') return false
  const stock = await deps.spares.stock()
  const image = imageOf(volume, stock)
  const target = image && deps.settings.targets.find(one => samePool(one, image))
  if (!image || !target || volume.sizeGib !== Math.max(target.sizeGib ?? 0, image.sizeGib)) return false
  const held = stock.holdings.filter(
    holding => samePool(holding, target) && (isInFlight(holding) || isHeld(holding, image))
  )
  return countOf(held) < target.target
}

const imageOf = ({ snapshotId }: Volume, { images }: StoredStock) =>
  images.find(image => snapshotId !== undefined && isCurrent(snapshotId, image))

/** From here on it is a spare like any other, under an id of its own: another row may have the one that it carries. */
async function takeIn(
  deps: Deps,
  pool: Project,
  volume: Volume,
  status: Extract<SpareStatus, 'available' | 'retiring'>,
  call: Call
): Promise<boolean> {
  if (volume.status === 'awaiting-transfer') await disarm(pool, volume.id, call) // Its key is lost.
  const [id, at] = [deps.newId(), deps.clock.now()]
  const image = imageOf(volume, await deps.spares.stock())
  const spare: Spare = {
    id,
    os: image?.os ?? '',
    type: image?.type ?? '',
    snapshotId: volume.snapshotId ?? '',
    imageVersion: image?.version ?? '',
    volumeType: volume.volumeType,
    sizeGib: volume.sizeGib,
    volumeId: volume.id,
    name: spareName(id),
    status,
    kept: false,
    claimId: undefined,
    transfer: undefined,
    createdAt: volume.createdAt,
    updatedAt: at,
    availableAt: at
  }
  await pool.volumes.update(
    volume.id,
    { name: spare.name, metadata: spareMetadata(deps.settings.deployment, id) },
    call
  )
  const transfer = arms(deps) && status === 'available' ? await arm(deps, pool, spare, volume.id, call) : undefined
  const taken = await deps.spares.adopt({ ...spare, transfer })
  if (taken) deps.log.warn({ spare_id: id, volume_id: volume.id, status }, 'volume taken in that no row knew')
  return taken
}
