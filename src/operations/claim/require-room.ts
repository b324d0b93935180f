import type { Claim } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call, Project, Quota } from '../../pool/ports.ts'
import { resourcesOf } from '../../pool/replenishment.ts'
import { allEnded } from '../concurrently.ts'

/** Where a disk is to go, with the token that will take it in. */
interface Move {
  readonly claim: Claim
  readonly pool: Project
  readonly destination: Project
  readonly call: Call
}

/** The disk that it will be. `madeGib`: what there is of it in the pool's project; none, it has to be made. */
interface Wanted {
  readonly volumeType: string
  readonly sizeGib: number
  readonly madeGib: number
}

/**
 * Before a disk is made, or extended, for a claim: throws what Cinder would say once it were to be taken in, by which time it
 * has cost a spare. Where the token may not look, Cinder is asked as it comes.
 */
export async function requireRoom({ claim, pool, destination, call }: Move, wanted: Wanted): Promise<void> {
  const { volumes } = destination
  const [quota, types] = await allEnded(
    volumes.quota(call).catch(undefinedIfRefused),
    volumes.types(call).catch(undefinedIfRefused)
  )
  if (types && !types.includes(wanted.volumeType)) throw typeHidden(claim, wanted.volumeType)
  const short = needsOf(wanted, destination.id === pool.id).find(([name, need]) => need > (quota?.get(name) ?? need))
  if (quota && short) throw noRoom(claim, short, quota)
}

function undefinedIfRefused(error: unknown): undefined {
  const isRefused = error instanceof CloudError && ['forbidden', 'not_found', 'bad_request'].includes(error.code)
  if (!isRefused) throw error
}

/** What is in the project already is counted there. */
function needsOf({ volumeType, sizeGib, madeGib }: Wanted, isThere: boolean): [string, number][] {
  const needs = isThere && madeGib > 0 ? growth(volumeType, sizeGib - madeGib) : resourcesOf(volumeType, sizeGib)
  return [...needs, ['per_volume_gigabytes', sizeGib]]
}

const growth = (volumeType: string, gib: number): [string, number][] =>
  resourcesOf(volumeType, gib).filter(([name]) => name.startsWith('gigabytes'))

/** `why`: how Cinder said so, where it did. */
export const typeHidden = ({ projectId }: Claim, volumeType: string, why = ''): PoolError =>
  new PoolError(
    'volume_type_hidden',
    `Project ${projectId} may not use volume type ${volumeType}. ${why && `${why} `}An admin must give it access to the type.`
  )

function noRoom({ projectId }: Claim, [name, need]: [string, number], quota: Quota): PoolError {
  const left = Math.max(0, quota.get(name) ?? 0)
  return new PoolError(
    'quota_exceeded',
    `Project ${projectId} has no quota left for this disk: it takes ${need} of ${name}, and ${left} are left. ` +
      'Raise its quota or delete disks, then claim again.'
  )
}
