import { ByPool } from '../pool/by-pool.ts'
import {
  type Candidate,
  chooseSnapshots,
  type IgnoredSnapshot,
  type Image,
  isGone,
  isGoneSnapshot,
  snapshotIdsOf
} from '../pool/image.ts'
import type { Call, Project, Snapshot } from '../pool/ports.ts'
import { type PoolName, samePool } from '../pool/spare.ts'
import { concurrently } from './concurrently.ts'
import type { Deps } from './deps.ts'

export interface ImagesInCinder {
  readonly images: readonly Image[]
  readonly ignored: readonly IgnoredSnapshot[]
  /** All of the project, whatever their status. */
  readonly snapshots: readonly Snapshot[]
}

/** What reading images takes. */
export type Reader = Pick<Deps, 'cloud' | 'settings' | 'clock' | 'newId'>

/** Reads all snapshots of the pool's project and makes images of those that the naming rule chooses. */
export async function readImages(deps: Reader, call: Call): Promise<ImagesInCinder> {
  const pool = await deps.cloud.pool(call)
  const snapshots = await pool.snapshots.list(call)
  const { candidates, ignored } = chooseSnapshots(snapshots, deps.settings.snapshotName)
  const images: Image[] = []
  const alsoIgnored: IgnoredSnapshot[] = []
  await concurrently(candidates, 8, async candidate => {
    const image = await toImage(deps, pool, candidate, call)
    if (image) images.push(image)
    else alsoIgnored.push(ignoredFor(candidate, 'its source volume cannot be read, so its volume type is unknown'))
  })
  return { images: images.toSorted(byName), ignored: [...ignored, ...alsoIgnored], snapshots }
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
    goneSnapshotIds: [],
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
 * changes from then on only by a sync (or, with source `cinder`, by the next replenish tick), or when its snapshot is gone.
 */
export async function findImage(deps: Deps, pool: PoolName, call: Call, found?: Image): Promise<Image | undefined> {
  const known = found ?? (await deps.images.find(pool))
  if ((known && !isGone(known)) || deps.settings.imagesSource === 'os_table') return known
  const { images } = await readImages(deps, call)
  await deps.images.add(images)
  await replaceGone(
    deps,
    images.filter(image => samePool(image, pool))
  )
  return await deps.images.find(pool)
}

/** Takes these in place of those that nothing can be made from any more; what they were made from is stale then. */
export async function replaceGone(deps: Deps, found: readonly Image[]): Promise<void> {
  const retired = await deps.images.replaceGone(found, deps.clock.now())
  if (retired > 0)
    deps.log.warn({ count: retired }, 'stale spares retired: their image was gone, and another took its place')
}

/** Before stock is planned: follows Cinder where it is the source, and looks there for images that a pool misses. */
export async function refreshImages(deps: Deps, images: readonly Image[], call: Call): Promise<boolean> {
  const after = await imagesAfterRefresh(deps, images, call)
  if (after === images) return false
  if (deps.settings.imagesSource === 'cinder') await deps.images.replace(after, 'stale', deps.clock.now())
  else {
    const news = after.filter(image => !images.includes(image))
    await deps.images.add(news)
    await replaceGone(deps, news)
  }
  return true
}

/** What table `os` will hold then: the same list where nothing changes. */
export async function imagesAfterRefresh(deps: Deps, images: readonly Image[], call: Call): Promise<readonly Image[]> {
  const { imagesSource, targets } = deps.settings
  if (imagesSource === 'os_table') return images
  const usable = new ByPool(images.filter(image => !isGone(image)))
  if (imagesSource === 'os_table_then_cinder' && targets.every(target => usable.one(target))) return images
  const inCinder = await readImages(deps, call)
  const found = inCinder.images
  if (imagesSource === 'os_table_then_cinder') {
    const news = found.filter(image => !usable.one(image))
    return news.length > 0
      ? [...images.filter(image => !new ByPool(news).one(image)), ...keepIds(news, images)]
      : images
  }
  if (found.length === 0) return images // More likely a fault of rights than a cloud without images.
  const after = [...keepIds(found, images), ...withoutSuccessor(images, inCinder)]
  const known = new ByPool(images)
  return after.length === images.length && after.every(image => known.one(image) === image) ? images : after
}

/** Their snapshots were deleted, and none has come in their place: what was made of them before is served still. */
const withoutSuccessor = (images: readonly Image[], { images: found, snapshots }: ImagesInCinder): Image[] => {
  const inCinder = new Map(snapshots.map(snapshot => [snapshot.id, snapshot]))
  const successors = new ByPool(found)
  return images
    .filter(image => !successors.one(image) && snapshotIdsOf(image).every(id => isGoneSnapshot(inCinder.get(id))))
    .map(image => (isGone(image) ? image : { ...image, goneSnapshotIds: snapshotIdsOf(image) }))
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
    if (!sameContent(before, image)) return { ...image, id: before.id, createdAt: before.createdAt }
    return before.goneSnapshotIds.length === 0 ? before : { ...before, goneSnapshotIds: [] } // There they are.
  })
}
