import type { Spare } from '../../pool/spare.ts'

/** Of what a volume has taken so far: what is seen so late costs a refill as much at most. */
const SHARE_OF_AGE = 0.05
const LEAST_MS = 250
/** Of the time that a look takes itself: so Cinder spends a tenth of one thread on them at most. */
const TIMES_ITS_OWN = 10

/**
 * In how many milliseconds to look at volumes on their way again, however seldom the tick runs by itself: soon where one is
 * young, since it may be quick, and later the older the youngest is. `tookMs`: how long this look has taken.
 */
export function nextLookMs(spares: readonly Spare[], tookMs: number, now: Date): number {
  const youngest = Math.max(...spares.map(({ createdAt }) => createdAt.getTime()))
  const ageMs = now.getTime() - youngest
  return Math.max(LEAST_MS, ageMs * SHARE_OF_AGE, tookMs * TIMES_ITS_OWN)
}
