import type { Claim, Lease } from '../pool/claim.ts'
import type { ClaimLease } from '../pool/claim-store.ts'
import { LEASE_SECONDS } from '../pool/lease.ts'
import type { Clock } from '../pool/ports.ts'
import type { Deps } from './deps.ts'

export const LEASE_MS = LEASE_SECONDS * 1000
const RENEWAL_MS = 3_000

/** Another request has taken the claim over, since ours was too long silent: look again at how it stands. */
export class Superseded extends Error {}

export const endOfLease = (clock: Clock): Date => new Date(clock.now().getTime() + LEASE_MS)

/** As it is recorded, and as we know it: `goodUntilMs`, by the clock that only goes forward, moves on with each renewal. */
export interface HeldLease extends Lease {
  goodUntilMs: number
}

export const newLease = ({ newId, clock }: Deps): HeldLease => ({
  holder: newId(),
  until: endOfLease(clock),
  goodUntilMs: clock.monotonicMs() + LEASE_MS
})

/** A claim, and the lease that makes it ours to work on. */
export interface OwnClaim {
  readonly claim: Claim
  readonly lease: HeldLease
}

/** As the tables know it. */
export const leaseOf = ({ claim, lease }: OwnClaim): ClaimLease => ({
  claimId: claim.id,
  holder: lease.holder
})

/** False: it is ours no more. */
export async function keepLease(deps: Deps, claimId: string, lease: HeldLease): Promise<boolean> {
  const goodUntilMs = deps.clock.monotonicMs() + LEASE_MS
  const isOurs = await deps.claims.renew(claimId, { holder: lease.holder, until: endOfLease(deps.clock) })
  if (isOurs) lease.goodUntilMs = goodUntilMs
  return isOurs
}

/** After what came to nothing, perhaps since it is ours no more: throws Superseded then. */
export async function requireHeld(deps: Deps, { claim, lease }: OwnClaim): Promise<void> {
  if (!(await keepLease(deps, claim.id, lease))) throw new Superseded('another request has taken it over')
}

/** Before what another request must not find done: throws Superseded where it has the claim. Costs nothing in its time. */
export async function requireLease(deps: Deps, claimId: string, lease: HeldLease): Promise<void> {
  if (deps.clock.monotonicMs() < lease.goodUntilMs || (await keepLease(deps, claimId, lease))) return
  throw new Superseded('another request has taken it over')
}

/**
 * Works on a claim whose lease was taken just now, renewing it while that lasts. A settled claim has no lease any more;
 * one that is left as it is becomes free for the next who asks.
 */
export async function underLease<T extends { claim: Claim }>(
  deps: Deps,
  claim: Claim,
  lease: HeldLease,
  work: () => Promise<T>
): Promise<T> {
  const endRenewing = renewing(deps, { claim_id: claim.id }, () => keepLease(deps, claim.id, lease))
  let settled = false
  try {
    const result = await work()
    settled = result.claim.status === 'available'
    return result
  } finally {
    await endRenewing()
    if (!settled) await deps.claims.release(claim.id, lease.holder)
  }
}

/** Renews a lease every so often; gives what ends that, and waits for a renewal under way. */
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
