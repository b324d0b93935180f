import type { Claim } from '../pool/claim.ts'
import type { Deps } from './deps.ts'

/** How long a claim waits for somebody who died at it. */
const LEASE_MS = 10_000
const RENEWAL_MS = 3_000

export const leaseEnd = (now: Date): Date => new Date(now.getTime() + LEASE_MS)

/**
 * Works on a claim whose lease was taken just now, renewing it while that lasts. A settled claim has no lease any more;
 * one that is left as it is becomes free for the next who asks.
 */
export async function underLease<T extends { claim: Claim }>(
  deps: Deps,
  claim: Claim,
  work: () => Promise<T>
): Promise<T> {
  const ended = new AbortController()
  const renewal = renew(deps, claim.id, ended.signal)
  let settled = false
  try {
    const result = await work()
    settled = result.claim.status === 'available'
    return result
  } finally {
    ended.abort()
    await renewal
    if (!settled) await deps.claims.setLease(claim.id, undefined)
  }
}

async function renew(deps: Deps, claimId: string, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    try {
      await deps.clock.sleep(RENEWAL_MS, ended)
    } catch {
      return // The work has ended.
    }
    await deps.claims.setLease(claimId, leaseEnd(deps.clock.now())).catch((error: unknown) => {
      deps.log.warn({ claim_id: claimId, error: String(error) }, 'lease not renewed')
    })
  }
}
