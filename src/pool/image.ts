import { ByPool } from './by-pool.ts'
import type { Snapshot } from './ports.ts'
import { byPoolName, isSize, type PoolName } from './spare.ts'

/** A row of table `os`: one OS on one disk type, with the snapshot that its disks are made from. */
export interface Image extends PoolName {
  readonly id: string
  readonly snapshotId: string
  /** Snapshots identical to `snapshotId`, used in turn with it: Cinder makes one volume of a snapshot at a time. */
  readonly replicaSnapshotIds: readonly string[]
  /** Those of them that no disk can be made from any more: they were deleted in Cinder. */
  readonly goneSnapshotIds: readonly string[]
  /** The source volume of `snapshotId`. */
  readonly volumeId: string
  /** Cinder's name of the source volume's type. */
  readonly volumeType: string
  readonly sizeGib: number
  readonly version: string
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** What the naming rule finds for one image. */
export interface Candidate extends PoolName {
  readonly version: string
  readonly snapshot: Snapshot
  readonly replicas: readonly Snapshot[]
}

export interface IgnoredSnapshot {
  readonly snapshotId: string
  readonly name: string
  readonly reason: string
}

interface Named extends PoolName {
  readonly version: string
  readonly replica: string | undefined
  readonly snapshot: Snapshot
}

/** The reason for snapshots that are not meant for us. */
export const NO_MATCH = 'name does not match images.snapshot_name'

/** Cinder refuses to transfer an encrypted volume, and up to Pike gives it away without a key that opens it. */
export const ENCRYPTED =
  'its source volume is encrypted, and Cinder hands no encrypted disk over by transfer: make the image on a volume type ' +
  'without encryption, or hand over within one project (claims.handover: rename)'

/** All snapshots that an image's disks may be made from. */
export const snapshotIdsOf = (image: Pick<Image, 'snapshotId' | 'replicaSnapshotIds'>): string[] => [
  image.snapshotId,
  ...image.replicaSnapshotIds
]

/** A disk can be made from these now. */
export const usableSnapshotIds = (image: Image): string[] =>
  snapshotIdsOf(image).filter(id => !image.goneSnapshotIds.includes(id))

/** Nothing can be made from it any more. Spares made before are as good as ever. */
export const isGone = (image: Image): boolean => usableSnapshotIds(image).length === 0

/** Other statuses, such as that of a snapshot being backed up, pass. */
export const isGoneSnapshot = (snapshot: Snapshot | undefined): boolean =>
  snapshot === undefined || /^(error|delet|unmanaging)/.test(snapshot.status)

export const isCurrent = (snapshotId: string, image: Image | undefined): boolean =>
  image !== undefined && snapshotIdsOf(image).includes(snapshotId)

/**
 * Compares two versions piece by piece: digits by number (20261101 < 20261201 < 100000000, 12.9 < 12.10), the rest by code
 * point.
 */
export function compareVersions(a: string, b: string): number {
  const pieces = (version: string): string[] => version.match(/\d+|\D+/g) ?? []
  const [left, right] = [pieces(a), pieces(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const order = comparePieces(left[i] ?? '', right[i] ?? '')
    if (order !== 0) return order
  }
  return 0
}

function comparePieces(a: string, b: string): number {
  const areNumbers = /^\d+$/.test(a) && /^\d+$/.test(b)
  const [left, right] = areNumbers ? [BigInt(a), BigInt(b)] : [a, b] // A date with its time is too long for a double.
  if (left === right) return 0
  return left < right ? -1 : 1
}

/**
 * Applies `images.snapshot_name` to the snapshots of the pool's project. Of two for the same image the higher version wins, then
 * the newer. Replicas of the winning version are used in turn with the winner. All others are ignored, with the reason.
 */
export function chooseSnapshots(
  snapshots: readonly Snapshot[],
  rule: RegExp
): { readonly candidates: readonly Candidate[]; readonly ignored: readonly IgnoredSnapshot[] } {
  const ignored: IgnoredSnapshot[] = []
  const ignore = (snapshot: Snapshot, reason: string): void => {
    ignored.push({ snapshotId: snapshot.id, name: snapshot.name, reason })
  }
  const named: Named[] = []
  for (const snapshot of snapshots) {
    const name = parseSnapshotName(snapshot, rule)
    if (typeof name === 'string') ignore(snapshot, name)
    else named.push(name)
  }
  const candidates = [...new ByPool(named).groups()].map(rivals => chooseAmong(rivals, ignore))
  return { candidates: candidates.toSorted(byPoolName), ignored }
}

/** The parts of a snapshot's name, or why it is not one of ours. */
function parseSnapshotName(snapshot: Snapshot, rule: RegExp): Named | string {
  const groups = rule.exec(snapshot.name)?.groups
  if (!groups) return nearMiss(snapshot.name, rule) ?? NO_MATCH
  const { os, type, version, replica } = groups
  if (!os || !type || !version) return 'name matches images.snapshot_name, but os, type or version is empty in it'
  if (snapshot.status !== 'available') return `snapshot is ${snapshot.status}, not available`
  if (/[\p{Cc}\ufffd]/u.test(os + type + version)) return 'name has characters in it that no claim can name'
  if (!isSize(snapshot.sizeGib)) return `snapshot has a size of ${snapshot.sizeGib} GiB`
  return { os, type: type.toLowerCase(), version, replica, snapshot }
}

/** A name that almost matches is meant for us, and deserves a better reason. */
function nearMiss(name: string, rule: RegExp): string | undefined {
  if (new RegExp(rule.source, 'i').test(name)) return 'name matches images.snapshot_name only when case is ignored'
  if (rule.test(name.trim())) return 'name matches images.snapshot_name only without the spaces around it'
  if (rule.test(name.replaceAll('-', '_'))) return 'name matches images.snapshot_name only with "_" in place of "-"'
  return undefined
}

function chooseAmong(rivals: readonly Named[], ignore: (snapshot: Snapshot, reason: string) => void): Candidate {
  const [winner, ...others] = rivals.toSorted(bestFirst)
  if (!winner) throw new Error('an image has at least one snapshot')
  const replicas: Named[] = []
  for (const other of others) {
    const reason = whyNoReplica([winner, ...replicas], other)
    if (reason) ignore(other.snapshot, reason)
    else replicas.push(other)
  }
  const { os, type, version, snapshot } = winner
  return { os, type, version, snapshot, replicas: replicas.map(replica => replica.snapshot) }
}

/** A replica has the winner's version and size, under a replica name of its own. */
function whyNoReplica(chosen: readonly [Named, ...Named[]], other: Named): string | undefined {
  const [winner] = chosen
  if (compareVersions(winner.version, other.version) !== 0) return `${winner.snapshot.name} has a higher version`
  const rival = chosen.find(({ replica }) => replica === other.replica)
  if (rival) return `${rival.snapshot.name} (${rival.snapshot.id}) is a newer snapshot of the same image and version`
  if (winner.snapshot.sizeGib !== other.snapshot.sizeGib) return `size differs from its replica ${winner.snapshot.name}`
  return undefined
}

function bestFirst(a: Named, b: Named): number {
  const byAge = b.snapshot.createdAt.getTime() - a.snapshot.createdAt.getTime()
  return compareVersions(b.version, a.version) || byAge || (a.snapshot.id < b.snapshot.id ? -1 : 1)
}
