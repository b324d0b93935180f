import { type Claim, type ClaimRequest, type ClaimResult, differsFrom, fingerprintOf } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call } from '../../pool/ports.ts'
import { lacksItsName } from '../../pool/verdict.ts'
import type { Deps } from '../deps.ts'
import { destinationOf } from './destination.ts'
import { refuseUnusable, resultOf, stillCreating } from './give-disk.ts'
import { pause, unsettled } from './hand-over.ts'
import { newLease, type OwnClaim, Superseded, takeOver, underLease } from './lease.ts'
import { serveClaim } from './serve-claim.ts'
import { completeName } from './take-at-once.ts'

/** A claim may end, or its disk may go, between two looks; each try starts from what is there now. */
const TRIES = 4

/** Gives a claim its one disk: the one it has, else a spare, else a new one. Safe to repeat from any point. */
export async function claimDisk(deps: Deps, request: ClaimRequest, call: Call): Promise<ClaimResult> {
  try {
    requireSystemDisk(deps, request)
    for (let tries = 0; tries < TRIES; tries += 1) {
      const result = await claimOnce(deps, request, call).catch(againIfSuperseded)
      if (result) return result
    }
    throw unsettled('the claim ended again and again while it was looked at')
  } catch (error) {
    const failure = callersTokenRefused(request, error) ?? error
    if (failure instanceof PoolError || failure instanceof CloudError) deps.observer.claimFailed(request, failure)
    throw failure
  }
}

/** The caller's token was good a moment ago, and Cinder knows it no more: it has expired, or was revoked. */
function callersTokenRefused({ caller }: ClaimRequest, error: unknown): PoolError | undefined {
  if (!caller || !(error instanceof CloudError && error.code === 'unauthenticated')) return undefined
  return new PoolError(
    'unauthenticated',
    `The cloud refuses the token in X-Auth-Token: get a new one. ${error.message}`
  )
}

function againIfSuperseded(error: unknown): undefined {
  if (!(error instanceof Superseded)) throw error
}

function requireSystemDisk({ settings }: Deps, { category }: ClaimRequest): void {
  if (settings.systemCategories.includes(category)) return
  throw new PoolError(
    'not_a_system_disk',
    `Category "${category}" is no system disk (claims.system_categories: ${settings.systemCategories.join(', ')}). ` +
      'Make this disk in Cinder as before.'
  )
}

/** Undefined: start again. */
async function claimOnce(deps: Deps, request: ClaimRequest, call: Call): Promise<ClaimResult | undefined> {
  if (request.idempotencyKey) await refuseReusedKey(deps, request, request.idempotencyKey)
  const lease = newLease(deps)
  const opening = await deps.claims.open(request, deps.newId(), lease, deps.clock.now())
  if (opening) {
    return await underLease(deps, opening.claim, lease, async () => {
      const result = await serveClaim(deps, { request, call, ...opening, resumed: false, lease })
      if (opening.spare) deps.wake('replenish') // Not before: of a claim that is refused the spare comes back.
      return result
    })
  }
  const claim = await deps.claims.living(request.projectId, request.name)
  if (!claim) return undefined
  if (claim.status === 'available') return await answerAgain(deps, request, claim, call)
  requireSameDisk(request, claim)
  return await goOn(deps, request, claim, call)
}

/** A key counts for as long as its claim is remembered, even one whose disk is gone. */
async function refuseReusedKey(deps: Deps, request: ClaimRequest, key: string): Promise<void> {
  const earlier = await deps.claims.byKey(request.projectId, key)
  if (!earlier || earlier.fingerprint === fingerprintOf(request)) return
  throw keyReused(earlier, key)
}

const keyReused = ({ id, name }: Claim, key: string): PoolError =>
  new PoolError(
    'idempotency_key_reused',
    `Idempotency-Key "${key}" was used for another claim (${id}, ${name}). Use a new key for a new claim.`
  )

/** Nobody is given a disk of another image than he names. */
function requireSameDisk(request: ClaimRequest, claim: Claim): void {
  if (!differsFrom(claim, request)) return
  const { idempotencyKey: key } = request
  if (key !== undefined && key === claim.idempotencyKey) throw keyReused(claim, key) // By a rival, since it was looked for.
  const what = claim.disk ? `has volume ${claim.disk.volumeId}` : 'is under way'
  throw new PoolError(
    'claim_differs',
    `${claim.name} in project ${claim.projectId} was claimed with os "${claim.os}" and type "${claim.type}" before (claim ` +
      `${claim.id}, which ${what}), and now with os "${request.os}" and type "${request.type}". Claim the first again, or ` +
      'take another hostname. The name is free once that disk is deleted in Cinder, or that claim has failed.'
  )
}

/** The same volume for as long as it exists in Cinder; undefined when it does not, and the name is free. */
async function answerAgain(
  deps: Deps,
  request: ClaimRequest,
  claim: Claim,
  call: Call
): Promise<ClaimResult | undefined> {
  const volumeId = claim.disk?.volumeId ?? ''
  const destination = await destinationOf(deps, claim.projectId, request.caller, call)
  const volume = await destination.volumes.find(volumeId, call)
  if (!volume) {
    await deps.claims.noteGone(claim.id, deps.clock.now())
    return undefined
  }
  requireSameDisk(request, claim)
  if (claim.source === 'existing') refuseUnusable(claim, volume)
  // Settled by a reconcile that could not see it, after it was moved and before it was renamed.
  if (claim.source === 'pool' && lacksItsName(volume, deps.settings.deployment)) {
    await completeName(deps, { destination, volumeId, claim, call })
  }
  return resultOf(claim, volume.status)
}

const WAIT_FIRST_MS = 20
const WAIT_MOST_MS = 500

/** A claim under way: takes it over where nobody works on it, else waits for whoever does. */
async function goOn(deps: Deps, request: ClaimRequest, first: Claim, call: Call): Promise<ClaimResult | undefined> {
  const waitUntil = deps.clock.monotonicMs() + request.waitSeconds * 1000
  for (let waitMs = WAIT_FIRST_MS; ; waitMs = Math.min(2 * waitMs, WAIT_MOST_MS)) {
    const nowMs = deps.clock.monotonicMs()
    const own = await takeOver(deps, first.id)
    if (own) return await underLease(deps, own.claim, own.lease, () => resume(deps, request, own, call))
    const current = await deps.claims.find(first.id)
    if (current?.status !== 'open' && current?.status !== 'creating') return undefined
    if (current.status === 'creating' && current.disk && nowMs >= waitUntil) {
      return stillCreating(current)
    }
    await pause(deps, waitMs, call)
  }
}

async function resume(deps: Deps, request: ClaimRequest, { claim, lease }: OwnClaim, call: Call): Promise<ClaimResult> {
  const [its, image] = await Promise.all([deps.spares.ofClaim(claim.id), deps.images.find(claim)])
  // It may have broken off while its spare was being put back, or when there was none.
  const next = its === undefined && claim.status === 'open'
  const spare = next ? await deps.spares.reserveOldest(claim.id, claim, deps.clock.now()) : its
  return await serveClaim(deps, { request, call, claim, spare, image, resumed: true, lease })
}
