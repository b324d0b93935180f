import { type Claim, type ClaimRequest, type ClaimResult, fingerprintOf } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call } from '../../pool/ports.ts'
import type { Deps } from '../deps.ts'
import {
  destinationOf,
  type Errand,
  type HeldClaim,
  isTimeUp,
  newLease,
  pause,
  resultOf,
  Superseded,
  stillCreating,
  takeOver,
  underLease
} from './held-claim.ts'
import { undo } from './put-back.ts'
import {
  callersTokenRefused,
  keyReused,
  outcomeUnknown,
  refuseUnusable,
  requireSameDisk,
  requireSystemDisk
} from './refusals.ts'
import { serve } from './serve.ts'

/** A claim may end, or its disk may go, between two looks; each try starts from what is there now. */
const TRIES = 4

/** Gives a claim its one disk: the one it has, else a spare, else a new one. Safe to repeat from any point. */
export async function claimDisk(deps: Deps, request: ClaimRequest, call: Call): Promise<ClaimResult> {
  try {
    requireSystemDisk(deps, request)
    const waitUntilMs = deps.clock.monotonicMs() + request.waitSeconds * 1000
    const poolProject = await deps.cloud.poolProject(call)
    const errand = { deps, call, poolProject, caller: request.caller, onEmpty: request.onEmpty, waitUntilMs }
    for (let tries = 0; tries < TRIES; tries += 1) {
      const result = await openOrJoin(errand, request).catch(againIfSuperseded)
      if (result) return result
    }
    throw outcomeUnknown('the claim ended again and again while it was looked at')
  } catch (error) {
    const failure = callersTokenRefused(request, error) ?? error
    if (failure instanceof PoolError || failure instanceof CloudError) deps.observer.claimFailed(request, failure)
    throw failure
  }
}

function againIfSuperseded(error: unknown): undefined {
  if (!(error instanceof Superseded)) throw error
}

/** Undefined: start again. */
async function openOrJoin(errand: Errand, request: ClaimRequest): Promise<ClaimResult | undefined> {
  const { deps } = errand
  if (request.idempotencyKey) await refuseReusedKey(deps, request, request.idempotencyKey)
  const lease = newLease(deps)
  const opening = await deps.claims.open(request, deps.newId(), lease, deps.clock.now())
  if (opening) {
    const held = { ...errand, ...opening, lease, isResumed: false }
    const result = await underLease(held, () => serve(held))
    if (opening.spare) deps.wake('replenish') // Only now: a claim that is refused gives its spare back.
    return result
  }
  const claim = await deps.claims.living(request.projectId, request.name)
  if (!claim) return undefined
  if (claim.status === 'available') return await answerAgain(errand, request, claim)
  requireSameDisk(request, claim)
  return await join(errand, claim)
}

/** A key counts for as long as its claim is remembered, even one whose disk is gone. */
async function refuseReusedKey(deps: Deps, request: ClaimRequest, key: string): Promise<void> {
  const earlier = await deps.claims.byKey(request.projectId, key)
  if (earlier && earlier.fingerprint !== fingerprintOf(request)) throw keyReused(earlier, key)
}

/** The same volume for as long as it exists in Cinder. Undefined: it does not, and the name is free. */
async function answerAgain(errand: Errand, request: ClaimRequest, claim: Claim): Promise<ClaimResult | undefined> {
  const { deps, call } = errand
  const volumeId = claim.disk?.volumeId ?? ''
  const destination = await destinationOf({ ...errand, claim })
  const volume = await destination.volumes.find(volumeId, call)
  if (!volume) {
    await deps.claims.noteGone(claim.id, deps.clock.now())
    return undefined
  }
  requireSameDisk(request, claim)
  if (claim.source === 'existing') refuseUnusable(claim, volume)
  return resultOf(claim, volume.status)
}

const WAIT_FIRST_MS = 20
const WAIT_MOST_MS = 500

/** A claim under way: takes it over if nobody works on it, else waits for whoever does. */
async function join(errand: Errand, { id }: Claim): Promise<ClaimResult | undefined> {
  for (let waitMs = WAIT_FIRST_MS; ; waitMs = Math.min(2 * waitMs, WAIT_MOST_MS)) {
    const isLast = isTimeUp(errand)
    const held = await takeOver(errand, id)
    if (held) return await underLease(held, () => resume(held))
    const current = await errand.deps.claims.find(id)
    if (current?.status !== 'open' && current?.status !== 'creating') return undefined
    if (current.status === 'creating' && current.disk && isLast) return stillCreating(current)
    await pause(errand, waitMs)
  }
}

async function resume(held: HeldClaim): Promise<ClaimResult> {
  const { spares, images, clock } = held.deps
  const { claim } = held
  const [reserved, image] = await Promise.all([spares.ofClaim(claim.id), images.find(claim)])
  // It may have broken off while its spare was being put back, or when there was none.
  const needsSpare = reserved === undefined && claim.status === 'open'
  const spare = needsSpare ? await spares.reserveOldest(claim.id, claim, clock.now()) : reserved
  return await serve({ ...held, spare, image })
}

/** Then nobody will come for a disk that only its caller's token can accept. */
const ABANDONED_AFTER_MS = 24 * 3_600_000

/**
 * A claim that nobody works on: hands over a disk that was made for it, and undoes what broke off. True: the claim has its disk
 * now, or has ended. What cannot be told yet is left for the next time.
 */
export async function settleClaim(deps: Deps, claimId: string, call: Call): Promise<boolean> {
  const poolProject = await deps.cloud.poolProject(call)
  const waitUntilMs = deps.clock.monotonicMs()
  const errand = { deps, call, poolProject, caller: undefined, onEmpty: 'create', waitUntilMs } as const
  try {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const held = await takeOver(errand, claimId)
      if (!held) return false
      if (await underLease(held, () => finish(held)).then(() => true, againIfSuperseded)) break
    }
  } catch (error) {
    if (!(error instanceof CloudError || error instanceof PoolError)) throw error
    deps.log.debug({ claim_id: claimId, error: error.message }, 'claim not settled yet')
  }
  const after = await deps.claims.find(claimId)
  const isSettled = after?.status !== 'open' && after?.status !== 'creating'
  if (isSettled) deps.observer.repaired('settled_claim', 1)
  return isSettled
}

async function finish(held: HeldClaim): Promise<ClaimResult | undefined> {
  const { deps, claim } = held
  try {
    if (claim.status === 'creating') return await resume(held)
  } catch (error) {
    const isAbandoned = deps.clock.now().getTime() - claim.createdAt.getTime() > ABANDONED_AFTER_MS
    if (!isAbandoned || !(error instanceof PoolError && error.code === 'project_not_accessible')) throw error
    deps.log.warn({ claim_id: claim.id, volume_id: claim.disk?.volumeId }, 'nobody came for a disk within a day')
  }
  await undo(held)
  return undefined
}
