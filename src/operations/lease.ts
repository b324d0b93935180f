import type { Claim, Lease } from '../pool/claim.ts'
import type { Clock } from '../pool/ports.ts'
import type { Deps } from './deps.ts'

/** How long a claim, or a tick, waits for somebody who died at it. */
export const LEASE_MS = 10_000
const RENEWAL_MS = 3_000

/** Another request has taken the claim over, since ours was too long silent: look again at how it stands. */
export class Superseded extends Error {}

export const endOfLease = (clock: Clock): Date => new Date(clock.now().getTime() + LEASE_MS)

export const newLease = (deps: Deps): Lease => ({ holder: deps.newId(), until: endOfLease(deps.clock) })

/** False: it is ours no more. */
export const keepLease = async (deps: Deps, claimId: string, holder: string): Promise<boolean> =>
  await deps.claims.renew(claimId, { holder, until: endOfLease(deps.clock) })

/**
 * Works on a claim whose lease was taken just now, renewing it while that lasts. A settled claim has no lease any more;
 * one that is left as it is becomes free for the next who asks.
 */
export async function underLease<T extends { claim: Claim }>(
  deps: Deps,
  claim: Claim,
  { holder }: Lease,
  work: () => Promise<T>
): Promise<T> {
  const ended = new AbortController()
  const renewal = renewWhile(deps, { claim_id: claim.id }, () => keepLease(deps, claim.id, holder), ended.signal)
  let settled = false
  try {
    const result = await work()
    settled = result.claim.status === 'available'
    return result
  } finally {
    ended.abort()
    await renewal
    if (!settled) await deps.claims.release(claim.id, holder)
  }
}

/** Renews a lease every so often, until its work has ended. */
export async function renewWhile(
  { clock, log }: Pick<Deps, 'clock' | 'log'>,
  of: object,
  renew: () => Promise<boolean>,
  ended: AbortSignal
): Promise<void> {
  while (!ended.aborted) {
    try {
      await clock.sleep(RENEWAL_MS, ended)
    } catch {
      return // The work has ended.
    }
    await renew().catch((error: unknown) => {
      log.warn({ ...of, error: String(error) }, 'lease not renewed')
    })
  }
}
