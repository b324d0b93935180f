import { type Claim, type ClaimResult, type Disk, type MissReason, usabilityOf } from '../../pool/claim.ts'
import { CloudError, PoolError } from '../../pool/errors.ts'
import { type Image, usableSnapshotIds } from '../../pool/image.ts'
import type { Project, Volume } from '../../pool/ports.ts'
import { snapshotInTurn } from '../../pool/replenishment.ts'
import { type Spare, samePool } from '../../pool/spare.ts'
import { verdictOnCreating } from '../../pool/verdict.ts'
import { collect } from '../concurrently.ts'
import type { Deps } from '../deps.ts'
import { isOfGoneSnapshot, requireSnapshot } from '../images/gone-snapshots.ts'
import { findImage } from '../images/read-images.ts'
import { giveUp } from '../spare/give-up.ts'
import { noteFinished } from '../spare/note-finished.ts'
import { EncryptedDisk, requestVolume } from '../spare/request-volume.ts'
import { serviceIn } from './destination.ts'
import {
  diskOfSpare,
  diskOfVolume,
  give,
  giveSpare,
  handOver,
  handoverOf,
  resultOf,
  stillCreating,
  type Work
} from './give-disk.ts'
import { pause, unsettled, whereIs } from './hand-over.ts'
import { leaseOf, Superseded } from './lease.ts'
import { requireRoom } from './require-room.ts'

export type Miss = Work & { readonly image: Image; readonly missReason: MissReason }

const ADMIN = 'admin'

/** A snapshot may go as its replacement does; more in a row is no chance. */
const SNAPSHOTS_TRIED = 3

/** Refused, since what it was to be made from is gone. Another may have taken its place. */
class SnapshotGone extends Error {}

/**
 * Makes a disk for a claim that found no spare. In the claim's project itself where the service's user is admin there,
 * since only an admin sees the pool's snapshots from another project; else in the pool's, to be handed over when it is ready.
 */
export async function createDisk(deps: Deps, miss: Miss): Promise<ClaimResult> {
  const project = await projectAsAdmin(deps, miss)
  let { image } = miss
  for (let tries = 1; ; tries += 1) {
    try {
      return await createFrom(deps, { ...miss, image }, project)
    } catch (error) {
      if (!(error instanceof SnapshotGone)) throw error
      if (tries >= SNAPSHOTS_TRIED) throw unsettled('the snapshots that its disk is to be made from go one by one')
    }
    image = (await findImage(deps, miss.claim, miss.call)) ?? image
    requireSnapshot(image)
  }
}

const createFrom = async (deps: Deps, miss: Miss, project: Project | undefined): Promise<ClaimResult> =>
  project ? await createInProject(deps, miss, project) : await createInPool(deps, miss)

async function projectAsAdmin(deps: Deps, { claim, pool, call }: Miss): Promise<Project | undefined> {
  if (claim.projectId === pool.id) return undefined
  try {
    const project = await serviceIn(deps, claim.projectId, call)
    return project.roles.includes(ADMIN) ? project : undefined
  } catch (error) {
    if (error instanceof PoolError) return undefined // Only the caller's token reaches it.
    throw error
  }
}

function sizeOf({ settings }: Deps, { claim, image }: Miss): number {
  const pooled = settings.targets.find(target => samePool(target, claim))?.sizeGib
  return Math.max(claim.wantedSizeGib ?? pooled ?? 0, image.sizeGib)
}

/** Before anything is asked of Cinder, since it may be made from then on. Throws where the project has enough on their way. */
async function begin(deps: Deps, { claim, missReason }: Miss): Promise<void> {
  const max = deps.settings.creatingMaxPerProject
  const outcome = await deps.claims.beginCreating(claim, missReason, max, deps.clock.now())
  if (outcome === 'over') throw new Superseded('it was settled by another request')
  if (outcome === 'too_many') throw tooMany(claim, max)
}

const tooMany = ({ projectId, os, type }: Claim, max: number): PoolError =>
  new PoolError(
    'rate_limited',
    `No spare of ${os} on ${type} is left, and ${max} disks are on their way for project ${projectId} already, as many as ` +
      'limits.creating_max_per_project allows. Nothing was done: repeat the claim later.',
    { retryAfterSeconds: 10 }
  )

