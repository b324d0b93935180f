import { compareVersions, ENCRYPTED, type IgnoredSnapshot, type Image, NO_MATCH, snapshotIdsOf } from '../pool/image.ts'
import { CLOCKS_APART_SECONDS } from '../pool/lease.ts'
import type { Snapshot, Volume } from '../pool/ports.ts'
import { anyRoleWrites, type Release } from '../pool/release.ts'
import type { PoolTarget } from '../pool/replenishment.ts'
import { type PoolName, samePool } from '../pool/spare.ts'
import { type Check, type Finding, failed, few, ok, plural, skipped, warning } from './finding.ts'

/** Another clock's time, and this machine's before it was asked and after it had answered. */
export interface ClockReading {
  readonly askedAt: Date
  readonly time: Date
  readonly answeredAt: Date
}

/** How far the other clock is ahead for certain: it was read at some moment between question and answer. */
export function secondsAhead({ askedAt, time, answeredAt }: ClockReading): number {
  const [least, most] = [time.getTime() - answeredAt.getTime(), time.getTime() - askedAt.getTime()]
  return (least > 0 ? least : Math.min(0, most)) / 1000
}

const SET_BOTH = 'set both machines by one time server (NTP)'

export function judgeDatabaseClock(reading: ClockReading): Finding {
  const advice = `${SET_BOTH}: the service goes by the database's, but its ticks fall due, and its log is written, by this machine's`
  return judgeClock('database.clock', "the database's", reading, () => advice)
}

export function judgeKeystoneClock(reading: ClockReading): Finding {
  const costs = (seconds: number): string =>
    seconds > 0
      ? "a caller's token may be let in for up to five minutes after it has expired"
      : "a caller's token is looked up anew with each request before it has expired"
  return judgeClock('login.clock', "Keystone's", reading, seconds => `${SET_BOTH}: ${costs(seconds)}`)
}

function judgeClock(
  check: 'database.clock' | 'login.clock',
  whose: string,
  reading: ClockReading,
  advice: (seconds: number) => string
): Finding {
  const seconds = secondsAhead(reading)
  if (Math.abs(seconds) <= CLOCKS_APART_SECONDS) {
    return ok(check, `${whose} clock and this machine's are not more than ${CLOCKS_APART_SECONDS} s apart`)
  }
  const apart = `${Math.round(Math.abs(seconds))} s ${seconds > 0 ? 'ahead of' : 'behind'} this machine's`
  return warning(check, `${whose} clock is ${apart}`, advice(seconds))
}

/** In the pool's project: works, but a member can do no harm elsewhere, whatever happens. */
export function judgePoolRoles(roles: readonly string[], release: Release | undefined): Finding {
  const [check, where] = ['login.roles', "the pool's project"] as const
  if (!roles.includes('admin')) return judgeRoles({ id: check }, roles, where, release)
  const advice =
    "give the service's user the role member there instead: Cinder lets an admin change every project's volumes, so the " +
    'service looks once more before each change, and hands over in one step less at a time'
  return warning(check, `in ${where}: ${roles.join(', ')}`, advice)
}

/** Which roles let a user make, rename and hand over volumes. `release` undefined: Cinder could not be asked. */
export function judgeRoles(
  check: Check,
  roles: readonly string[],
  where: string,
  release: Release | undefined
): Finding {
  const found = `in ${where}: ${roles.join(', ') || 'none'}`
  const advice = `give the service's user the role member in ${where}`
  const has = (name: string): boolean => roles.some(role => role.toLowerCase() === name)
  if (has('member') || has('admin')) return ok(check, found)
  const isReader = roles.every(role => role.toLowerCase() === 'reader')
  if (roles.length > 0 && release && anyRoleWrites(release)) {
    const later = `${advice}: Cinder lets any role write up to Wallaby, and refuses a reader from Xena on`
    return isReader ? warning(check, found, later) : ok(check, found)
  }
  if (isReader) return failed(check, found, advice)
  return warning(
    check,
    found,
    `see that Cinder's policy lets one of these roles create and transfer volumes, or ${advice}`
  )
}

/** What is known of the images, for the judgement of one pool. */
export interface ImageFacts {
  readonly source: 'os_table' | 'cinder' | 'os_table_then_cinder'
  readonly rule: RegExp
  /** By the naming rule, from Cinder. */
  readonly inCinder: readonly Image[]
  /** Undefined: the table could not be read. */
  readonly inTable: readonly Image[] | undefined
  readonly snapshots: readonly Snapshot[]
  readonly ignored: readonly IgnoredSnapshot[]
  /** Snapshots whose source volume is encrypted, where disks are handed over by transfer. */
  readonly encrypted: ReadonlySet<string>
}

/** The image that a pool's spares would be made from now. */
export function imageOf(pool: PoolName, { source, inCinder, inTable = [] }: ImageFacts): Image | undefined {
  const found = inCinder.find(image => samePool(image, pool))
  const known = inTable.find(image => samePool(image, pool))
  if (source === 'cinder') return found
  return source === 'os_table' ? known : (known ?? found)
}

export const checkOf = ({ os, type }: PoolName): Check => ({ id: 'pools.image', os, type })

