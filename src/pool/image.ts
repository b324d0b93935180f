import type { Snapshot } from './ports.ts'
import { isSize, type PoolName } from './spare.ts'

/** A row of table `os`: one OS on one disk type, with the snapshot that its disks are made from. */
export interface Image {
  readonly id: string
  readonly os: string
  readonly type: string
  readonly snapshotId: string
  /** Snapshots identical to `snapshotId`, used in turn with it: Cinder makes one volume of a snapshot at a time. */
  readonly replicaSnapshotIds: readonly string[]
  /** Those of all these that no disk can be made from any more: they were deleted in Cinder. */
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

/** What the naming rule finds in a list of snapshots for one image. */
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

export interface NamingResult {
  readonly candidates: readonly Candidate[]
  readonly ignored: readonly IgnoredSnapshot[]
}

interface Named extends PoolName {
  readonly version: string
  readonly replica: string | undefined
  readonly snapshot: Snapshot
}

/** Why most snapshots of a project are ignored: they are not meant for us. */
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

/** Those that a disk can be made from now. */
export const usableSnapshotIds = (image: Image): string[] =>
  snapshotIdsOf(image).filter(id => !image.goneSnapshotIds.includes(id))

/** Nothing can be made from it any more. What was made before is as good as ever. */
export const isGone = (image: Image): boolean => usableSnapshotIds(image).length === 0

/** By its state, never by an error's words. Other statuses, such as that of a snapshot being backed up, pass. */
export const isGoneSnapshot = (snapshot: Snapshot | undefined): boolean =>
  snapshot === undefined || /^(error|delet|unmanaging)/.test(snapshot.status)

export const isCurrent = (snapshotId: string, image: Image | undefined): boolean =>
  image !== undefined && snapshotIdsOf(image).includes(snapshotId)

/**
 * Compares two versions: by number where both are whole numbers (20261101 < 20261201 < 100000000), else piece by piece,
 * digits by number and the rest by code point (so 12.9 < 12.10).
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
  if (/^\d+$/.test(a) && /^\d+$/.test(b)) {
    const [left, right] = [BigInt(a), BigInt(b)] // Longer than a double holds exactly: dates with times to the second.
    if (left !== right) return left < right ? -1 : 1
    return 0
  }
  if (a === b) return 0
  return a < b ? -1 : 1
}

/**
 * Applies `images.snapshot_name` to the snapshots of the pool's project. Of two for the same image the higher version
 * wins, then the newer; those of the winning version that carry a `replica` are used in turn with the winner. Everything
 * else is ignored, with the reason.
 */
export function chooseSnapshots(snapshots: readonly Snapshot[], rule: RegExp): NamingResult {
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
  const candidates = [...groupByImage(named).values()].map(rivals => chooseAmong(rivals, ignore))
  return { candidates: candidates.toSorted(byPool), ignored }
}

const poolKey = ({ os, type }: PoolName): string => JSON.stringify([os, type])

function groupByImage(named: readonly Named[]): Map<string, Named[]> {
  const groups = new Map<string, Named[]>()
  for (const one of named) groups.set(poolKey(one), [...(groups.get(poolKey(one)) ?? []), one])
  return groups
}

const byPool = (a: PoolName, b: PoolName): number => (poolKey(a) < poolKey(b) ? -1 : 1)

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

/** A name that would match but for case or surrounding space deserves a better reason: it is meant for us. */
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

/** Identical by the naming rule: the winner's version and size, under a replica name that is not taken yet. */
function whyNoReplica(chosen: readonly [Named, ...Named[]], other: Named): string | undefined {
  const [winner] = chosen
  if (compareVersions(winner.version, other.version) !== 0) return `${winner.snapshot.name} has a higher version`
  const rival = chosen.find(one => one.replica === other.replica)
  if (rival) return `${rival.snapshot.name} (${rival.snapshot.id}) is a newer snapshot of the same image and version`
  if (winner.snapshot.sizeGib !== other.snapshot.sizeGib) return `size differs from its replica ${winner.snapshot.name}`
  return undefined
}

function bestFirst(a: Named, b: Named): number {
  const byVersion = compareVersions(b.version, a.version)
  if (byVersion !== 0) return byVersion
  const byAge = b.snapshot.createdAt.getTime() - a.snapshot.createdAt.getTime()
  if (byAge !== 0) return byAge
  return a.snapshot.id < b.snapshot.id ? -1 : 1
}
