import { ByPool } from '../../pool/by-pool.ts'
import { PoolError } from '../../pool/errors.ts'
import { type IgnoredSnapshot, type Image, isCurrent } from '../../pool/image.ts'
import type { Call } from '../../pool/ports.ts'
import { countOf } from '../../pool/replenishment.ts'
import type { Purge } from '../../pool/stores.ts'
import type { Deps } from '../deps.ts'
import { type ImagesInCinder, readAllImages } from './read-images.ts'
import { keepIds, sameContent } from './refresh-images.ts'

export interface SyncRequest {
  readonly purge: Purge
  readonly dryRun: boolean
  /** Go on even if no snapshot matches: table `os` is emptied. */
  readonly allowEmpty: boolean
}

export type ImageChange = 'added' | 'changed' | 'unchanged' | 'removed'

export interface SyncResult {
  readonly images: readonly { readonly image: Image; readonly change: ImageChange }[]
  readonly ignored: readonly IgnoredSnapshot[]
  readonly retired: number
  readonly dryRun: boolean
}

/** Longer than any sync takes. After it, a sync that died no longer stands in the way. */
const LEASE_SECONDS = 300

/** Reads the snapshots again, rebuilds table `os`, and retires what `purge` says. If Cinder cannot be read, nothing changes. */
export async function syncImages(deps: Deps, request: SyncRequest, call: Call): Promise<SyncResult> {
  if (request.dryRun) return await sync(deps, request, call)
  const [holder, startedAt, startedMs] = [deps.newId(), deps.clock.now(), deps.clock.monotonicMs()]
  const until = new Date(startedAt.getTime() + LEASE_SECONDS * 1000)
  if (!(await deps.ticks.take('sync', holder, until, startedAt))) {
    const message = 'Another sync is running: wait until it has ended, then repeat this one.'
    throw new PoolError('sync_in_progress', message, { retryAfterSeconds: 5 })
  }
  let error: string | undefined
  try {
    return await sync(deps, request, call)
  } catch (failure) {
    error = failure instanceof Error ? failure.message : String(failure)
    throw failure
  } finally {
    const endedAt = new Date(startedAt.getTime() + deps.clock.monotonicMs() - startedMs)
    await deps.ticks.finish('sync', holder, { startedAt, endedAt, error })
  }
}

async function sync(deps: Deps, request: SyncRequest, call: Call): Promise<SyncResult> {
  const found = await readAllImages(deps, call)
  if (found.images.length === 0 && !request.allowEmpty) throw noImages(found)
  const before = await deps.images.list()
  const images = keepIds(found.images, before)
  const result = { images: changes(before, images), ignored: found.ignored, dryRun: request.dryRun }
  if (request.dryRun) return { ...result, retired: await countRetired(deps, images, request.purge) }
  const retired = await deps.images.replace(images, request.purge, deps.clock.now())
  deps.log.info({ images: images.length, retired, purge: request.purge }, 'images synced')
  deps.wake('check_state')
  deps.wake('replenish')
  return { ...result, retired }
}

function noImages({ ignored }: ImagesInCinder): PoolError {
  const near = ignored.slice(0, 5).map(({ name, reason }) => `${name} (${reason})`)
  const seen = ignored.length === 0 ? 'The project has no snapshots.' : `Snapshots seen: ${near.join(', ')}.`
  return new PoolError(
    'no_images_found',
    `No snapshot in the pool's project is an image by images.snapshot_name, so nothing was changed. ${seen} Rename the ` +
      'snapshots or correct the rule. To empty table os on purpose, send allow_empty: true.'
  )
}

function changes(before: readonly Image[], after: readonly Image[]): SyncResult['images'] {
  const [known, kept] = [new ByPool(before), new ByPool(after)]
  const changeOf = (image: Image): ImageChange => {
    const old = known.one(image)
    if (!old) return 'added'
    return sameContent(old, image) ? 'unchanged' : 'changed'
  }
  return [
    ...after.map(image => ({ image, change: changeOf(image) })),
    ...before.filter(image => !kept.one(image)).map(image => ({ image, change: 'removed' as const }))
  ]
}

/** What `Images.replace` would retire. */
async function countRetired(deps: Deps, images: readonly Image[], purge: Purge): Promise<number> {
  if (purge === 'none') return 0
  const { holdings } = await deps.spares.stock()
  const unclaimed = holdings.filter(({ status }) => ['requested', 'creating', 'available'].includes(status))
  if (purge === 'all') return countOf(unclaimed)
  const imageOf = new ByPool(images)
  return countOf(unclaimed.filter(holding => !isCurrent(holding.snapshotId, imageOf.one(holding))))
}
