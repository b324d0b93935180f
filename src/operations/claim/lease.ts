import type { Claim, Lease } from '../../pool/claim.ts'
import type { ClaimLease } from '../../pool/claim-store.ts'
import type { Call } from '../../pool/ports.ts'
import type { Deps } from '../deps.ts'
import { endOfLease, renewing } from '../renewing.ts'

/**
 * A lease that was not renewed for so long, by the clock that only goes forward, is not relied on without asking; and whose
 * lease others have seen unchanged for so long works on its claim no more. So nothing hangs on what the clocks say.
 */
const GOOD_MS = 5_000

/** Another request has taken the claim over, since ours was too long silent: look again at how it stands. */
export class Superseded extends Error {}

/** As it is recorded, and as we know it: `goodUntilMs`, by the clock that only goes forward, moves on with each renewal. */
export interface HeldLease extends Lease {
  goodUntilMs: number
}

export const newLease = ({ newId, clock }: Deps): HeldLease => ({
  holder: newId(),
  until: endOfLease(clock),
  goodUntilMs: clock.monotonicMs() + GOOD_MS
})

/** A claim, and the lease that makes it ours to work on. */
export interface OwnClaim {
  readonly claim: Claim
  readonly lease: HeldLease
}

/** More than one replica works on at a time. Beyond it the watch begins anew: what was settled elsewhere is among them. */
const WATCHED_MAX = 10_000

/** Takes over a claim that nobody works on. Undefined: somebody does, or it is settled, or it is to be watched for GOOD_MS. */
export async function takeOver(deps: Deps, claimId: string): Promise<OwnClaim | undefined> {
  const { claims, clock, watched } = deps
  const lease = newLease(deps)
  const before = watched.get(claimId)
  const isLongEnough = before && clock.monotonicMs() >= before.sinceMs + GOOD_MS
  const found = await claims.resume(claimId, lease, clock.now(), isLongEnough ? before.lease : undefined)
  const lapsed = found && 'lapsed' in found ? found.lapsed : undefined
  if (lapsed && isSame(lapsed, before?.lease)) return undefined
  watched.delete(claimId)
  if (watched.size >= WATCHED_MAX) watched.clear()
  if (lapsed) watched.set(claimId, { lease: lapsed, sinceMs: clock.monotonicMs() })
  return found && 'claim' in found ? { claim: found.claim, lease } : undefined
}

const isSame = (one: Lease, other: Lease | undefined): boolean =>
  one.holder === other?.holder && one.until.getTime() === other.until.getTime()

/** Until what was watched may be taken over; cut short, it may not. */
export const watch = async ({ clock }: Deps, { signal }: Call): Promise<void> =>
  await clock.sleep(GOOD_MS, signal).catch(() => undefined)

/** As the tables know it. */
export const leaseOf = ({ claim, lease }: OwnClaim): ClaimLease => ({
  claimId: claim.id,
  holder: lease.holder
})

/** False: it is ours no more. */
async function keepLease(deps: Deps, claimId: string, lease: HeldLease): Promise<boolean> {
  const goodUntilMs = deps.clock.monotonicMs() + GOOD_MS
  const isOurs = await deps.claims.renew(claimId, { holder: lease.holder, until: endOfLease(deps.clock) })
  if (isOurs) lease.goodUntilMs = goodUntilMs
  return isOurs
}

/** Asks the database: throws Superseded where another request has the claim. */
export async function requireHeld(deps: Deps, { claim, lease }: OwnClaim): Promise<void> {
  if (!(await keepLease(deps, claim.id, lease))) throw new Superseded('another request has taken it over')
}

/** Call before an irreversible step: throws Superseded where another request has the claim. Free while the lease is good. */
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