export function judgeImage(pool: PoolTarget, facts: ImageFacts): Finding {
  const check = checkOf(pool)
  if (facts.source === 'os_table' && !facts.inTable) return skipped(check, 'table os could not be read')
  const image = imageOf(pool, facts)
  if (!image) return failed(check, 'no image', adviceWithoutImage(pool, facts))
  const snapshot = facts.snapshots.find(({ id }) => id === image.snapshotId)
  const replicas =
    image.replicaSnapshotIds.length > 0 ? ` and ${plural(image.replicaSnapshotIds.length, 'replica')}` : ''
  const from = `version ${image.version}, ${image.sizeGib} GiB of ${image.volumeType || 'no volume type'}, from snapshot ${snapshot?.name ?? image.snapshotId}${replicas}`
  const found = facts.inCinder.find(one => samePool(one, pool))
  const sync = 'run `spare-pool sync`, which reads the snapshots again'
  if (snapshot?.status !== 'available') {
    return failed(check, `${from}, which is ${snapshot ? snapshot.status : 'no longer there'}`, sync)
  }
  if (facts.encrypted.has(image.snapshotId)) return failed(check, `${from}, encrypted`, ENCRYPTED_ADVICE)
  if (found && !snapshotIdsOf(found).includes(image.snapshotId)) {
    const newer = compareVersions(found.version, image.version) > 0 ? 'newer' : 'other'
    return warning(check, `${from}; Cinder has a ${newer} one, version ${found.version}`, sync)
  }
  if (pool.sizeGib !== undefined && pool.sizeGib < image.sizeGib) {
    const advice = `a disk cannot be smaller than its snapshot: raise size to ${image.sizeGib} or leave it out`
    return warning(check, `${from}; pools asks for a size of ${pool.sizeGib} GiB`, advice)
  }
  return ok(check, from)
}

const ENCRYPTED_ADVICE = `${ENCRYPTED}; then run \`spare-pool sync\``

function adviceWithoutImage({ os, type }: PoolName, facts: ImageFacts): string {
  const found = facts.inCinder.find(image => samePool(image, { os, type }))
  if (found) return 'Cinder has it and table os does not: run `spare-pool sync`'
  const alike = facts.inCinder.find(image => image.type === type && image.os.toLowerCase() === os.toLowerCase())
  if (alike) return `write "${alike.os}" in pools, as its snapshot has it`
  const near = facts.ignored.filter(({ name }) => name.toLowerCase().includes(os.toLowerCase()))
  if (near.length > 0)
    return `mend what nearly fits: ${few(
      near.map(({ name, reason }) => `${name} (${reason})`),
      3
    )}`
  const there = few(facts.snapshots.map(({ name }) => name || '(without a name)')) || 'none'
  return `make a snapshot in the pool's project that images.snapshot_name reads as "${os}" on "${type}"; there: ${there}`
}

/** What the naming rule finds, and a line for each snapshot that is probably meant for us and is not used. */
export function judgeSnapshots(facts: ImageFacts): Finding[] {
  const { rule, snapshots, ignored } = facts
  const check = 'pools.snapshots'
  const matching = snapshots.filter(({ name }) => rule.test(name))
  const found = `${matching.length} of ${plural(snapshots.length, 'snapshot')} match images.snapshot_name`
  const lost = ignored.filter(one => isLost(one, facts))
  return [
    matching.length > 0
      ? ok(check, found)
      : failed(check, found, `name one so that it matches ${rule.source}, or change images.snapshot_name`),
    ...lost.map(({ snapshotId, name, reason }) => {
      const unused: Check = { id: 'pools.unused-snapshot', snapshotId }
      const judge = reason === ENCRYPTED ? failed : warning
      return judge(unused, `"${name}" is not used: ${reason}`, 'mend it if it is meant for a pool, else leave it')
    })
  ]
}

/** Not used although it matches the rule, or nearly does, and no better one has taken its place. */
function isLost({ snapshotId, name, reason }: IgnoredSnapshot, { rule, snapshots, inCinder }: ImageFacts): boolean {
  const groups = rule.exec(name)?.groups
  if (!groups) return reason !== NO_MATCH
  const image = inCinder.find(({ os, type }) => os === groups['os'] && type === groups['type']?.toLowerCase())
  return !image || snapshots.some(({ id, status }) => id === snapshotId && status !== 'available')
}

/** Volumes in the pool's project that carry this deployment's metadata. `rows`: what the database knows; undefined: unread. */
export function judgeVolumes(deployment: string, ours: readonly Volume[], rows: number | undefined): Finding {
  const check = 'pools.volumes'
  const counts = new Map<string, number>()
  for (const { status } of ours) counts.set(status, (counts.get(status) ?? 0) + 1)
  const statuses = [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
  const found = `${plural(ours.length, 'volume')} of deployment "${deployment}"${statuses && `: ${statuses}`}`
  if (rows === 0 && ours.length > 0) {
    const advice =
      'if another service works on this project, give this one a deployment name of its own; if not, nothing'
    return warning(check, `${found}; the database knows none, so reconcile will adopt or delete them`, advice)
  }
  const broken = [...counts.keys()].filter(status => status.startsWith('error'))
  if (broken.includes('error_deleting')) {
    return warning(
      check,
      found,
      'error_deleting is beyond the service: have an administrator of the cloud force-delete them'
    )
  }
  return broken.length > 0
    ? warning(check, found, 'see why Cinder failed; the service deletes these itself')
    : ok(check, found)
}