async function createInPool(deps: Deps, miss: Miss): Promise<ClaimResult> {
  const { claim, image, missReason, call } = miss
  const { os, type } = claim
  const sizeGib = sizeOf(deps, miss)
  await requireRoom(miss, { volumeType: image.volumeType, sizeGib, madeGib: 0 })
  await begin(deps, miss)
  const snapshotId =
    image.replicaSnapshotIds.length > 0 ? snapshotInTurn(image, (await deps.spares.stock()).holdings) : image.snapshotId
  const creation = { os, type, image, snapshotId, sizeGib }
  const takesSpare = missReason !== 'handover_failed' // It has been given its share of them.
  const recorded = await deps.spares.requestFor(claim.id, creation, deps.newId(), deps.clock.now(), takesSpare)
  if (!recorded) throw new Superseded('another request has begun to make its disk')
  if (recorded.availableAt) throw new Superseded(SPARE_HAS_COME)
  const asking = requestVolume(deps, recorded, call).finally(() => deps.wake('replenish')) // First those who wait.
  const spare = await asking.catch(async (error: unknown) => {
    throw await refusedInPool(deps, miss, snapshotId, error)
  })
  if (!spare) throw new Superseded('its disk was settled by another request')
  return await awaitDisk(deps, miss, spare, true)
}

const SPARE_HAS_COME = 'a spare has come into stock for it'

/** The pool's own quota is the operator's matter, not the caller's: no `quota_exceeded`. */
async function refusedInPool(deps: Deps, miss: Miss, snapshotId: string, error: unknown): Promise<unknown> {
  if (!(error instanceof CloudError)) return error
  if (error.mayHaveActed) return unsettled(error.message)
  if (await isOfGoneSnapshot(deps, snapshotId, error, miss.call)) return new SnapshotGone()
  if (!(await deps.claims.forget(leaseOf(miss)))) return new Superseded(SPARE_HAS_COME)
  if (error instanceof EncryptedDisk) return new PoolError('image_not_found', error.message, { cause: error })
  if (error.code !== 'over_quota') return error
  const detail = `No spare is left, and the pool's project has no quota to make a disk. ${error.message}`
  return new PoolError('cloud_error', detail, { cause: error, retryAfterSeconds: 30 })
}

const noteSpare = async (deps: Deps, claim: Claim, spare: Spare): Promise<Claim> =>
  await noteDisk(deps, claim, claim.missReason ?? 'empty', diskOfSpare(deps, { ...claim, status: 'creating' }, spare))

async function noteDisk(deps: Deps, claim: Claim, missReason: MissReason, disk: Disk): Promise<Claim> {
  const noted = await deps.claims.noteCreating(claim.id, missReason, disk, deps.clock.now())
  if (!noted) throw new Superseded('it was settled by another request')
  return noted
}

const DISK_POLL_MS = 500

/** Waits for a disk in the pool's project for as long as the caller does, and hands it over when it is ready. */
export async function awaitDisk(deps: Deps, given: Work, spare: Spare, justAsked = false): Promise<ClaimResult> {
  const claim = given.claim.disk ? given.claim : await noteSpare(deps, given.claim, spare)
  const work = { ...given, claim }
  const { pool, call, request } = work
  const volumeId = spare.volumeId ?? ''
  const until = deps.clock.monotonicMs() + request.waitSeconds * 1000
  for (let asked = justAsked; ; asked = false) {
    const volume = asked ? undefined : await pool.volumes.find(volumeId, call)
    const verdict = asked ? 'keep' : verdictOnCreating(spare, volume)
    if (verdict === 'stock' || verdict === 'rearm') return await handOverFinished(deps, work, spare)
    if (!asked && !volume && (await whereIs(handoverOf(work, spare))) === 'destination') {
      await requireItsOwn(deps, claim, spare)
      return await giveSpare(deps, work, spare) // Handed over by a request whose lease had run out.
    }
    if (verdict !== 'keep') throw await replaceFailed(deps, work, spare, volume)
    if (deps.clock.monotonicMs() >= until) return stillCreating(claim)
    await pause(deps, DISK_POLL_MS, call)
    await requireItsOwn(deps, claim, spare)
  }
}

/** It may have been left to the stock, for one that came first; then it may be anybody's by now. */
async function requireItsOwn(deps: Deps, claim: Claim, spare: Spare): Promise<Spare> {
  const current = await deps.spares.ofClaim(claim.id)
  if (current?.id === spare.id) return current
  throw new Superseded(current ? SPARE_HAS_COME : 'its disk was given up, or handed over by another request')
}

