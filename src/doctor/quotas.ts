import type { Image } from '../pool/image.ts'
import type { Quota, Volume } from '../pool/ports.ts'
import { type PoolTarget, resourcesOf } from '../pool/replenishment.ts'
import type { PoolName } from '../pool/spare.ts'
import { failed, few, type Outcome, ok, plural, warning } from './finding.ts'

interface Wanted {
  readonly targets: readonly PoolTarget[]
  /** The pool's image, if it has one. */
  readonly imageOf: (pool: PoolName) => Image | undefined
}

interface Disks extends Pick<Volume, 'volumeType' | 'sizeGib'> {
  /** Absent: one. */
  readonly count?: number
}

/**
 * Whether the limits have room for all targets beside what others use. `ours`, the stock that is there, is part of the targets:
 * once it has been claimed, it could not come again where the room is too small.
 */
export function judgeQuota({ targets, imageOf }: Wanted, ours: readonly Disks[], quota: Quota): Outcome {
  const disks = disksOf({ targets, imageOf })
  const [wanted, have] = [sum(disks), sum(ours)]
  const room = (name: string): number => quota.get(name) ?? Number.POSITIVE_INFINITY
  const short = new Map([...wanted].map(([name, need]) => [name, need - at(have, name) - room(name)]))
  short.set('per_volume_gigabytes', Math.max(0, ...disks.map(({ sizeGib }) => sizeGib)) - room('per_volume_gigabytes'))
  const missing = [...short].filter(([, count]) => count > 0).map(([name, count]) => `${name} by ${count}`)
  const withoutImage = targets.filter(pool => !imageOf(pool)).map(({ os, type }) => `${os} ${type}`)
  const found = [
    `the targets need ${plural(at(wanted, 'volumes'), 'volume')} of ${at(wanted, 'gigabytes')} GiB in all`,
    `there are ${at(have, 'volumes')} of ${at(have, 'gigabytes')} GiB`,
    `room for more: volumes ${inWords(room('volumes'))}, gigabytes ${inWords(room('gigabytes'))}`,
    ...(withoutImage.length > 0 ? [`not counted, for want of an image: ${few(withoutImage)}`] : [])
  ].join('; ')
  if (missing.length === 0) return ok(found)
  return failed(found, `raise the pool project's quota of ${missing.join(', of ')}, or lower the targets`)
}

export function judgeBudget(wanted: Wanted, budgetGib: number | undefined): Outcome {
  if (budgetGib === undefined) return ok('limits.budget_gib is not set: there is no limit')
  const neededGib = at(sum(disksOf(wanted)), 'gigabytes')
  const found = `limits.budget_gib is ${budgetGib}; the targets need ${neededGib} GiB`
  if (neededGib <= budgetGib) return ok(found)
  return warning(found, 'raise limits.budget_gib or lower the targets: the pools will not fill')
}

/** What all targets together want. */
const disksOf = ({ targets, imageOf }: Wanted): Disks[] =>
  targets.flatMap(pool => {
    const image = imageOf(pool)
    if (!image || pool.target === 0) return []
    return { volumeType: image.volumeType, sizeGib: Math.max(pool.sizeGib ?? 0, image.sizeGib), count: pool.target }
  })

function sum(disks: readonly Disks[]): ReadonlyMap<string, number> {
  const amounts = new Map<string, number>()
  for (const { volumeType, sizeGib, count = 1 } of disks) {
    for (const [name, need] of resourcesOf(volumeType, sizeGib)) amounts.set(name, at(amounts, name) + need * count)
  }
  return amounts
}

const at = (amounts: ReadonlyMap<string, number>, name: string): number => amounts.get(name) ?? 0

function inWords(room: number): string {
  if (room === Number.POSITIVE_INFINITY) return 'no limit'
  return room < 0 ? `none, the limit is exceeded by ${-room}` : String(room)
}
