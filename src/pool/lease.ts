/** How long a claim, or a tick, waits for a replica that died while it worked on it. */
export const LEASE_SECONDS = 10

/** After its time is up, a request to Cinder that had no answer may still be carried out for so long. */
export const UNCLEAR_SECONDS = 60

/** The longest that a pool waits after a failure before it tries again. */
export const BACKOFF_SECONDS_MAX = 300

/** How far the clocks of two replicas may be apart: each is set by the database's when it can. */
export const CLOCKS_APART_SECONDS = 5

/** A time that is further ahead than any given now could be is over too: the clock has been set back since it was given. */
export const isPending = (until: Date, now: Date, longestSeconds: number): boolean => {
  const seconds = (until.getTime() - now.getTime()) / 1000
  return seconds > 0 && seconds <= longestSeconds + CLOCKS_APART_SECONDS
}
