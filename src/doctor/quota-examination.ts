import type { Image } from '../pool/image.ts'
import type { Quota, Volume } from '../pool/ports.ts'
import { type PoolTarget, resourcesOf } from '../pool/replenishment.ts'
import type { PoolName } from '../pool/spare.ts'
import { type Finding, failed, few, ok, plural, warning } from './finding.ts'

export interface QuotaFacts {
  readonly targets: readonly PoolTarget[]
  /** The pool's image, where it has one. */
  readonly imageOf: (pool: PoolName) => Image | undefined
  /** What this deployment has there already. */
  readonly ours: readonly Pick<Volume, 'volumeType' | 'sizeGib'>[]
  readonly quota: Quota
  readonly budgetGib: number | undefined
}

type Counts = ReadonlyMap<string, number>

/**
 * Whether the project's limits have room for all targets beside what others have there. The stock counts as the targets', so it
 * makes no difference whether it is there already: it would not come again.
 */
export function judgeQuota(facts: QuotaFacts): Finding[] {
  const { quota, targets, ours } = facts
  const wanted = wantedOf(facts)
  const have = sum(ours.map(({ volumeType, sizeGib }) => ({ volumeType, sizeGib, count: 1 })))
  const short = [...wanted].flatMap(([name, need]) => {
    const missing = need - at(have, name) - (quota.get(name) ?? Number.POSITIVE_INFINITY)
    return missing > 0 ? [`${name} by ${missing}`] : []
  })
  const [volumes, gigabytes] = [at(wanted, 'volumes'), at(wanted, 'gigabytes')]
  const needed = `the targets need ${plural(volumes, 'volume')} of ${gigabytes} GiB in all`
  const there = `there are ${at(have, 'volumes')} of ${at(have, 'gigabytes')} GiB`
  const room = `room for more: volumes ${roomFor('volumes', quota)}, gigabytes ${roomFor('gigabytes', quota)}`
  const blind = targets.filter(pool => !facts.imageOf(pool)).map(({ os, type }) => `${os} ${type}`)
  const uncounted = blind.length > 0 ? `; not counted, for want of an image: ${few(blind)}` : ''
  const found = `${needed}; ${there}; ${room}${uncounted}`
  const advice = `raise the pool project's quota of ${[...short, ...tooLarge(facts)].join(', of ')}, or lower the targets`
  const isShort = short.length > 0 || tooLarge(facts).length > 0
  return [isShort ? failed('pools.quota', found, advice) : ok('pools.quota', found), judgeBudget(gigabytes, facts)]
}

interface Alike {
  readonly volumeType: string
  readonly sizeGib: number
  readonly count: number
}

/** What all targets together take. */
const wantedOf = (facts: QuotaFacts): Counts => sum(disksOf(facts))

const disksOf = ({ targets, imageOf }: QuotaFacts): Alike[] =>
  targets.flatMap(pool => {
    const image = imageOf(pool)
    if (!image || pool.target === 0) return []
    const sizeGib = Math.max(pool.sizeGib ?? 0, image.sizeGib)
    return [{ volumeType: image.volumeType, sizeGib, count: pool.target }]
  })

function sum(volumes: readonly Alike[]): Counts {
  const counts = new Map<string, number>()
  for (const { volumeType, sizeGib, count } of volumes) {
    for (const [name, need] of resourcesOf(volumeType, sizeGib)) counts.set(name, at(counts, name) + need * count)
  }
  return counts
}

const at = (counts: Counts, name: string): number => counts.get(name) ?? 0

/** Of one disk, whatever the project has left. */
function tooLarge(facts: QuotaFacts): string[] {
  const largest = Math.max(0, ...disksOf(facts).map(({ sizeGib }) => sizeGib))
  const missing = largest - (facts.quota.get('per_volume_gigabytes') ?? largest)
  return missing > 0 ? [`per_volume_gigabytes by ${missing}`] : []
}

function roomFor(name: string, quota: Quota): string {
  const room = quota.get(name)
  if (room === undefined) return 'no limit'
  return room < 0 ? `none, the limit is exceeded by ${-room}` : String(room)
}

function judgeBudget(neededGib: number, { budgetGib }: QuotaFacts): Finding {
  const check = 'pools.budget'
  if (budgetGib === undefined) return ok(check, 'limits.budget_gib is not set: there is no limit')
  const found = `limits.budget_gib is ${budgetGib}; the targets need ${neededGib} GiB`
  if (neededGib <= budgetGib) return ok(check, found)
  return warning(check, found, 'raise limits.budget_gib or lower the targets: the pools will not fill')
}
