import {
  type Claim,
  type ClaimRequest,
  differsFrom,
  type MissReason,
  usabilityOf,
  usabilityOfExisting
} from '../../pool/claim.ts'
import { CloudError, type CloudErrorCode, PoolError, type PoolErrorCode } from '../../pool/errors.ts'
import type { Volume } from '../../pool/ports.ts'
import type { Deps } from '../deps.ts'

/** Everything that a claim can be refused for, and which failures end it. */

/** These end a claim whose disk is being made. Anything else may be over by its next repeat. */
const ENDS_A_CREATION: readonly PoolErrorCode[] = [
  'quota_exceeded',
  'volume_type_hidden',
  'image_not_found',
  'image_gone',
  'existing_volume_unusable',
  'invalid_request',
  'cloud_error'
]

/** After these Cinder may have moved the disk: the database may have failed when that was recorded. */
const LEAVES_IT_OPEN: readonly PoolErrorCode[] = ['claim_unsettled', 'database_unavailable']

/** Whether a claim is over after this failure, so that it is undone. */
export function endsClaim({ status }: Claim, error: unknown): boolean {
  if (status === 'creating') return error instanceof PoolError && ENDS_A_CREATION.includes(error.code)
  if (status !== 'open') return false
  return error instanceof CloudError || (error instanceof PoolError && !LEAVES_IT_OPEN.includes(error.code))
}

/** The cloud failed in one of these ways. */
export const isRefusal = (error: unknown, ...codes: readonly CloudErrorCode[]): error is CloudError =>
  error instanceof CloudError && codes.includes(error.code)

/** The failed call may still change the volume, whatever a look shows now. */
export const mayStillAct = (error: unknown): boolean => error instanceof CloudError && error.mayStillAct

export const outcomeUnknown = (why: string): PoolError =>
  new PoolError(
    'claim_unsettled',
    `The outcome in Cinder is not known yet (${why}). Repeat the same claim: it will be given the same disk.`,
    { retryAfterSeconds: 2 }
  )

// ---- The request ----------------------------------------------------------------------------------------------------

export function requireSystemDisk({ settings }: Deps, { category }: ClaimRequest): void {
  if (settings.systemCategories.includes(category)) return
  throw new PoolError(
    'not_a_system_disk',
    `Category "${category}" is no system disk (claims.system_categories: ${settings.systemCategories.join(', ')}). ` +
      'Make this disk in Cinder as before.'
  )
}

/** The caller's token was good a moment ago, and Cinder refuses it now: it has expired, or was revoked. */
export function callersTokenRefused({ caller }: ClaimRequest, error: unknown): PoolError | undefined {
  if (!caller || !isRefusal(error, 'unauthenticated')) return undefined
  return new PoolError(
    'unauthenticated',
    `The cloud refuses the token in X-Auth-Token: get a new one. ${error.message}`
  )
}

export const keyReused = ({ id, name }: Claim, key: string): PoolError =>
  new PoolError(
    'idempotency_key_reused',
    `Idempotency-Key "${key}" was used for another claim (${id}, ${name}). Use a new key for a new claim.`
  )

/** Nobody is given a disk of another image than the request names. */
export function requireSameDisk(request: ClaimRequest, claim: Claim): void {
  if (!differsFrom(claim, request)) return
  const { idempotencyKey: key } = request
  if (key !== undefined && key === claim.idempotencyKey) throw keyReused(claim, key) // By a rival, since we looked for it.
  const what = claim.disk ? `has volume ${claim.disk.volumeId}` : 'is under way'
  throw new PoolError(
    'claim_differs',
    `${claim.name} in project ${claim.projectId} was claimed with os "${claim.os}" and type "${claim.type}" before (claim ` +
      `${claim.id}, which ${what}), and now with os "${request.os}" and type "${request.type}". Claim the first again, or ` +
      'take another hostname. The name is free once that disk is deleted in Cinder, or that claim has failed.'
  )
}

export const nameRefused = (name: string, cause: CloudError): PoolError =>
  new PoolError(
    'invalid_request',
    `Cinder does not take "${name}" as the name of a volume. ${cause.message} Claim under another hostname.`,
    { cause }
  )

