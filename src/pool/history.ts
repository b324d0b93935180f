/** The widths of the history's bins, in minutes: the widest first. */
export const BIN_MINUTES = [1440, 60, 5] as const

/** How long bins of five minutes are kept, and wider ones. */
export const KEEP_DAYS = { fine: 28, coarse: 365 } as const

/** A stretch of time that bins of one width fill; 0 minutes: claims and lead times themselves are counted. */
export interface Span {
  readonly minutes: number
  readonly from: Date
  readonly to: Date
}

const MINUTE_MS = 60_000
const DAY_MS = 1440 * MINUTE_MS

/** The start of the bin that a time is in. */
export const startOfBin = (at: Date, minutes: number): Date =>
  new Date(Math.floor(at.getTime() / (minutes * MINUTE_MS)) * minutes * MINUTE_MS)

/** Fills a stretch of time with the widest bins that fit, so that a long window costs few of them. */
export function spansOf(from: Date, to: Date, widths: readonly number[] = BIN_MINUTES): Span[] {
  if (from >= to) return []
  const [minutes, ...narrower] = widths
  if (minutes === undefined) return [{ minutes: 0, from, to }]
  const start = startOfBin(new Date(from.getTime() + minutes * MINUTE_MS - 1), minutes)
  const end = startOfBin(to, minutes)
  if (start >= end) return spansOf(from, to, narrower)
  return [...spansOf(from, start, narrower), { minutes, from: start, to: end }, ...spansOf(end, to, narrower)]
}

/** The start of a window that ends now. A window longer than fine bins are kept starts at a whole hour. */
export function startOfWindow(now: Date, seconds: number): Date {
  const start = new Date(Math.max(0, now.getTime() - seconds * 1000))
  return now.getTime() - start.getTime() > KEEP_DAYS.fine * DAY_MS ? startOfBin(start, 60) : start
}

/** How many there were of each bucket: bucket n is of 1.02 ** n seconds, give or take one per cent. */
export type Histogram = ReadonlyMap<number, number>

export function sumOf(parts: readonly Readonly<Record<string, number>>[]): Histogram {
  const sum = new Map<number, number>()
  for (const part of parts) {
    for (const [bucket, count] of Object.entries(part)) sum.set(Number(bucket), (sum.get(Number(bucket)) ?? 0) + count)
  }
  return sum
}

/** Quantiles, linearly interpolated, in seconds. */
export function quantilesOf(histogram: Histogram, shares: readonly number[]): number[] {
  const buckets = [...histogram].toSorted(([a], [b]) => a - b)
  const last = buckets.reduce((total, [, count]) => total + count, 0) - 1
  return shares.map(share => {
    const place = share * last
    const [below, above] = [secondsAt(buckets, Math.floor(place)), secondsAt(buckets, Math.ceil(place))]
    return below + (above - below) * (place % 1)
  })
}

/** How long the one in that place took, with the shortest in place 0. */
function secondsAt(buckets: readonly (readonly [number, number])[], place: number): number {
  let passed = 0
  for (const [bucket, count] of buckets) {
    passed += count
    if (passed > place) return 1.02 ** bucket
  }
  return 0
}
