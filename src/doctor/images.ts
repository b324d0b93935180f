import type { Settings } from '../operations/deps.ts'
import { type ImagesInCinder, readAllImages } from '../operations/images/read-images.ts'
import { compareVersions, ENCRYPTED, type IgnoredSnapshot, type Image, NO_MATCH, snapshotIdsOf } from '../pool/image.ts'
import type { Project } from '../pool/ports.ts'
import type { PoolTarget } from '../pool/replenishment.ts'
import { type PoolName, samePool } from '../pool/spare.ts'
import { cannotMove } from '../pool/verdict.ts'
import type { Site } from './check.ts'
import { type Finding, failed, few, type Outcome, ok, plural, skipped, warning } from './finding.ts'

export interface KnownImages extends ImagesInCinder {
  /** The images in table `os`. Undefined: it could not be read. */
  readonly inTable: readonly Image[] | undefined
  /** Snapshots whose disks could not be handed over, because their source volume is encrypted. */
  readonly encrypted: ReadonlySet<string>
  /** The image that a pool's spares would be made from now. */
  readonly imageOf: (pool: PoolName) => Image | undefined
}

export async function readImages(site: Site, pool: Project, inTable: KnownImages['inTable']): Promise<KnownImages> {
  const { targets, handover, imagesSource } = site.settings
  const found = await readAllImages(site, site.call)
  const encrypted = new Set(found.ignored.filter(({ reason }) => reason === ENCRYPTED).map(one => one.snapshotId))
  // Table `os` may name a snapshot that the naming rule does not choose.
  const chosen = new Set(found.images.map(({ snapshotId }) => snapshotId))
  for (const image of inTable ?? []) {
    if (chosen.has(image.snapshotId) || !targets.some(target => samePool(target, image))) continue
    const source = await pool.volumes.find(image.volumeId, site.call)
    if (source && cannotMove(source, handover)) encrypted.add(image.snapshotId)
  }
  const ofTable = imagesSource === 'cinder' ? [] : (inTable ?? [])
  const used = [...ofTable, ...(imagesSource === 'os_table' ? [] : found.images)]
  return { ...found, inTable, encrypted, imageOf: pool => used.find(image => samePool(image, pool)) }
}

export function judgeSnapshots({ snapshots }: KnownImages, rule: RegExp): Outcome {
  const matching = snapshots.filter(({ name }) => rule.test(name)).length
  const found = `${matching} of ${plural(snapshots.length, 'snapshot')} match images.snapshot_name`
  if (matching > 0) return ok(found)
  return failed(found, `name one so that it matches ${rule.source}, or change images.snapshot_name`)
}

/** A finding for each snapshot that is probably meant for us and not used. */
export function judgeUnused(known: KnownImages | undefined, rule: RegExp): Finding[] {
  const lost = known?.ignored.filter(snapshot => isLost(snapshot, known, rule)) ?? []
  return lost.map(({ snapshotId, name, reason }) => {
    const judge = reason === ENCRYPTED ? failed : warning
    const outcome = judge(`"${name}" is not used: ${reason}`, 'mend it if it is meant for a pool, else leave it')
    return { id: 'pools.unused-snapshot', snapshotId, ...outcome }
  })
}

/** It matches the rule, or nearly does, and no better one has taken its place. */
function isLost({ snapshotId, name, reason }: IgnoredSnapshot, { snapshots, images }: KnownImages, rule: RegExp) {
  const groups = rule.exec(name)?.groups
  if (!groups) return reason !== NO_MATCH
  const image = images.find(({ os, type }) => os === groups['os'] && type === groups['type']?.toLowerCase())
  return !image || snapshots.some(({ id, status }) => id === snapshotId && status !== 'available')
}

const SYNC = 'run `spare-pool sync`, which reads the snapshots again'

export function judgeImage(pool: PoolTarget, known: KnownImages, { imagesSource }: Settings): Outcome {
  if (imagesSource === 'os_table' && !known.inTable) return skipped('table os could not be read')
  const image = known.imageOf(pool)
  if (!image) return failed('no image', adviceWithoutImage(pool, known))
  const snapshot = known.snapshots.find(({ id }) => id === image.snapshotId)
  const from = describe(image, snapshot?.name)
  if (snapshot?.status !== 'available') {
    return failed(`${from}, which is ${snapshot ? snapshot.status : 'no longer there'}`, SYNC)
  }
  if (known.encrypted.has(image.snapshotId)) {
    return failed(`${from}, encrypted`, `${ENCRYPTED}; then run \`spare-pool sync\``)
  }
  const inCinder = known.images.find(one => samePool(one, pool))
  if (inCinder && !snapshotIdsOf(inCinder).includes(image.snapshotId)) {
    const newer = compareVersions(inCinder.version, image.version) > 0 ? 'newer' : 'other'
    return warning(`${from}; Cinder has a ${newer} one, version ${inCinder.version}`, SYNC)
  }
  if (pool.sizeGib !== undefined && pool.sizeGib < image.sizeGib) {
    const advice = `a disk cannot be smaller than its snapshot: raise size to ${image.sizeGib} or leave it out`
    return warning(`${from}; pools asks for a size of ${pool.sizeGib} GiB`, advice)
  }
  return ok(from)
}

function describe({ version, sizeGib, volumeType, snapshotId, replicaSnapshotIds }: Image, snapshotName?: string) {
  const replicas = replicaSnapshotIds.length > 0 ? ` and ${plural(replicaSnapshotIds.length, 'replica')}` : ''
  const kind = `${sizeGib} GiB of ${volumeType || 'no volume type'}`
  return `version ${version}, ${kind}, from snapshot ${snapshotName ?? snapshotId}${replicas}`
}

/** The likeliest remedy: a sync, another spelling, a snapshot that nearly fits, or a new one. */
function adviceWithoutImage(pool: PoolName, { images, ignored, snapshots }: KnownImages): string {
  if (images.some(image => samePool(image, pool))) return 'Cinder has it and table os does not: run `spare-pool sync`'
  const { os, type } = pool
  const lowerCase = os.toLowerCase()
  const alike = images.find(image => image.type === type && image.os.toLowerCase() === lowerCase)
  if (alike) return `write "${alike.os}" in pools, as its snapshot has it`
  const near = ignored.filter(({ name }) => name.toLowerCase().includes(lowerCase))
  if (near.length > 0) {
    const reasons = near.map(({ name, reason }) => `${name} (${reason})`)
    return `mend what nearly fits: ${few(reasons, 3)}`
  }
  const there = few(snapshots.map(({ name }) => name || '(without a name)')) || 'none'
  return `make a snapshot in the pool's project that images.snapshot_name reads as "${os}" on "${type}"; there: ${there}`
}
