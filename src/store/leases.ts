import { BACKOFF_SECONDS_MAX, CLOCKS_APART_SECONDS } from '../pool/lease.ts'

/** SQL: it ends later than the `latest` end that could be given now, so the clock has been set back since. */
export const isVoid = (until: string, latest: string): string =>
  `${until} > ${latest}::timestamptz + interval '${CLOCKS_APART_SECONDS} seconds'`

/** SQL: nobody holds the lease at `:at`. `latest` as above. */
export const isFree = (until: string, latest: string): string =>
  `(${until} is null or ${until} < :at or ${isVoid(until, latest)})`

/** SQL: nobody arms the spare. The latest end is that of an arming that begins now, or of the longest back-off of its pool. */
export const isFreeToArm = isFree(
  'arming_until',
  `greatest(:armingUntil::timestamptz, :at::timestamptz + interval '${BACKOFF_SECONDS_MAX} seconds')`
)
