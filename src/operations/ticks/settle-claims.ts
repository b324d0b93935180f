import type { Claim, ClaimRequest } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call } from '../../pool/ports.ts'
import { DEPLOYMENT_KEY, type Spare } from '../../pool/spare.ts'
import { serviceIn } from '../claim/destination.ts'
import { giveSpare } from '../claim/give-disk.ts'
import { type HeldLease, leaseOf, type OwnClaim, Superseded, takeOver, underLease, watch } from '../claim/lease.ts'
import { putBack } from '../claim/put-back.ts'
import { fitsPool, serveClaim } from '../claim/serve-claim.ts'
import { completeName } from '../claim/take-at-once.ts'
import { concurrently } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { type TickRun, tolerant } from '../tolerant.ts'

const PAGE = 100

/**
 * Settles the claims that nobody works on: made disks are handed over, what broke off is finished or undone. All of them,
 * however many cannot be settled yet.
 */
export async function settleClaims(deps: Deps, run: TickRun): Promise<number> {
  let settled = 0
  let last: Claim | undefined
  do {
    const claims = await deps.claims.unsettled(deps.clock.now(), PAGE, last)
    const ids = claims.map(({ id }) => id)
    settled += await settleEach(deps, ids, run)
    const lapsed = ids.filter(id => deps.watched.has(id))
    if (lapsed.length > 0) {
      await watch(deps, run)
      settled += await settleEach(deps, lapsed, run)
    }
    last = claims[PAGE - 1]
  } while (last)
  return settled
}

async function settleEach(deps: Deps, ids: readonly string[], run: TickRun): Promise<number> {
  let settled = 0
  await concurrently(ids, 4, async id => {
    if (await tolerant(deps, run, { claim_id: id }, () => settleClaim(deps, id, run))) settled += 1
  })
  return settled
}

/** As many as a request has: a spare may come into stock for the claim while its own disk is looked at. */
const TRIES = 4

/** True: the claim has its disk now, or has ended. What cannot be told yet is left for the next time. */
export async function settleClaim(deps: Deps, claimId: string, call: Call, tries = TRIES): Promise<boolean> {
  const own = await takeOver(deps, claimId)
  if (!own) return false
  const { claim, lease } = own
  try {
    await underLease(deps, claim, lease, async () => {
      if (claim.status === 'creating') return await finishCreation(deps, claim, lease, call)
      await finishOrUndo(deps, { claim, lease }, call)
      return { claim }
    })
  } catch (error) {
    if (error instanceof Superseded && tries > 1) return await settleClaim(deps, claimId, call, tries - 1)
    if (!(error instanceof CloudError || error instanceof PoolError || error instanceof Superseded)) throw error
    deps.log.debug({ claim_id: claimId, error: error.message }, 'claim not settled yet')
  }
  const after = await deps.claims.find(claimId)
  const settled = after?.status !== 'open' && after?.status !== 'creating'
  if (settled) deps.observer.repaired('settled_claim', 1)
  return settled
}

/** A disk that only its caller's token can accept, and that nobody came for. */
const ABANDONED_AFTER_MS = 24 * 3_600_000

async function finishCreation(deps: Deps, claim: Claim, lease: HeldLease, call: Call): Promise<{ claim: Claim }> {
  const [spare, image] = await Promise.all([deps.spares.ofClaim(claim.id), deps.images.find(claim)])
  try {
    return await serveClaim(deps, { claim, request: requestOf(claim), spare, image, call, resumed: true, lease })
  } catch (error) {
    const abandoned = deps.clock.now().getTime() - claim.createdAt.getTime() > ABANDONED_AFTER_MS
    if (!abandoned || !(error instanceof PoolError && error.code === 'project_not_accessible')) throw error
    deps.log.warn({ claim_id: claim.id, volume_id: spare?.volumeId }, 'nobody came for a disk within a day')
    await finishOrUndo(deps, { claim, lease }, call)
    return { claim }
  }
}

/** What was asked for, without the caller: only the service's own user can act for it. */
const requestOf = (claim: Claim): ClaimRequest => ({
  os: claim.os,
  type: claim.type,
  hostname: claim.hostname,
  category: claim.category,
  name: claim.name,
  sizeGib: claim.wantedSizeGib,
  projectId: claim.projectId,
  onEmpty: 'create',
  waitSeconds: 0,
  idempotencyKey: claim.idempotencyKey,
  caller: undefined
})

/**
 * Ends a claim that broke off, or that nobody came for. Its spare is still in the pool: disarmed, so that an accept which is
 * late cannot take it any more, and put back, or retired where it was made for the claim alone. Not there: Cinder has moved
 * it, and it is the claim's.
 */
async function finishOrUndo(deps: Deps, own: OwnClaim, call: Call): Promise<void> {
  const { claim } = own
  const spare = await deps.spares.ofClaim(claim.id)
  if (spare?.volumeId && spare.availableAt !== undefined) {
    if (await isHandedOverInPool(deps, claim, spare, call)) return void (await giveSpare(deps, own, spare))
    const how = { fit: claim.status === 'open' || (await fitsPool(deps, spare)), sent: true }
    const isBack = await putBack(deps, own, await deps.cloud.poolProject(call), spare, how, call)
    if (!isBack) return await giveMoved(deps, own, spare, call)
  } else if (spare) {
    await deps.spares.retire(spare.id, 'reserved', deps.clock.now(), leaseOf(own)) // Its creation may still turn up.
  }
  await deps.claims.forget(leaseOf(own))
}

/** In the pool's own project the rename is the last step: what bears the claim's name may be answered and in use by now. */
async function isHandedOverInPool(deps: Deps, claim: Claim, { volumeId = '' }: Spare, call: Call): Promise<boolean> {
  const pool = await deps.cloud.poolProject(call)
  if (claim.projectId !== pool.id) return false
  const volume = await pool.volumes.find(volumeId, call)
  return volume?.name === claim.name && volume.metadata[DEPLOYMENT_KEY] === undefined
}

/** Its owner may be out of our sight; a volume that is nowhere was deleted, and the spare goes the way of the retired. */
async function giveMoved(deps: Deps, own: OwnClaim, spare: Spare, call: Call): Promise<void> {
  const { claim } = own
  const volumeId = spare.volumeId ?? ''
  const destination = await serviceIn(deps, claim.projectId, call).catch(outOfSight)
  if (destination && !(await destination.volumes.find(volumeId, call))) {
    await deps.spares.retire(spare.id, 'reserved', deps.clock.now(), leaseOf(own))
    await deps.claims.forget(leaseOf(own))
    return
  }
  if (destination) await completeName(deps, { destination, volumeId, claim, call })
  await giveSpare(deps, own, spare)
}

function outOfSight(error: unknown): undefined {
  if (!(error instanceof PoolError)) throw error
}