// ---- The project ----------------------------------------------------------------------------------------------------

export const notAccessible = (projectId: string, why: string): PoolError =>
  new PoolError(
    'project_not_accessible',
    `Neither the caller's token nor the service's user can take a disk into project ${projectId}. ${why} Send a Keystone ` +
      "token scoped to that project as X-Auth-Token, or give the service's user a role in it."
  )

export const staysInPool = (projectId: string, poolProjectId: string): PoolError =>
  new PoolError(
    'project_not_accessible',
    `claims.handover is "rename": disks stay in the pool's project ${poolProjectId} and cannot go to ${projectId}.`
  )

export const overQuota = ({ projectId }: Claim, why: string): PoolError =>
  new PoolError(
    'quota_exceeded',
    `Project ${projectId} has no quota left for this disk${why} Raise its quota or delete disks, then claim again.`
  )

/** `why`: Cinder's own words, where it said so. */
export const typeHidden = ({ projectId }: Claim, volumeType: string, why = ''): PoolError =>
  new PoolError(
    'volume_type_hidden',
    `Project ${projectId} may not use volume type ${volumeType}. ${why && `${why} `}An admin must give it access to the type.`
  )

/** An accept was refused for what no other spare would change. */
export function finalRefusal({ code, message }: CloudError, claim: Claim): PoolError | undefined {
  if (code === 'over_quota') return overQuota(claim, `. ${message}`)
  return code === 'project_refused' || code === 'forbidden' ? notAccessible(claim.projectId, message) : undefined
}

export const tooManyUnderWay = ({ projectId, os, type }: Claim, max: number): PoolError =>
  new PoolError(
    'rate_limited',
    `No spare of ${os} on ${type} is left, and ${max} disks are on their way for project ${projectId} already, as many as ` +
      'limits.creating_max_per_project allows. Nothing was done: repeat the claim later.',
    { retryAfterSeconds: 10 }
  )

// ---- The disk -------------------------------------------------------------------------------------------------------

/** An existing volume must boot, too. */
export function refuseUnusable(claim: Claim, volume: Volume): void {
  if (usabilityOfExisting(volume) !== 'unusable') return
  const isBroken = usabilityOf(volume.status) === 'unusable'
  throw unusable(claim, volume.id, isBroken ? `is in status ${volume.status}` : 'is not bootable, so no system disk')
}

export const unusable = ({ name, projectId }: Claim, volumeId: string | undefined, why: string): PoolError =>
  new PoolError(
    'existing_volume_unusable',
    `Volume ${volumeId} is named ${name} in project ${projectId} already and ${why}. ` +
      'Mend, rename or delete it, then claim again.'
  )

export const extensionFailed = (sizeGib: number, why: string): PoolError =>
  new PoolError('cloud_error', `Cinder could not extend a disk to ${sizeGib} GiB: ${why}`)

/** Another disk would fare no better, so the claim ends. */
export const untransferable = (cause: Error): PoolError =>
  new PoolError(
    'cloud_error',
    'Cinder refuses to make a transfer for the disk that was made for this claim, so it cannot be handed over. ' +
      `${cause.message} ` +
      'The claim was undone. An operator must see to the pool first: GET /pool/stats shows its last error.',
    { cause }
  )

/** The pool's own quota is the operator's matter, not the caller's: no `quota_exceeded`. */
export const poolOverQuota = (cause: CloudError): PoolError =>
  new PoolError(
    'cloud_error',
    `No spare is left, and the pool's project has no quota to make a disk. ${cause.message}`,
    { cause, retryAfterSeconds: 30 }
  )

export const imageNotFound = ({ os, type }: Claim): PoolError =>
  new PoolError(
    'image_not_found',
    `No image for os "${os}" on type "${type}": it is not in table os, and no snapshot in Cinder matches ` +
      'images.snapshot_name for it. GET /os lists the images; POST /os/sync reads them again.'
  )

const HOUR_MS = 3_600_000

/** Refusals of the same project and name since then count once. */
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
