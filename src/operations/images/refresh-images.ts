import { ByPool } from '../../pool/by-pool.ts'
import { type Image, isGone, isGoneSnapshot, snapshotIdsOf } from '../../pool/image.ts'
import type { Call } from '../../pool/ports.ts'
import { samePool } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'
import { type ImagesInCinder, type RefusedImage, readImages, replaceGone } from './read-images.ts'

/** Before a plan: follows Cinder if it is the source of images, and looks there for images that a pool lacks. */
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

/** What table `os` will hold then: the same list if nothing changes. */
export async function imagesAfterRefresh(
  deps: Deps,
  images: readonly Image[],
  call: Call
): Promise<{ readonly after: readonly Image[]; readonly refused: readonly RefusedImage[] }> {
  const { imagesSource, targets } = deps.settings
  const usable = new ByPool(images.filter(image => !isGone(image)))
  const isComplete = targets.every(target => usable.one(target))
  if (imagesSource === 'os_table' || (imagesSource === 'os_table_then_cinder' && isComplete)) {
    return { after: images, refused: [] }
  }
  const inCinder = await readImages(deps, call)
  const after = imagesSource === 'cinder' ? asInCinder(images, inCinder) : completed(images, usable, inCinder)
  return { after, refused: inCinder.refused }
}

/** Adds the images that are not there, or gone. */
function completed(images: readonly Image[], usable: ByPool<Image>, inCinder: ImagesInCinder): readonly Image[] {
  const news = inCinder.images.filter(image => !usable.one(image))
  if (news.length === 0) return images
  const newsOf = new ByPool(news)
  return [...images.filter(image => !newsOf.one(image)), ...keepIds(news, images)]
}

/**
 * An image that could not be read stays as it is known. One whose snapshots were deleted without a successor stays too, as
 * gone: the spares made from it are still served.
 */
function asInCinder(images: readonly Image[], inCinder: ImagesInCinder): readonly Image[] {
  const known = new ByPool(images)
  const found = [...inCinder.images, ...inCinder.unread.flatMap(pool => known.one(pool) ?? [])]
  if (found.length === 0) return images // More likely a fault of rights than a cloud without images.
  const successors = new ByPool(found)
  const snapshots = new Map(inCinder.snapshots.map(snapshot => [snapshot.id, snapshot]))
  const gone = images
    .filter(image => !successors.one(image) && snapshotIdsOf(image).every(id => isGoneSnapshot(snapshots.get(id))))
    .map(image => (isGone(image) ? image : { ...image, goneSnapshotIds: snapshotIdsOf(image) }))
  const after = [...keepIds(found, images), ...gone]
  return after.length === images.length && after.every(image => known.one(image) === image) ? images : after
}

/** Whether the same disks are made from both. */
export const sameContent = (a: Image, b: Image): boolean =>
  samePool(a, b) &&
  a.snapshotId === b.snapshotId &&
  a.version === b.version &&
  a.volumeType === b.volumeType &&
  a.sizeGib === b.sizeGib &&
  a.replicaSnapshotIds.join() === b.replicaSnapshotIds.join()

/** A known image keeps its id and the time it was added. If it is the same as before, it keeps the time of its change too. */
export function keepIds(found: readonly Image[], known: readonly Image[]): Image[] {
  const knownOf = new ByPool(known)
  return found.map(image => {
    const before = knownOf.one(image)
    if (!before) return image
    if (!sameContent(before, image)) return { ...image, id: before.id, createdAt: before.createdAt }
    return before.goneSnapshotIds.length === 0 ? before : { ...before, goneSnapshotIds: [] } // There they are.
  })
}
