import { CloudError, PoolError } from '../../pool/errors.ts'
import {
  type Candidate,
  chooseSnapshots,
  ENCRYPTED,
  type IgnoredSnapshot,
  type Image,
  isGone
} from '../../pool/image.ts'
import type { Call, Project, Snapshot } from '../../pool/ports.ts'
import { byPoolName, type PoolName, samePool } from '../../pool/spare.ts'
import { cannotMove } from '../../pool/verdict.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { concernsAll } from '../tolerant.ts'

export interface ImagesInCinder {
  readonly images: readonly Image[]
  /** All other snapshots, with the refused ones. */
  readonly ignored: readonly IgnoredSnapshot[]
  readonly refused: readonly RefusedImage[]
  /** Images that Cinder failed to tell about this time. */
  readonly unread: readonly (PoolName & { readonly error: CloudError })[]
  /** All of the project, whatever their status. */
  readonly snapshots: readonly Snapshot[]
}

/** A snapshot that the naming rule chooses, and that no disk can be made from. */
export interface RefusedImage extends PoolName, IgnoredSnapshot {}

export function whyRefused(refused: readonly RefusedImage[], pool: PoolName): string | undefined {
  const snapshot = refused.find(image => samePool(image, pool))
  return snapshot && `snapshot ${snapshot.name} is not used: ${snapshot.reason}`
}

/** What reading images takes. */
export type Reader = Pick<Deps, 'cloud' | 'settings' | 'clock' | 'newId'>

/** Reads all snapshots of the pool's project, and makes images of those that the naming rule chooses. */
export async function readImages(deps: Reader, call: Call): Promise<ImagesInCinder> {
  const poolProject = await deps.cloud.poolProject(call)
  const snapshots = await poolProject.snapshots.list(call)
  const { candidates, ignored } = chooseSnapshots(snapshots, deps.settings.snapshotName)
  const images: Image[] = []
  const refused: RefusedImage[] = []
  const unread: (PoolName & { error: CloudError })[] = []
  await concurrently(candidates, 8, async candidate => {
    const { os, type, snapshot } = candidate
    try {
      const image = await toImage(deps, poolProject, candidate, call)
      if (typeof image !== 'string') images.push(image)
      else refused.push({ os, type, snapshotId: snapshot.id, name: snapshot.name, reason: image })
    } catch (error) {
      if (!(error instanceof CloudError) || concernsAll(call, error)) throw error
      unread.push({ os, type, error })
    }
  })
  return { images: images.toSorted(byPoolName), ignored: [...ignored, ...refused], refused, unread, snapshots }
}

/** The same, but no image may be unread. */
export async function readAllImages(deps: Reader, call: Call): Promise<ImagesInCinder> {
  const found = await readImages(deps, call)
  const [unread] = found.unread
  if (unread) throw unread.error
  return found
}

/**
 * The image, or why it is none. A snapshot does not tell its volume type. Its source volume does, and cannot go while the
 * snapshot is there.
 */
async function toImage(deps: Reader, project: Project, candidate: Candidate, call: Call): Promise<Image | string> {
  const { os, type, version, snapshot } = candidate
  const source = await project.volumes.find(snapshot.volumeId, call)
  if (!source) return 'its source volume cannot be read, so its volume type is unknown'
  if (cannotMove(source, deps.settings.handover)) return ENCRYPTED
  const replicaSnapshotIds: string[] = []
  for (const { id, volumeId } of candidate.replicas) {
    const other = volumeId === source.id ? source : await project.volumes.find(volumeId, call)
    const isAlike = other?.volumeType === source.volumeType && other.encrypted === source.encrypted
    if (isAlike) replicaSnapshotIds.push(id)
  }
  const at = deps.clock.now()
  return {
    id: deps.newId(),
    os,
    type,
    snapshotId: snapshot.id,
    replicaSnapshotIds,
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
 * The image of a pool, by `images.source`. If table `os` lacks it and Cinder has it, it is added to the table. From then on it
 * changes only by a sync, with source `cinder` by the next replenish, or when its snapshot is gone.
 */
export async function findImage(deps: Deps, pool: PoolName, call: Call, seen?: Image): Promise<Image | undefined> {
  const known = seen ?? (await deps.images.find(pool))
  if ((known && !isGone(known)) || deps.settings.imagesSource === 'os_table') return known
  const { images, refused, unread } = await readImages(deps, call)
  await deps.images.add(images)
  await replaceGone(
    deps,
    images.filter(image => samePool(image, pool))
  )
  const image = await deps.images.find(pool)
  if (image) return image
  const why = whyRefused(refused, pool)
  if (why) throw new PoolError('image_not_found', `No image for os "${pool.os}" on type "${pool.type}": ${why}.`)
  const failed = unread.find(unreadImage => samePool(unreadImage, pool))
  if (failed) throw failed.error
  return undefined
}

/** Puts these in place of images that are gone, and retires the spares of those. */
export async function replaceGone(deps: Deps, images: readonly Image[]): Promise<void> {
  const count = await deps.images.replaceGone(images, deps.clock.now())
  if (count > 0) deps.log.warn({ count }, 'stale spares retired: their image was gone, and another took its place')
}
