import { compareVersions, ENCRYPTED, type IgnoredSnapshot, type Image, NO_MATCH, snapshotIdsOf } from './image.ts'
import type { Quota, Snapshot, Volume } from './ports.ts'
import { type PoolTarget, resourcesOf } from './replenishment.ts'
import { type PoolName, samePool } from './spare.ts'

export const VERDICTS = ['ok', 'warning', 'failed', 'skipped'] as const
export type Verdict = (typeof VERDICTS)[number]

/** One line of `spare-pool doctor`. */
export interface Finding {
  readonly check: string
  readonly verdict: Verdict
  readonly found: string
  /** What to do about it; empty where nothing is to be done. */
  readonly advice: string
}

export const ok = (check: string, found: string, advice = ''): Finding => ({ check, verdict: 'ok', found, advice })
export const warning = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: 'warning',
  found,
  advice
})
export const failed = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: 'failed',
  found,
  advice
})
export const skipped = (check: string, found: string): Finding => ({ check, verdict: 'skipped', found, advice: '' })

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

/** A list that is short enough for a line. */
export const few = (names: readonly string[], max = 10): string =>
  names.slice(0, max).join(', ') + (names.length > max ? ` and ${names.length - max} more` : '')

/** In the pool's project: works, but a member can do no harm elsewhere, whatever happens. */
export function judgePoolRoles(check: string, roles: readonly string[]): Finding {
  const where = "the pool's project"
  if (!roles.includes('admin')) return judgeRoles(check, roles, where)
  const advice =
    "give the service's user the role member there instead: Cinder lets an admin change every project's volumes, so the " +
    'service looks once more before each change, and hands over in one step less at a time'
  return warning(check, `in ${where}: ${roles.join(', ')}`, advice)
}

/** Which roles let a user make, rename and hand over volumes. Policies older than Xena's take any role. */
export function judgeRoles(check: string, roles: readonly string[], where: string): Finding {
  const found = `in ${where}: ${roles.join(', ') || 'none'}`
  const advice = `give the service's user the role member in ${where}`
  if (roles.includes('member') || roles.includes('admin')) return ok(check, found)
  if (roles.every(role => role === 'reader')) return failed(check, found, advice)
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
}

/** The image that a pool's spares would be made from now. */
export function imageOf(pool: PoolName, { source, inCinder, inTable = [] }: ImageFacts): Image | undefined {
  const found = inCinder.find(image => samePool(image, pool))
  const known = inTable.find(image => samePool(image, pool))
  if (source === 'cinder') return found
  return source === 'os_table' ? known : (known ?? found)
}

export function judgeImage(pool: PoolTarget, facts: ImageFacts): Finding {
  const check = `image ${pool.os} ${pool.type}`
  if (facts.source === 'os_table' && !facts.inTable) return skipped(check, 'table os could not be read')
  const image = imageOf(pool, facts)
  if (!image) return failed(check, 'no image', adviceWithoutImage(pool, facts))
  const snapshot = facts.snapshots.find(({ id }) => id === image.snapshotId)
  const replicas =
    image.replicaSnapshotIds.length > 0 ? ` and ${plural(image.replicaSnapshotIds.length, 'replica')}` : ''
  const from = `version ${image.version}, ${image.sizeGib} GiB of ${image.volumeType}, from snapshot ${snapshot?.name ?? image.snapshotId}${replicas}`
  const found = facts.inCinder.find(one => samePool(one, pool))
  const sync = 'run `spare-pool sync`, which reads the snapshots again'
  if (snapshot?.status !== 'available') {
    return failed(check, `${from}, which is ${snapshot ? snapshot.status : 'no longer there'}`, sync)
  }
  if (isEncrypted(image.snapshotId, facts)) return failed(check, `${from}, encrypted`, ENCRYPTED_ADVICE)
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

const isEncrypted = (snapshotId: string, { ignored }: ImageFacts): boolean =>
  ignored.some(one => one.snapshotId === snapshotId && one.reason === ENCRYPTED)

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
  const check = 'snapshots'
  const matching = snapshots.filter(({ name }) => rule.test(name))
  const found = `${matching.length} of ${plural(snapshots.length, 'snapshot')} match images.snapshot_name`
  const lost = ignored.filter(one => isLost(one, facts))
  return [
    matching.length > 0
      ? ok(check, found)
      : failed(check, found, `name one so that it matches ${rule.source}, or change images.snapshot_name`),
    ...lost.map(({ name, reason }) => {
      const judge = reason === ENCRYPTED ? failed : warning
      return judge(check, `"${name}" is not used: ${reason}`, 'mend it if it is meant for a pool, else leave it')
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
  const check = 'volumes'
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

export interface QuotaFacts {
  readonly targets: readonly PoolTarget[]
  /** The pool's image, where it has one. */
  readonly imageOf: (pool: PoolName) => Image | undefined
  readonly ours: readonly Pick<Volume, 'volumeType' | 'sizeGib'>[]
  /** What the project may still have. */
  readonly quota: Quota
  readonly budgetGib: number | undefined
}

/** Whether all targets fit into what the project has room for, what exists already included. */
export function judgeQuota(facts: QuotaFacts): Finding[] {
  const check = 'quota'
  const wanted = new Map<string, number>()
  const have = new Map<string, number>()
  const add = (to: Map<string, number>, volumeType: string, sizeGib: number, count: number): void => {
    for (const [name, need] of resourcesOf(volumeType, sizeGib)) to.set(name, (to.get(name) ?? 0) + need * count)
  }
  for (const pool of facts.targets) {
    const image = facts.imageOf(pool)
    if (image) add(wanted, image.volumeType, Math.max(pool.sizeGib ?? 0, image.sizeGib), pool.target)
  }
  for (const { volumeType, sizeGib } of facts.ours) add(have, volumeType, sizeGib, 1)
  const of = (counts: Map<string, number>, name: string): number => counts.get(name) ?? 0
  const short = [...wanted].flatMap(([name, need]) => {
    const missing = need - of(have, name) - (facts.quota.get(name) ?? Number.POSITIVE_INFINITY)
    return missing > 0 ? [`${name} by ${missing}`] : []
  })
  const room = (name: string): string => String(facts.quota.get(name) ?? 'no limit')
  const needed = `the targets need ${plural(of(wanted, 'volumes'), 'volume')} of ${of(wanted, 'gigabytes')} GiB in all`
  const there = `there are ${of(have, 'volumes')} of ${of(have, 'gigabytes')} GiB; room for more: volumes ${room('volumes')}, gigabytes ${room('gigabytes')}`
  const blind = facts.targets.filter(pool => !facts.imageOf(pool)).map(({ os, type }) => `${os} ${type}`)
  const uncounted = blind.length > 0 ? `; not counted, for want of an image: ${few(blind)}` : ''
  const found = `${needed}; ${there}${uncounted}`
  const advice = `raise the pool project's quota of ${short.join(', of ')}, or lower the targets`
  const quota = short.length > 0 ? failed(check, found, advice) : ok(check, found)
  return [quota, ...judgeBudget(of(wanted, 'gigabytes'), facts.budgetGib)]
}

function judgeBudget(neededGib: number, budgetGib: number | undefined): Finding[] {
  if (budgetGib === undefined) return []
  const found = `limits.budget_gib is ${budgetGib}; the targets need ${neededGib} GiB`
  if (neededGib <= budgetGib) return [ok('budget', found)]
  return [warning('budget', found, 'raise limits.budget_gib or lower the targets: the pools will not fill')]
}
