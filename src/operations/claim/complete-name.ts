import { CloudError } from '../../pool/errors.ts'
import type { Project } from '../../pool/ports.ts'
import { lacksItsName } from '../../pool/verdict.ts'
import type { HeldClaim } from './held-claim.ts'
import { outcomeUnknown } from './refusals.ts'

/** Renames a volume that Cinder has moved, perhaps before it was renamed. What fails now is done by the claim's next repeat. */
export async function completeName(
  { deps, claim, call }: Pick<HeldClaim, 'deps' | 'claim' | 'call'>,
  destination: Project,
  volumeId: string
): Promise<void> {
  try {
    const volume = await destination.volumes.find(volumeId, call)
    if (!volume || !lacksItsName(volume, deps.settings.deployment)) return
    await destination.volumes.update(volumeId, { name: claim.name, metadata: {} }, call)
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    if (error.code !== 'bad_request') throw outcomeUnknown(error.message)
    // It is the claim's all the same, under the name that it has.
    deps.log.error({ claim_id: claim.id, volume_id: volumeId, error: error.message }, 'disk not renamed')
  }
}
