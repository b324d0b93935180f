import { ByPool } from '../../pool/by-pool.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import {
  type Candidate,
  chooseSnapshots,
  ENCRYPTED,
  type IgnoredSnapshot,
  type Image,
  isGone,
  isGoneSnapshot,
  snapshotIdsOf
} from '../../pool/image.ts'
import type { Call, Project, Snapshot } from '../../pool/ports.ts'
import { type PoolName, samePool } from '../../pool/spare.ts'
import { cannotMove } from '../../pool/verdict.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { concernsAll } from '../tolerant.ts'

export interface ImagesInCinder {
  readonly images: readonly Image[]
  readonly ignored: readonly IgnoredSnapshot[]
  /** Those of which Cinder would not tell this time: nothing is known of them. */
  readonly unread: readonly Unread[]
  /** What would be an image, but for that. */
  readonly refused: readonly RefusedImage[]
  /** All of the project, whatever their status. */
  readonly snapshots: readonly Snapshot[]
}

export interface RefusedImage extends PoolName {
  readonly why: string
}

export interface Unread extends PoolName {
  readonly error: CloudError
}

/** What reading images takes. */
export type Reader = Pick<Deps, 'cloud' | 'settings' | 'clock' | 'newId'>

/** Reads all snapshots of the pool's project and makes images of those that the naming rule chooses. */
export async function readImages(deps: Reader, call: Call): Promise<ImagesInCinder> {
  const pool = await deps.cloud.poolProject(call)
  const snapshots = await pool.snapshots.list(call)
  const { candidates, ignored } = chooseSnapshots(snapshots, deps.settings.snapshotName)
  const images: Image[] = []
  const refused: (RefusedImage & IgnoredSnapshot)[] = []
  const unread: Unread[] = []
  await concurrently(candidates, 8, async candidate => {
    const image = await toImage(deps, pool, candidate, call).catch((error: unknown) => {
      if (!(error instanceof CloudError) || concernsAll(call, error)) throw error
      return error
    })
    const { os, type, snapshot } = candidate
    if (image instanceof CloudError) unread.push({ os, type, error: image })
    else if (typeof image !== 'string') images.push(image)
    else {
      const { id: snapshotId, name } = snapshot
      refused.push({ os, type, snapshotId, name, reason: image, why: `snapshot ${name} is not used: ${image}` })
    }
  })
  return { images: images.toSorted(byName), ignored: [...ignored, ...refused], unread, refused, snapshots }
}

/** The same, where none may be missing. */
export async function readAllImages(deps: Reader, call: Call): Promise<ImagesInCinder> {
  const found = await readImages(deps, call)
  const [unread] = found.unread
  if (unread) throw unread.error
  return found
}

const byName = (a: PoolName, b: PoolName): number => a.os.localeCompare(b.os) || a.type.localeCompare(b.type)

/**
 * A snapshot does not tell its volume type; its source volume does, and cannot go while the snapshot is there. A text: why it
 * is no image.
 */
async function toImage(deps: Reader, pool: Project, candidate: Candidate, call: Call): Promise<Image | string> {
  const { os, type, version, snapshot } = candidate
  const source = await pool.volumes.find(snapshot.volumeId, call)
  if (!source) return 'its source volume cannot be read, so its volume type is unknown'
  if (cannotMove(source, deps.settings.handover)) return ENCRYPTED
  const replicas: string[] = []
  for (const replica of candidate.replicas) {
    const itsSource = replica.volumeId === source.id ? source : await pool.volumes.find(replica.volumeId, call)
    const isAlike = itsSource?.volumeType === source.volumeType && itsSource.encrypted === source.encrypted
    if (isAlike) replicas.push(replica.id)
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
export async function findImage(deps: Deps, pool: PoolName, call: Call, seen?: Image): Promise<Image | undefined> {
  const known = seen ?? (await deps.images.find(pool))
  if ((known && !isGone(known)) || deps.settings.imagesSource === 'os_table') return known
  const found = await readImages(deps, call)
  await deps.images.add(found.images)
  await replaceGone(
    deps,
    found.images.filter(image => samePool(image, pool))
  )
  const image = await deps.images.find(pool)
  if (image) return image
  const refused = found.refused.find(one => samePool(one, pool))
  if (refused)
    throw new PoolError('image_not_found', `No image for os "${pool.os}" on type "${pool.type}": ${refused.why}.`)
  const unread = found.unread.find(one => samePool(one, pool))
  if (unread) throw unread.error
  return undefined
}

/** Takes these in place of those that nothing can be made from any more; what they were made from is stale then. */
export async function replaceGone(deps: Deps, found: readonly Image[]): Promise<void> {
  const retired = await deps.images.replaceGone(found, deps.clock.now())
  if (retired > 0)
    deps.log.warn({ count: retired }, 'stale spares retired: their image was gone, and another took its place')
}

/** Before stock is planned: follows Cinder where it is the source, and looks there for images that a pool misses. */
export async function refreshImages(
  deps: Deps,
  images: readonly Image[],
  call: Call
): Promise<{ readonly isChanged: boolean; readonly refused: readonly RefusedImage[] }> {
  const { after, refused } = await imagesAfterRefresh(deps, images, call)
  if (after === images) return { isChanged: false, refused }
  if (deps.settings.imagesSource === 'cinder') await deps.images.replace(after, 'stale', deps.clock.now())
  else {
    const news = after.filter(image => !images.includes(image))
    await deps.images.add(news)
    await replaceGone(deps, news)
  }
  return { isChanged: true, refused }
}

/** What table `os` will hold then: the same list where nothing changes. */
export async function imagesAfterRefresh(
  deps: Deps,
  images: readonly Image[],
  call: Call
): Promise<{ readonly after: readonly Image[]; readonly refused: readonly RefusedImage[] }> {
  const { imagesSource, targets } = deps.settings
  const unchanged = { after: images, refused: [] }
  if (imagesSource === 'os_table') return unchanged
  const usable = new ByPool(images.filter(image => !isGone(image)))
  if (imagesSource === 'os_table_then_cinder' && targets.every(target => usable.one(target))) return unchanged
  const inCinder = await readImages(deps, call)
  const { refused } = inCinder
  return { after: afterRead(imagesSource, images, inCinder), refused }
}

function afterRead(
  source: 'cinder' | 'os_table_then_cinder',
  images: readonly Image[],
  inCinder: ImagesInCinder
): readonly Image[] {
  const known = new ByPool(images)
  if (source === 'os_table_then_cinder') {
    const usable = new ByPool(images.filter(image => !isGone(image)))
    const news = inCinder.images.filter(image => !usable.one(image))
    const newsOf = new ByPool(news)
    return news.length > 0 ? [...images.filter(image => !newsOf.one(image)), ...keepIds(news, images)] : images
  }
  // Of what Cinder would not tell, the image stays that is known.
  const found = [...inCinder.images, ...inCinder.unread.flatMap(one => known.one(one) ?? [])]
  if (found.length === 0) return images // More likely a fault of rights than a cloud without images.
  const after = [...keepIds(found, images), ...withoutSuccessor(images, { ...inCinder, images: found })]
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
