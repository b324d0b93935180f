import type { Claim, MissReason } from '../../pool/claim.ts'
import { PoolError } from '../../pool/errors.ts'
import type { Deps } from '../deps.ts'

const HOUR_MS = 3_600_000

/** Since when a refusal of the same project and name counts as the same one. */
export const refusedBefore = ({ clock }: Pick<Deps, 'clock'>): Date => new Date(clock.now().getTime() - HOUR_MS)

/** A claim that is refused for want of stock is a miss, too, however often its caller asks within the hour. */
export async function refuseEmpty(deps: Deps, claim: Claim, reason: MissReason): Promise<PoolError> {
  const { os, type } = claim
  const isCounted = await deps.history.countRefusal(claim, reason, deps.clock.now(), refusedBefore(deps))
  if (isCounted) deps.observer.claimRefused({ os, type }, reason)
  return new PoolError(
    'pool_empty',
    `No spare of ${os} on ${type} can be handed out now (${reason}), and on_empty is "fail". Repeat later, send ` +
      'wait_seconds to wait for one, or on_empty "create" to have a disk made.',
    { retryAfterSeconds: 10 }
  )
}
