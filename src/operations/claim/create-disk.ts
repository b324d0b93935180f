import { type Claim, type ClaimResult, type Disk, usabilityOf } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import { type Image, usableSnapshotIds } from '../../pool/image.ts'
import { UNCLEAR_SECONDS } from '../../pool/lease.ts'
import type { Project, Volume } from '../../pool/ports.ts'
import { snapshotInTurn } from '../../pool/replenishment.ts'
import { type Spare, samePool } from '../../pool/spare.ts'
import { verdictOnCreating } from '../../pool/verdict.ts'
import { collect } from '../concurrently.ts'
import { isOfGoneSnapshot, requireSnapshot } from '../images/gone-snapshots.ts'
import { findImage } from '../images/read-images.ts'
import { giveUp } from '../spare/give-up.ts'
import { noteFinished } from '../spare/note-finished.ts'
import { EncryptedDisk, requestVolume } from '../spare/request-volume.ts'
import { handOver, whereIs } from './hand-over.ts'
import {
  asService,
  destinationOf,
  diskOfSpare,
  diskOfVolume,
  type HeldClaim,
  isTimeUp,
  leaseOf,
  pause,
  resultOf,
  Superseded,
  settle,
  stillCreating,
  volumeIdOf
} from './held-claim.ts'
import { outcomeUnknown, overQuota, poolOverQuota, tooManyUnderWay } from './refusals.ts'
import { requireRoom } from './require-room.ts'

/** A snapshot may go as its replacement does; more in a row is no chance. */
const SNAPSHOTS_TRIED = 3

/** Refused, since the snapshot is gone. Another may have taken its place. */
class SnapshotGone extends Error {}

/**
 * Makes a disk for a claim that found no spare. In the claim's project itself if the service's user is admin there, since only
 * an admin sees the pool's snapshots from another project; else in the pool's, to be handed over when it is ready.
 */
export async function createDisk(held: HeldClaim, first: Image): Promise<ClaimResult> {
  const project = await projectAsAdmin(held)
  let image = first
  for (let tries = 1; ; tries += 1) {
    try {
      return project ? await createInProject(held, image, project) : await createInPool(held, image)
    } catch (error) {
      if (!(error instanceof SnapshotGone)) throw error
      if (tries >= SNAPSHOTS_TRIED) throw outcomeUnknown('the snapshots that its disk is to be made from go one by one')
    }
    image = (await findImage(held.deps, held.claim, held.call)) ?? image
    requireSnapshot(image)
  }
}

async function projectAsAdmin(held: HeldClaim): Promise<Project | undefined> {
  if (held.claim.projectId === held.poolProject.id) return undefined
  try {
    const project = await asService(held, held.claim.projectId)
    return project.roles.includes('admin') ? project : undefined
  } catch (error) {
    if (error instanceof PoolError) return undefined // Only the caller's token reaches it.
    throw error
  }
}

function sizeOf({ deps: { settings }, claim }: HeldClaim, image: Image): number {
  const pooled = settings.targets.find(target => samePool(target, claim))?.sizeGib
  return Math.max(claim.wantedSizeGib ?? pooled ?? 0, image.sizeGib)
}

/** Before Cinder is asked, since the disk may be made from then on. Throws if the project has enough on their way. */
async function begin({ deps, claim }: HeldClaim): Promise<void> {
  const max = deps.settings.creatingMaxPerProject
  const outcome = await deps.claims.beginCreating(claim, claim.missReason ?? 'empty', max, deps.clock.now())
  if (outcome === 'over') throw new Superseded()
  if (outcome === 'too_many') throw tooManyUnderWay(claim, max)
}

async function noteDisk({ deps, claim }: HeldClaim, disk: Disk | undefined): Promise<Claim> {
  const noted = await deps.claims.noteCreating(claim.id, claim.missReason ?? 'empty', disk, deps.clock.now())
  if (!noted) throw new Superseded()
  return noted
}

// ---- In the pool's project ------------------------------------------------------------------------------------------

async function createInPool(held: HeldClaim, image: Image): Promise<ClaimResult> {
  const { deps, claim, call } = held
  const { os, type, missReason } = claim
  const sizeGib = sizeOf(held, image)
  await requireRoom(held, image.volumeType, sizeGib)
  await begin(held)
  const isReplicated = image.replicaSnapshotIds.length > 0
  const snapshotId = isReplicated ? snapshotInTurn(image, (await deps.spares.stock()).holdings) : image.snapshotId
  const creation = { os, type, image, snapshotId, sizeGib }
  const takesSpare = missReason !== 'handover_failed' // Else it has been given enough of them.
  const recorded = await deps.spares.requestFor(claim.id, creation, deps.newId(), deps.clock.now(), takesSpare)
  if (!recorded) throw new Superseded('another request has begun to make its disk')
  if (recorded.availableAt) throw new Superseded(SPARE_HAS_COME)
  const asking = requestVolume(deps, recorded, call).finally(() => deps.wake('replenish')) // First those who wait.
  const spare = await asking.catch(async (error: unknown) => {
    throw await refusedInPool(held, snapshotId, error)
  })
  if (!spare) throw new Superseded()
  return await awaitDisk(held, spare, true)
}

const SPARE_HAS_COME = 'a spare has come into stock for it'

async function refusedInPool(held: HeldClaim, snapshotId: string, error: unknown): Promise<unknown> {
  const { deps, call } = held
  if (!(error instanceof CloudError)) return error
  if (error.mayHaveActed) return outcomeUnknown(error.message)
  if (await isOfGoneSnapshot(deps, snapshotId, error, call)) return new SnapshotGone()
  if (!(await deps.claims.forget(leaseOf(held)))) return new Superseded(SPARE_HAS_COME)
  if (error instanceof EncryptedDisk) return new PoolError('image_not_found', error.message, { cause: error })
  return error.code === 'over_quota' ? poolOverQuota(error) : error
}

