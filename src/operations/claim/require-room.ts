import { resourcesOf } from '../../pool/replenishment.ts'
import { allEnded } from '../concurrently.ts'
import { destinationOf, type HeldClaim } from './held-claim.ts'
import { isRefusal, overQuota, typeHidden } from './refusals.ts'

/**
 * Call before a disk is made, or extended, for a claim: Cinder would refuse it only at the accept, when it has cost a spare.
 * `madeGib` is what there is of it in the pool's project. Where the token may not look, Cinder decides later.
 */
export async function requireRoom(held: HeldClaim, volumeType: string, sizeGib: number, madeGib = 0): Promise<void> {
  const { volumes, id } = await destinationOf(held)
  const [quota, types] = await allEnded(
    volumes.quota(held.call).catch(undefinedIfRefused),
    volumes.types(held.call).catch(undefinedIfRefused)
  )
  if (types && !types.includes(volumeType)) throw typeHidden(held.claim, volumeType)
  // What is in the project already is counted there.
  const grows = madeGib > 0 && id === held.poolProject.id
  const growth = resourcesOf(volumeType, sizeGib - madeGib).filter(([name]) => name.startsWith('gigabytes'))
  const needs = [...(grows ? growth : resourcesOf(volumeType, sizeGib)), ['per_volume_gigabytes', sizeGib] as const]
  for (const [name, need] of needs) {
    const left = Math.max(0, quota?.get(name) ?? need)
    if (need > left) throw overQuota(held.claim, `: it takes ${need} of ${name}, and ${left} are left.`)
  }
}

function undefinedIfRefused(error: unknown): undefined {
  if (!isRefusal(error, 'forbidden', 'not_found', 'bad_request')) throw error
}
