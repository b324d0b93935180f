import { ByPool } from '../pool/by-pool.ts'
import { CloudError, PoolError } from '../pool/errors.ts'
import { type Candidate, chooseSnapshots, ENCRYPTED, type IgnoredSnapshot, type Image } from '../pool/image.ts'
import type { Call, Project } from '../pool/ports.ts'
import { type PoolName, samePool } from '../pool/spare.ts'
import { cannotMove } from '../pool/verdict.ts'
import { concurrently } from './concurrently.ts'
import type { Deps } from './deps.ts'
import { concernsAll } from './tolerant.ts'

export interface ImagesInCinder {
  readonly images: readonly Image[]
  readonly ignored: readonly IgnoredSnapshot[]
  /** Those of which Cinder would not tell this time: nothing is known of them. */
  readonly unread: readonly Unread[]
  /** What would be an image, but for that. */
  readonly refused: readonly RefusedImage[]
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
  const pool = await deps.cloud.pool(call)
  const { candidates, ignored } = chooseSnapshots(await pool.snapshots.list(call), deps.settings.snapshotName)
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
  return { images: images.toSorted(byName), ignored: [...ignored, ...refused], unread, refused }
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
  const found = await readImages(deps, call)
  await deps.images.add(found.images)
  const image = await deps.images.find(pool)
  if (image) return image
  const refused = found.refused.find(one => samePool(one, pool))
  if (refused)
    throw new PoolError('image_not_found', `No image for os "${pool.os}" on type "${pool.type}": ${refused.why}.`)
  const unread = found.unread.find(one => samePool(one, pool))
  if (unread) throw unread.error
  return undefined
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
  else await deps.images.add(after.slice(images.length))
  return { isChanged: true, refused }
}

/** What table `os` will hold then: the same list where nothing changes, added ones last where only those come in. */
export async function imagesAfterRefresh(
  deps: Deps,
  images: readonly Image[],
  call: Call
): Promise<{ readonly after: readonly Image[]; readonly refused: readonly RefusedImage[] }> {
  const { imagesSource, targets } = deps.settings
  const unchanged = { after: images, refused: [] }
  if (imagesSource === 'os_table') return unchanged
  const known = new ByPool(images)
  const complete = targets.every(target => known.one(target))
  if (imagesSource === 'os_table_then_cinder' && complete) return unchanged
  const read = await readImages(deps, call)
  const { refused } = read
  return { after: afterRead(imagesSource, images, read), refused }
}

function afterRead(
  source: 'cinder' | 'os_table_then_cinder',
  images: readonly Image[],
  { images: read, unread }: ImagesInCinder
): readonly Image[] {
  const known = new ByPool(images)
  // Of what Cinder would not tell, the image stays that is known.
  const found = [...read, ...unread.flatMap(one => known.one(one) ?? [])]
  if (source === 'os_table_then_cinder') {
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