const DISK_POLL_MS = 500

/** Waits for a disk in the pool's project for as long as the caller does, and hands it over when it is ready. */
export async function awaitDisk(before: HeldClaim, spare: Spare, isJustAsked = false): Promise<ClaimResult> {
  const creating = { ...before.claim, status: 'creating' } as const
  const disk = diskOfSpare({ ...before, claim: creating }, spare)
  const held = { ...before, claim: before.claim.disk ? before.claim : await noteDisk(before, disk) }
  for (let isLooking = !isJustAsked; ; isLooking = true) {
    const ready = isLooking && (await look(held, spare))
    const result = ready && (await handOver(held, ready))
    if (result) return result
    if (ready) throw failed('cannot be handed over')
    if (isTimeUp(held)) return stillCreating(held.claim)
    await pause(held, DISK_POLL_MS)
    await requireItsOwn(held, spare)
  }
}

/** Gives the spare once Cinder has finished it. One that failed goes; the claim's next repeat, or reconcile, makes another. */
async function look(held: HeldClaim, spare: Spare): Promise<Spare | undefined> {
  const { deps, poolProject, claim, call } = held
  const volume = await poolProject.volumes.find(volumeIdOf(spare), call)
  const verdict = verdictOnCreating(spare, volume)
  if (verdict === 'keep') return undefined
  if (verdict === 'stock' || verdict === 'rearm') {
    const [ready] = await noteFinished(deps, [{ id: spare.id, toArm: false, claimId: claim.id }])
    return ready ?? (await requireItsOwn(held, spare))
  }
  const isMoved = !volume && (await whereIs(held, spare)) === 'destination'
  if (isMoved) throw new Superseded() // By a request whose lease had run out.
  await giveUp(deps, poolProject, spare, volume, call)
  throw failed(`failed (${volume?.status ?? 'gone'})`)
}

const failed = (how: string): PoolError => outcomeUnknown(`the disk that was being made for it ${how}; another is made`)

/** It may have been left to the stock, for one that came first; then it may be anybody's by now. */
async function requireItsOwn({ deps, claim }: HeldClaim, spare: Spare): Promise<Spare> {
  const current = await deps.spares.ofClaim(claim.id)
  if (current?.id === spare.id) return current
  throw new Superseded(current ? SPARE_HAS_COME : 'its disk was given up, or handed over by another request')
}

// ---- In the claim's project -----------------------------------------------------------------------------------------

/** The volume is the project's from birth, under its final name and without our metadata: a repeat finds it by name. */
async function createInProject(held: HeldClaim, image: Image, project: Project): Promise<ClaimResult> {
  const { deps, claim, call } = held
  if (claim.status === 'creating' && !claim.disk) await requireNoneOnItsWay(held)
  await begin(held)
  const [snapshotId = image.snapshotId] = usableSnapshotIds(image)
  const wish = { name: claim.name, snapshotId, sizeGib: sizeOf(held, image), volumeType: image.volumeType }
  const asking = project.volumes.create(wish, call).finally(() => deps.wake('replenish'))
  const volume = await asking.catch(async (error: unknown) => {
    if (!(error instanceof CloudError)) throw error
    if (!error.mayHaveActed) throw await refusedInProject(held, snapshotId, error)
    const made = await collect(project.volumes.pages({ name: claim.name }, call))
    const found = made.find(volume => volume.snapshotId === snapshotId)
    if (!found) throw outcomeUnknown(error.message)
    return found
  })
  const noted = await noteDisk(held, diskOfVolume(volume, { ...image, imageVersion: image.version }))
  return await awaitInProject({ ...held, claim: noted }, volume)
}

/** If it was noted later than now, the clock has been set back since, and the time begins anew. */
async function requireNoneOnItsWay(held: HeldClaim): Promise<void> {
  const { deps, claim } = held
  const seconds = (deps.clock.now().getTime() - claim.updatedAt.getTime()) / 1000
  if (seconds >= deps.settings.cloudTimeoutSeconds + UNCLEAR_SECONDS) return
  if (seconds < 0) await noteDisk(held, undefined)
  throw outcomeUnknown('Cinder may still be making its disk')
}

async function refusedInProject(held: HeldClaim, snapshotId: string, error: CloudError): Promise<Error> {
  const { deps, claim, call } = held
  if (await isOfGoneSnapshot(deps, snapshotId, error, call)) return new SnapshotGone()
  await deps.claims.forget(leaseOf(held))
  return error.code === 'over_quota' ? overQuota(claim, `. ${error.message}`) : error
}

/** Waits for a disk that is in its project already, for as long as the caller does. */
export async function awaitInProject(held: HeldClaim, first: Volume): Promise<ClaimResult> {
  const { deps, claim, call } = held
  const destination = await destinationOf(held)
  for (let volume = first; ; ) {
    const { id, status } = volume
    if (usabilityOf(status) === 'unusable') {
      deps.log.error({ claim_id: claim.id, volume_id: id, status }, 'disk failed in its project')
      throw outcomeUnknown(`the disk that was being made for it is in status ${status}; the next repeat makes another`)
    }
    const disk = diskOfVolume(volume, { ...claim, imageVersion: claim.disk?.imageVersion })
    const result = resultOf({ ...claim, disk }, status)
    if (result.usable) return await settle(held, { source: 'created', missReason: claim.missReason, disk }, status)
    if (isTimeUp(held)) return stillCreating(result.claim)
    await pause(held, DISK_POLL_MS)
    const found = await destination.volumes.find(id, call)
    if (!found) throw outcomeUnknown('the disk that was being made for it is gone')
    volume = found
  }
}
