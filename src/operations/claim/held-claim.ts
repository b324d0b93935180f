import {
  type Claim,
  type ClaimRequest,
  type ClaimResult,
  type Disk,
  type Lease,
  type Origin,
  usabilityOf
} from '../../pool/claim.ts'
import type { ClaimLease, Given } from '../../pool/claim-store.ts'
import type { Image } from '../../pool/image.ts'
import type { Call, Identity, Project, Volume } from '../../pool/ports.ts'
import type { Spare } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'
import { endOfLease, renewing } from '../renewing.ts'
import { isRefusal, notAccessible, outcomeUnknown, staysInPool, unusable } from './refusals.ts'

/** For whom a claim is worked on: a caller's request, or a tick. */
export interface Errand {
  readonly deps: Deps
  readonly call: Call
  readonly poolProject: Project
  /** Undefined: the service acts with its own user. */
  readonly caller: Identity | undefined
  readonly onEmpty: ClaimRequest['onEmpty']
  /** How long the caller waits, by the monotonic clock. */
  readonly waitUntilMs: number
}

/** A claim that is ours to work on. */
export interface HeldClaim extends Errand {
  readonly claim: Claim
  readonly lease: HeldLease
  /** Somebody has worked on it before: anything may have happened in Cinder. */
  readonly isResumed: boolean
  /** What it had when we took it. */
  readonly spare: Spare | undefined
  readonly image?: Image | undefined
}

/** `goodUntilMs`, by the monotonic clock, moves on with each renewal. */
export interface HeldLease extends Lease {
  goodUntilMs: number
}

/** Another request has taken the claim over, since we were silent for too long: look again at how it stands. */
export class Superseded extends Error {
  constructor(why = 'another request has taken it over') {
    super(why)
  }
}

// ---- The lease ------------------------------------------------------------------------------------------------------

/**
 * We rely on a lease for so long after its last renewal, by the monotonic clock. Others take it over only once they have seen it
 * unchanged for as long. So nothing depends on what the clocks say.
 */
const GOOD_MS = 5_000

export const newLease = ({ newId, clock }: Deps): HeldLease => ({
  holder: newId(),
  until: endOfLease(clock),
  goodUntilMs: clock.monotonicMs() + GOOD_MS
})

/** The lease as the tables know it. */
export const leaseOf = ({ claim, lease }: HeldClaim): ClaimLease => ({ claimId: claim.id, holder: lease.holder })

/** More than one replica works on at a time. Beyond it the watch begins anew, which forgets what was settled elsewhere. */
const WATCHED_MAX = 10_000

/** Takes over a claim that nobody works on. Undefined: somebody does, it is settled, or its lease must be watched first. */
export async function takeOver(errand: Errand, claimId: string): Promise<HeldClaim | undefined> {
  const { claims, clock, watched } = errand.deps
  const lease = newLease(errand.deps)
  const before = watched.get(claimId)
  const isLongEnough = before && clock.monotonicMs() >= before.sinceMs + GOOD_MS
  const found = await claims.resume(claimId, lease, clock.now(), isLongEnough ? before.lease : undefined)
  const lapsed = found && 'lapsed' in found ? found.lapsed : undefined
  if (lapsed && isSame(lapsed, before?.lease)) return undefined
  watched.delete(claimId)
  if (watched.size >= WATCHED_MAX) watched.clear()
  if (lapsed) watched.set(claimId, { lease: lapsed, sinceMs: clock.monotonicMs() })
  return found && 'claim' in found
    ? { ...errand, claim: found.claim, lease, isResumed: true, spare: undefined }
    : undefined
}

const isSame = (one: Lease, other: Lease | undefined): boolean =>
  one.holder === other?.holder && one.until.getTime() === other.until.getTime()

/** Waits until watched leases may be taken over, or until the call ends: what comes next sees that by itself. */
export const watch = async ({ clock }: Deps, { signal }: Call): Promise<void> =>
  await clock.sleep(GOOD_MS, signal).catch(() => undefined)

async function renew({ deps, claim, lease }: HeldClaim): Promise<boolean> {
  const goodUntilMs = deps.clock.monotonicMs() + GOOD_MS
  const isOurs = await deps.claims.renew(claim.id, { holder: lease.holder, until: endOfLease(deps.clock) })
  if (isOurs) lease.goodUntilMs = goodUntilMs
  return isOurs
}

/** Call before an irreversible step. Free while the lease is good. */
export async function requireHeld(held: HeldClaim): Promise<void> {
  if (held.deps.clock.monotonicMs() < held.lease.goodUntilMs || (await renew(held))) return
  throw new Superseded()
}

/** Works on a claim and renews its lease meanwhile. A settled claim has no lease; any other becomes free for the next. */
export async function underLease<T extends ClaimResult | undefined>(
  held: HeldClaim,
  work: () => Promise<T>
): Promise<T> {
  const { deps, claim, lease } = held
  const endRenewing = renewing(deps, { claim_id: claim.id }, () => renew(held))
  let isSettled = false
  try {
    const result = await work()
    isSettled = result?.claim.status === 'available'
    return result
  } finally {
    await endRenewing()
    if (!isSettled) await deps.claims.release(claim.id, lease.holder)
  }
}

