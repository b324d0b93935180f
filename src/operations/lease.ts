import type { Claim, Lease } from '../pool/claim.ts'
import type { Deps } from './deps.ts'

/** How long a claim waits for somebody who died at it. */
export const LEASE_MS = 10_000
const RENEWAL_MS = 3_000

/** Another request has taken the claim over, since ours was too long silent: look again at how it stands. */
export class Superseded extends Error {}

const endOf = ({ clock }: Deps): Date => new Date(clock.now().getTime() + LEASE_MS)

export const newLease = (deps: Deps): Lease => ({ holder: deps.newId(), until: endOf(deps) })

/** False: it is ours no more. */
export const keepLease = async (deps: Deps, claimId: string, holder: string): Promise<boolean> =>
  await deps.claims.renew(claimId, { holder, until: endOf(deps) })

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
  const renewal = renew(deps, claim.id, holder, ended.signal)
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

async function renew(deps: Deps, claimId: string, holder: string, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    try {
      await deps.clock.sleep(RENEWAL_MS, ended)
    } catch {
      return // The work has ended.
    }
    await keepLease(deps, claimId, holder).catch((error: unknown) => {
      deps.log.warn({ claim_id: claimId, error: String(error) }, 'lease not renewed')
    })
  }
}
