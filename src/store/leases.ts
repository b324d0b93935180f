import { BACKOFF_SECONDS_MAX, CLOCKS_APART_SECONDS } from '../pool/lease.ts'

/** SQL: it ends later than the latest that could be given now, so the clock has been set back since it was given. */
export const isVoid = (until: string, latest: string): string =>
  `${until} > ${latest}::timestamptz + interval '${CLOCKS_APART_SECONDS} seconds'`

/** SQL: nobody has it at `:at`, by when it ends and when the latest that could be given now would. */
export const isFree = (until: string, latest: string): string =>
  `(${until} is null or ${until} < :at or ${isVoid(until, latest)})`

/** SQL: nobody arms it, by `:armingUntil`. After a refusal it is left alone for as long as its pool backs off. */
export const isFreeToArm = isFree(
  'arming_until',
  `greatest(:armingUntil::timestamptz, :at::timestamptz + interval '${BACKOFF_SECONDS_MAX} seconds')`
)
