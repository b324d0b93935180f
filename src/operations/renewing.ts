import { LEASE_SECONDS } from '../pool/lease.ts'
import type { Clock } from '../pool/ports.ts'
import type { Deps } from './deps.ts'

export const LEASE_MS = LEASE_SECONDS * 1000
const RENEWAL_MS = 3_000

export const endOfLease = (clock: Clock): Date => new Date(clock.now().getTime() + LEASE_MS)

/** Renews a lease until the function that it returns is called, which waits for a renewal under way. */
export function renewing(
  { clock, log }: Pick<Deps, 'clock' | 'log'>,
  of: object,
  renew: () => Promise<boolean>
): () => Promise<void> {
  let last: Promise<void> | undefined
  const stop = clock.every(RENEWAL_MS, () => {
    last = renew().then(
      () => undefined,
      (error: unknown) => log.warn({ ...of, error: String(error) }, 'lease not renewed')
    )
    return last
  })
  return async () => {
    stop()
    await last
  }
}
