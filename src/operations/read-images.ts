import { ByPool } from '../pool/by-pool.ts'
import { type Candidate, chooseSnapshots, type IgnoredSnapshot, type Image } from '../pool/image.ts'
import type { Call, Project } from '../pool/ports.ts'
import { type PoolName, samePool } from '../pool/spare.ts'
import { concurrently } from './concurrently.ts'
import type { Deps } from './deps.ts'

export interface ImagesInCinder {
  readonly images: readonly Image[]
  readonly ignored: readonly IgnoredSnapshot[]
}

/** What reading images takes. */
export type Reader = Pick<Deps, 'cloud' | 'settings' | 'clock' | 'newId'>

/** Reads all snapshots of the pool's project and makes images of those that the naming rule chooses. */
export async function readImages(deps: Reader, call: Call): Promise<ImagesInCinder> {
  const pool = await deps.cloud.pool(call)
  const { candidates, ignored } = chooseSnapshots(await pool.snapshots.list(call), deps.settings.snapshotName)
  const images: Image[] = []
  const alsoIgnored: IgnoredSnapshot[] = []
  await concurrently(candidates, 8, async candidate => {
    const image = await toImage(deps, pool, candidate, call)
    if (image) images.push(image)
    else alsoIgnored.push(ignoredFor(candidate, 'its source volume cannot be read, so its volume type is unknown'))
  })
  return { images: images.toSorted(byName), ignored: [...ignored, ...alsoIgnored] }
}

const byName = (a: PoolName, b: PoolName): number => a.os.localeCompare(b.os) || a.type.localeCompare(b.type)

const ignoredFor = ({ snapshot }: Candidate, reason: string): IgnoredSnapshot => ({
  snapshotId: snapshot.id,
  name: snapshot.name,
  reason
})

/** A snapshot does not tell its volume type; its source volume does, and cannot go while the snapshot is there. */
async function toImage(deps: Reader, pool: Project, candidate: Candidate, call: Call): Promise<Image | undefined> {
  const { os, type, version, snapshot } = candidate
  const source = await pool.volumes.find(snapshot.volumeId, call)
  if (!source) return undefined
  const replicas: string[] = []
  for (const replica of candidate.replicas) {
    const itsSource = replica.volumeId === source.id ? source : await pool.volumes.find(replica.volumeId, call)
    if (itsSource?.volumeType === source.volumeType) replicas.push(replica.id)
  }
  const at = deps.clock.now()
  return {
    id: deps.newId(),
    os,
    type,
    snapshotId: snapshot.id,
    replicaSnapshotIds: replicas,
    volumeId: source.id,
    volumeType: source.volumeType,
    sizeGib: snapshot.sizeGib,
    version,
    createdAt: at,
    updatedAt: at
  }
}

/**
 * The image of a pool, by `images.source`. What Cinder has and table `os` does not is added to the table, so that it
 * changes from then on only by a sync (or, with source `cinder`, by the next replenish tick).
 */
export async function findImage(deps: Deps, pool: PoolName, call: Call): Promise<Image | undefined> {
  const known = await deps.images.find(pool)
  if (known || deps.settings.imagesSource === 'os_table') return known
  await deps.images.add((await readImages(deps, call)).images)
  return await deps.images.find(pool)
}

/** Before stock is planned: follows Cinder where it is the source, and looks there for images that a pool misses. */
export async function refreshImages(deps: Deps, images: readonly Image[], call: Call): Promise<boolean> {
  const after = await imagesAfterRefresh(deps, images, call)
  if (after === images) return false
  if (deps.settings.imagesSource === 'cinder') await deps.images.replace(after, 'stale', deps.clock.now())
  else await deps.images.add(after.slice(images.length))
  return true
}

/** What table `os` will hold then: the same list where nothing changes, added ones last where only those come in. */
export async function imagesAfterRefresh(deps: Deps, images: readonly Image[], call: Call): Promise<readonly Image[]> {
  const { imagesSource, targets } = deps.settings
  if (imagesSource === 'os_table') return images
  const known = new ByPool(images)
  const complete = targets.every(target => known.one(target))
  if (imagesSource === 'os_table_then_cinder' && complete) return images
  const found = (await readImages(deps, call)).images
  if (imagesSource === 'os_table_then_cinder') {
    const missing = found.filter(image => !known.one(image))
    return missing.length > 0 ? [...images, ...missing] : images
  }
  if (found.length === 0) return images // More likely a fault of rights than a cloud without images.
  const unchanged = found.every(image => known.all(image).some(one => sameContent(one, image)))
  return unchanged && found.length === images.length ? images : keepIds(found, images)
}

/** The same disks come of both. */
export const sameContent = (a: Image, b: Image): boolean =>
  samePool(a, b) &&
  a.snapshotId === b.snapshotId &&
  a.version === b.version &&
  a.volumeType === b.volumeType &&
  a.sizeGib === b.sizeGib &&
  a.replicaSnapshotIds.join() === b.replicaSnapshotIds.join()

/** An image that was known before keeps its id and the time it was added; one that is the same, that of its change too. */
export function keepIds(found: readonly Image[], known: readonly Image[]): Image[] {
  const knownOf = new ByPool(known)
  return found.map(image => {
    const before = knownOf.one(image)
    if (!before) return image
    return sameContent(before, image) ? before : { ...image, id: before.id, createdAt: before.createdAt }
  })
}
