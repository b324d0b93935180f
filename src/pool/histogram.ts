/**
 * How many there were of each bucket: number n is of what took 1.02 to the power of n seconds, give or take one per cent. It
 * is the database that says which bucket something belongs to.
 */
export type Histogram = ReadonlyMap<number, number>

const secondsOf = (bucket: number): number => 1.02 ** bucket

export const totalOf = (histogram: Histogram): number => [...histogram.values()].reduce((sum, count) => sum + count, 0)

/** The length that this share of all took at most, between two of them by how near it is to each. In seconds. */
export function percentilesOf(histogram: Histogram, shares: readonly number[]): number[] {
  const buckets = [...histogram].filter(([, count]) => count > 0).toSorted(([a], [b]) => a - b)
  const last = totalOf(histogram) - 1
  return shares.map(share => {
    const place = share * last
    const [below, above] = [secondsAt(buckets, Math.floor(place)), secondsAt(buckets, Math.ceil(place))]
    return below + (above - below) * (place % 1)
  })
}

/** What the one in that place took, all of them in order, the shortest first. */
function secondsAt(buckets: readonly (readonly [number, number])[], place: number): number {
  let passed = 0
  for (const [bucket, count] of buckets) {
    passed += count
    if (passed > place) return secondsOf(bucket)
  }
  return 0
}
