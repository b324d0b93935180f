import {
  type Claim,
  type ClaimRequest,
  type ClaimResult,
  type Disk,
  type Origin,
  usabilityOf,
  usabilityOfExisting
} from '../../pool/claim.ts'
import type { Given } from '../../pool/claim-store.ts'
import { PoolError } from '../../pool/errors.ts'
import type { Image } from '../../pool/image.ts'
import type { Call, Project, Volume } from '../../pool/ports.ts'
import type { Spare } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'
import {
  accept,
  type Handover,
  LostSpare,
  prepare,
  UnfitSpare,
  UntransferableSpare,
  unsettled,
  whereIs
} from './hand-over.ts'
import { type HeldLease, leaseOf, type OwnClaim, Superseded } from './lease.ts'

/** A claim that is ours to work on, with what is known of it and both ends of its hand-over. */
export interface Work {
  readonly claim: Claim
  readonly request: ClaimRequest
  readonly spare: Spare | undefined
  /** Of a claim that was worked on before. */
  readonly image?: Image | undefined
  readonly call: Call
  /** Somebody else has worked on it before: anything may have happened in Cinder. */
  readonly resumed: boolean
  /** Whose lease it is worked on under. */
  readonly lease: HeldLease
  readonly pool: Project
  readonly destination: Project
}

export const handoverOf = ({ claim, lease, resumed, pool, destination, call }: Work, spare: Spare): Handover => {
  if (!spare.volumeId) throw new Error(`spare ${spare.id} has no volume`)
  return { claim, lease, spare, volumeId: spare.volumeId, resumed, pool, destination, call }
}

/**
 * Hands over a disk that was made for the claim, or one that an earlier try had begun with. It can have moved already, by
 * a request whose lease ran out while it was at it; and where it is nowhere, another will be made.
 */
export async function handOver(deps: Deps, work: Work, spare: Spare): Promise<ClaimResult> {
  const handover = handoverOf(work, spare)
  try {
    await accept(deps, handover, await prepare(deps, handover))
  } catch (error) {
    if (!(error instanceof UnfitSpare)) throw error
    if (error instanceof UntransferableSpare) throw untransferable(error)
    const place = await whereIs(handover)
    const isLost = place === 'nowhere' || (place === 'pool' && error instanceof LostSpare)
    if (isLost) await deps.spares.drop(spare.id, 'reserved', leaseOf(work))
    if (place !== 'destination') throw unsettled(error.message)
  }
  return await giveSpare(deps, work, spare)
}

/** Another one would fare no better: the claim ends. */
const untransferable = (cause: UntransferableSpare): PoolError =>
  new PoolError(
    'cloud_error',
    'Cinder refuses to make a transfer for the disk that was made for this claim, so it cannot be handed over. ' +
      `${cause.message} ` +
      'The claim was undone. An operator must see to the pool first: GET /pool/stats shows its last error.',
    { cause }
  )

export async function giveSpare(deps: Deps, own: OwnClaim, spare: Spare): Promise<ClaimResult> {
  const { claim } = own
  const source = claim.status === 'creating' ? 'created' : 'pool'
  const given = { source, missReason: claim.missReason, disk: diskOfSpare(deps, claim, spare) } as const
  return await give(deps, own, given, 'available')
}

/** Records the disk as the claim's: the last step. */
export async function give(deps: Deps, own: OwnClaim, given: Given, volumeStatus: string): Promise<ClaimResult> {
  const { claim } = own
  const at = deps.clock.now()
  if (!(await deps.claims.settle(leaseOf(own), given, at))) {
    return resultOf(await settledMeanwhile(deps, claim, given), volumeStatus)
  }
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

/** Another request took the claim over when our lease ran out; both have worked on the same disk. */
async function settledMeanwhile(deps: Deps, { id }: Claim, { disk }: Given): Promise<Claim> {
  const claim = await deps.claims.find(id)
  if (claim?.status === 'available' && claim.disk?.volumeId === disk.volumeId) return claim
  throw new Superseded('another request has taken it over, or settled it')
}

/** What a claim's volume in its project means to the caller. */
export function resultOf(claim: Claim, volumeStatus: string): ClaimResult {
  const usability = usabilityOf(volumeStatus)
  if (usability !== 'unusable') return { claim, volumeStatus, usable: usability !== 'on_its_way' }
  throw unusable(claim, claim.disk?.volumeId, `is in status ${volumeStatus}`)
}

/** Of a volume that was there before: it has to boot, too. */
export function refuseUnusable(claim: Claim, volume: Volume): void {
  if (usabilityOfExisting(volume) !== 'unusable') return
  const isBroken = usabilityOf(volume.status) === 'unusable'
  throw unusable(claim, volume.id, isBroken ? `is in status ${volume.status}` : 'is not bootable, so no system disk')
}

const unusable = ({ name, projectId }: Claim, volumeId: string | undefined, why: string): PoolError =>
  new PoolError(
    'existing_volume_unusable',
    `Volume ${volumeId} is named ${name} in project ${projectId} already and ${why}. ` +
      'Mend, rename or delete it, then claim again.'
  )

export const stillCreating = (claim: Claim): ClaimResult => ({ claim, volumeStatus: 'creating', usable: false })

/** A disk that was made for the claim has no age as a spare. */
export function diskOfSpare({ clock }: Deps, { wantedSizeGib = 0, status }: Claim, spare: Spare): Disk {
  const ageMs = status === 'creating' ? undefined : clock.now().getTime() - spare.createdAt.getTime()
  return {
    volumeId: spare.volumeId ?? '',
    os: spare.os,
    type: spare.type,
    volumeType: spare.volumeType,
    sizeGib: Math.max(spare.sizeGib, wantedSizeGib),
    snapshotId: spare.snapshotId,
    imageVersion: spare.imageVersion,
    spareAgeSeconds: ageMs === undefined ? undefined : Math.max(0, Math.round(ageMs / 1000))
  }
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
