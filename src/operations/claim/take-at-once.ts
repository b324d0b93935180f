import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Spare } from '../../pool/spare.ts'
import { lacksItsName } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { accept, type Handover, lookAt, needsExtension, rename, unsettled, waitingTransfer } from './hand-over.ts'
import { requireLease } from './lease.ts'

/**
 * Renames and accepts at the same time, which saves a round of calls, for where no existing volume is looked for before.
 * Undefined: that cannot be done with this spare, and nothing was. Throws as `accept` does.
 */
export async function takeAtOnce(deps: Deps, handover: Handover): Promise<Spare | undefined> {
  const { spare, claim, destination, pool } = handover
  // An admin's rename that is late would be carried out in the tenant's project.
  if (!pool.isConfined || !spare.transfer || destination.id === pool.id || needsExtension(claim, spare))
    return undefined
  const waiting = waitingTransfer(deps, spare, await lookAt(deps, handover))
  if (!waiting) return undefined
  await requireLease(deps, claim.id, handover.lease)
  const prepared = { spare, waiting }
  const [renamed, accepted] = await Promise.allSettled([rename(handover), accept(deps, handover, prepared)])
  const failure: unknown = renamed.status === 'rejected' ? renamed.reason : undefined
  if (accepted.status === 'rejected') throw worse(accepted.reason, failure)
  if (failure !== undefined) await completeName(deps, handover)
  return spare
}

/** A volume that may have moved leaves its claim open; one that may still be renamed must not go back into stock. */
function worse(refusal: unknown, failure: unknown): unknown {
  if (refusal instanceof PoolError && refusal.code === 'claim_unsettled') return refusal
  return failure instanceof CloudError && failure.mayStillAct ? failure : refusal
}

/**
 * For where Cinder has moved the volume before it was renamed, or it is not known whether it was. What does not succeed now is
 * done by the claim's next repeat.
 */
export async function completeName(
  deps: Deps,
  { destination, volumeId, claim, call }: Pick<Handover, 'destination' | 'volumeId' | 'claim' | 'call'>
): Promise<void> {
  try {
    const volume = await destination.volumes.find(volumeId, call)
    if (!volume || !lacksItsName(volume, deps.settings.deployment)) return
    await destination.volumes.update(volumeId, { name: claim.name, metadata: {} }, call)
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    if (error.code !== 'bad_request') throw unsettled(error.message)
    // It is the claim's all the same, under the name that it has.
    deps.log.error({ claim_id: claim.id, volume_id: volumeId, error: error.message }, 'disk not renamed')
  }
}
