/** How long a claim, or a tick, waits for somebody who died at it. */
export const LEASE_SECONDS = 10

/** The longest that a pool waits after a failure before it tries again. */
export const BACKOFF_SECONDS_MAX = 300

/** So far may two clocks of the service be apart: they are set by the database's, each when it can. */
export const CLOCKS_APART_SECONDS = 5

/** Not over yet. One that ends later than any given now could is over too: the clock has been set back since it was given. */
export const isPending = (until: Date, now: Date, longestSeconds: number): boolean => {
  const seconds = (until.getTime() - now.getTime()) / 1000
  return seconds > 0 && seconds <= longestSeconds + CLOCKS_APART_SECONDS
}