/** Waits between two looks. When the request's time is up, or the service stops, the claim is left as it is. */
export async function pause({ deps, call }: Errand, ms: number): Promise<void> {
  await deps.clock.sleep(ms, call.signal).catch(() => {
    throw outcomeUnknown('the time for this request is up')
  })
  if (deps.isStopping()) throw outcomeUnknown('the service is stopping')
}

export const isTimeUp = ({ deps, waitUntilMs }: Errand): boolean => deps.clock.monotonicMs() >= waitUntilMs

// ---- Its project ----------------------------------------------------------------------------------------------------

/**
 * The project that the disk goes to, seen with the caller's own token where it is scoped there (so that quota, policy and
 * owner are the caller's), else with the service's user.
 */
export async function destinationOf(errand: Errand & Pick<HeldClaim, 'claim'>): Promise<Project> {
  const { deps, poolProject, caller, claim } = errand
  const { projectId } = claim
  if (projectId === poolProject.id) return poolProject
  if (deps.settings.handover === 'rename') throw staysInPool(projectId, poolProject.id)
  return caller?.projectId === projectId ? deps.cloud.withToken(caller) : await asService(errand, projectId)
}

/** A project, seen with the service's user. */
export async function asService({ deps, call }: Errand, projectId: string): Promise<Project> {
  try {
    return await deps.cloud.project(projectId, call)
  } catch (error) {
    throw isRefusal(error, 'project_refused') ? notAccessible(projectId, error.message) : error
  }
}

// ---- Its end --------------------------------------------------------------------------------------------------------

export async function settleWithSpare(held: HeldClaim, spare: Spare): Promise<ClaimResult> {
  const { missReason, status } = held.claim
  const source = status === 'creating' ? 'created' : 'pool'
  return await settle(held, { source, missReason, disk: diskOfSpare(held, spare) }, 'available')
}

/** Records the disk as the claim's: the last step. */
export async function settle(held: HeldClaim, given: Given, volumeStatus: string): Promise<ClaimResult> {
  const { deps, claim } = held
  const at = deps.clock.now()
  if (!(await deps.claims.settle(leaseOf(held), given, at))) throw new Superseded()
  const settled: Claim = { ...claim, ...given, status: 'available', updatedAt: at }
  const seconds = Math.max(0, deps.clock.now().getTime() - claim.createdAt.getTime()) / 1000
  setImmediate(() => tell(deps, settled, seconds)) // The caller's answer need not wait for that.
  return resultOf(settled, volumeStatus)
}

function tell({ observer, log }: Deps, claim: Claim, seconds: number): void {
  observer.claimed(claim, seconds)
  const { id, source, disk, projectId, name } = claim
  log.info({ claim_id: id, source, volume_id: disk?.volumeId, project_id: projectId, name, seconds }, 'disk claimed')
}

/** What a claim's volume in its project means to the caller. */
export function resultOf(claim: Claim, volumeStatus: string): ClaimResult {
  const usability = usabilityOf(volumeStatus)
  if (usability !== 'unusable') return { claim, volumeStatus, usable: usability !== 'on_its_way' }
  throw unusable(claim, claim.disk?.volumeId, `is in status ${volumeStatus}`)
}

export function volumeIdOf({ id, volumeId }: Spare): string {
  if (!volumeId) throw new Error(`spare ${id} has no volume`)
  return volumeId
}

export const stillCreating = (claim: Claim): ClaimResult => ({ claim, volumeStatus: 'creating', usable: false })

/** A disk that was made for the claim has no age as a spare. */
export function diskOfSpare({ deps, claim }: HeldClaim, spare: Spare): Disk {
  const { os, type, volumeType, snapshotId, imageVersion, createdAt } = spare
  const sizeGib = Math.max(spare.sizeGib, claim.wantedSizeGib ?? 0)
  const ageSeconds = Math.max(0, Math.round((deps.clock.now().getTime() - createdAt.getTime()) / 1000))
  const spareAgeSeconds = claim.status === 'creating' ? undefined : ageSeconds
  return { volumeId: volumeIdOf(spare), os, type, volumeType, sizeGib, snapshotId, imageVersion, spareAgeSeconds }
}

export const diskOfVolume = ({ id, volumeType, sizeGib, snapshotId }: Volume, origin: Origin | undefined): Disk => ({
  volumeId: id,
  os: origin?.os,
  type: origin?.type,
  volumeType,
  sizeGib,
  snapshotId,
  imageVersion: origin?.imageVersion,
  spareAgeSeconds: undefined
})

/** Takes its spare from the claim for good. False: the spare is not the claim's any more. */
export const retire = async (held: HeldClaim, { id }: Spare): Promise<boolean> =>
  await held.deps.spares.retire(id, 'reserved', held.deps.clock.now(), leaseOf(held))

/** Forgets the spare's row, since its volume is not ours to touch. */
export const drop = async (held: HeldClaim, { id }: Spare): Promise<boolean> =>
  await held.deps.spares.drop(id, 'reserved', leaseOf(held))
