/** Things of the pool's own kinds, alike but for what a test says of them. */
import { newId } from '../../src/clock.ts'
import type { ClaimRequest, Disk, Lease } from '../../src/pool/claim.ts'
import type { Given } from '../../src/pool/claim-store.ts'
import type { Image } from '../../src/pool/image.ts'
import type { Snapshot, Volume } from '../../src/pool/ports.ts'
import type { Creation, PoolState } from '../../src/pool/replenishment.ts'
import { type Spare, spareName } from '../../src/pool/spare.ts'

export const NOON = new Date('2026-11-22T12:00:00Z')

/** So many seconds after noon. */
export const noon = (seconds: number): Date => new Date(NOON.getTime() + seconds * 1000)

export const DEBIAN = { os: 'debian12', type: 'ssd' } as const

export const aSnapshot = (name: string, differs: Partial<Snapshot> = {}): Snapshot => ({
  id: `id-of-${name}`,
  name,
  status: 'available',
  sizeGib: 20,
  volumeId: `source-of-${name}`,
  createdAt: NOON,
  ...differs
})

export const anImage = (differs: Partial<Image> = {}): Image => ({
  id: newId(),
  ...DEBIAN,
  snapshotId: 'snapshot',
  replicaSnapshotIds: [],
  goneSnapshotIds: [],
  volumeId: 'golden',
  volumeType: 'ceph-ssd',
  sizeGib: 20,
  version: '20261101',
  createdAt: NOON,
  updatedAt: NOON,
  ...differs
})

export const aVolume = (status: string, differs: Partial<Volume> = {}): Volume => ({
  id: 'volume',
  name: 'web-01_sys',
  status,
  sizeGib: 20,
  volumeType: 'ceph-ssd',
  snapshotId: undefined,
  projectId: 'pool',
  metadata: {},
  attached: false,
  bootable: true,
  encrypted: false,
  createdAt: NOON,
  ...differs
})

/** In stock, and not armed. */
export function aSpare(differs: Partial<Spare> = {}): Spare {
  const id = differs.id ?? newId()
  return {
    id,
    ...DEBIAN,
    snapshotId: 'snapshot',
    imageVersion: '20261101',
    volumeType: 'ceph-ssd',
    sizeGib: 20,
    volumeId: `volume-of-${id}`,
    name: spareName(id),
    status: 'available',
    kept: false,
    claimId: undefined,
    transfer: undefined,
    createdAt: NOON,
    updatedAt: NOON,
    availableAt: NOON,
    armingUntil: undefined,
    ...differs
  }
}

/** A pool that does well. */
export const aPoolState = (differs: Partial<PoolState> = {}): PoolState => ({
  ...DEBIAN,
  paused: false,
  failures: 0,
  retryAt: undefined,
  lastError: undefined,
  newerInCinder: undefined,
  surplusSince: undefined,
  ...differs
})

export const aCreation = (image: Image = anImage()): Creation => ({
  os: image.os,
  type: image.type,
  image,
  snapshotId: image.snapshotId,
  sizeGib: image.sizeGib
})

export function aRequest(differs: Partial<ClaimRequest> = {}): ClaimRequest {
  const { hostname = 'web-01' } = differs
  return {
    ...DEBIAN,
    hostname,
    category: 'sys',
    name: `${hostname}_sys`,
    sizeGib: undefined,
    projectId: 'tenant',
    onEmpty: 'create',
    waitSeconds: 0,
    idempotencyKey: undefined,
    caller: undefined,
    ...differs
  }
}

/** Somebody's, for so many seconds after noon. */
export const aLease = (seconds: number): Lease => ({ holder: newId(), until: noon(seconds) })

/** What a claim is settled with: a disk from stock, unless a test says otherwise. */
export const given = (volumeId: string | undefined, differs: Partial<Given> = {}): Given => ({
  source: 'pool',
  missReason: undefined,
  disk: aDisk(volumeId ?? ''),
  ...differs
})

export const aDisk = (volumeId: string, differs: Partial<Disk> = {}): Disk => ({
  volumeId,
  ...DEBIAN,
  volumeType: 'ceph-ssd',
  sizeGib: 20,
  snapshotId: 'snapshot',
  imageVersion: '20261101',
  spareAgeSeconds: 60,
  ...differs
})