async function handOverFinished(deps: Deps, work: Work, spare: Spare): Promise<ClaimResult> {
  const [ready] = await noteFinished(deps, [{ id: spare.id, toArm: false, claimId: work.claim.id }])
  return await handOver(deps, work, ready ?? (await requireItsOwn(deps, work.claim, spare)))
}

/** A disk that failed goes; the claim stays without one, and its next repeat, or reconcile, has another made. */
async function replaceFailed(deps: Deps, work: Work, spare: Spare, volume: Volume | undefined): Promise<PoolError> {
  await giveUp(deps, work.pool, spare, volume, work.call)
  return unsettled(`the disk that was being made for it failed (${volume?.status ?? 'gone'}); another is made`)
}

/** A create without an answer may still be carried out for so long. */
const UNCLEAR_SECONDS = 60

/** The volume is the project's from birth, under its final name and without our metadata: a repeat finds it by name. */
async function createInProject(deps: Deps, miss: Miss, project: Project): Promise<ClaimResult> {
  const { claim, image, missReason, call } = miss
  if (claim.status === 'creating' && !claim.disk) await requireSettled(deps, miss)
  await begin(deps, miss)
  const [snapshotId = image.snapshotId] = usableSnapshotIds(image)
  const wish = { name: claim.name, snapshotId, sizeGib: sizeOf(deps, miss), volumeType: image.volumeType }
  const asking = project.volumes.create(wish, call).finally(() => deps.wake('replenish'))
  const volume = await asking.catch(async (error: unknown) => {
    if (!(error instanceof CloudError)) throw error
    if (!error.mayHaveActed) throw await refusedInProject(deps, miss, snapshotId, error)
    const made = await collect(project.volumes.pages({ name: claim.name }, call))
    const found = made.find(volume => volume.snapshotId === snapshotId)
    if (!found) throw unsettled(error.message)
    return found
  })
  const noted = await noteDisk(deps, claim, missReason, diskOfVolume(volume, { ...image, imageVersion: image.version }))
  return await awaitInProject(deps, { ...miss, claim: noted }, volume)
}

/** Noted later than now, the clock has been set back since, and the time begins anew. */
async function requireSettled({ clock, settings, claims }: Deps, { claim, missReason }: Miss): Promise<void> {
  const now = clock.now()
  const seconds = (now.getTime() - claim.updatedAt.getTime()) / 1000
  if (seconds >= settings.cloudTimeoutSeconds + UNCLEAR_SECONDS) return
  if (seconds < 0) await claims.noteCreating(claim.id, missReason, undefined, now)
  throw unsettled('Cinder may still be making its disk')
}

async function refusedInProject(deps: Deps, miss: Miss, snapshotId: string, error: CloudError): Promise<Error> {
  if (await isOfGoneSnapshot(deps, snapshotId, error, miss.call)) return new SnapshotGone()
  const { projectId } = miss.claim
  await deps.claims.forget(leaseOf(miss))
  if (error.code !== 'over_quota') return error
  return new PoolError('quota_exceeded', `Project ${projectId} has no quota left for this disk. ${error.message}`)
}

/** Waits for a disk that is in its project already, for as long as the caller does. */
export async function awaitInProject(deps: Deps, work: Work, first: Volume): Promise<ClaimResult> {
  const { claim, request, destination, call } = work
  const until = deps.clock.monotonicMs() + request.waitSeconds * 1000
  for (let volume = first; ; ) {
    const disk = diskOfVolume(volume, { ...claim, imageVersion: claim.disk?.imageVersion })
    if (usabilityOf(volume.status) === 'unusable') {
      deps.log.error({ claim_id: claim.id, volume_id: volume.id, status: volume.status }, 'disk failed in its project')
      throw unsettled(
        `the disk that was being made for it is in status ${volume.status}; the next repeat makes another`
      )
    }
    const result = resultOf({ ...claim, disk }, volume.status)
    if (result.usable) {
      return await give(deps, work, { source: 'created', missReason: claim.missReason, disk }, volume.status)
    }
    if (deps.clock.monotonicMs() >= until) return stillCreating(result.claim)
    await pause(deps, DISK_POLL_MS, call)
    const found = await destination.volumes.find(volume.id, call)
    if (!found) throw unsettled('the disk that was being made for it is gone')
    volume = found
  }
}
