/** A spare's statuses. `reserved` belongs to a claim under way, whether it came from stock or is being made for it. */
export const SPARE_STATUSES = ['requested', 'creating', 'available', 'reserved', 'retiring'] as const
export type SpareStatus = (typeof SPARE_STATUSES)[number]

/** `gone` is no status but the end of one: the row is deleted. */
const NEXT: Record<SpareStatus, readonly (SpareStatus | 'gone')[]> = {
  requested: ['creating', 'retiring', 'gone'],
  creating: ['available', 'retiring', 'gone'],
  available: ['creating', 'reserved', 'retiring', 'gone'], // `creating` again while it is armed again.
  // Put back, unfit to put back, or handed over; or left to the stock, unfinished, by a claim that was given another one.
  reserved: ['requested', 'creating', 'available', 'retiring', 'gone'],
  retiring: ['gone'] // Never back: a retired spare must not be handed out again.
}

export const mayBecome = (from: SpareStatus, to: SpareStatus | 'gone'): boolean => NEXT[from].includes(to)

/** A row of `backup_volumes`: one volume made in advance, or for a claim that found none. */
export interface Spare extends PoolName {
  readonly id: string
  readonly snapshotId: string
  readonly imageVersion: string
  readonly volumeType: string
  /** As it was made; a claim may have its volume extended. */
  readonly sizeGib: number
  /** Undefined: Cinder has not been asked, or its answer is not known. */
  readonly volumeId: string | undefined
  readonly name: string
  readonly status: SpareStatus
  /** A sync with `purge: none` kept it, though its image is no longer current. */
  readonly kept: boolean
  readonly claimId: string | undefined
  /** Made ahead of time, for a claim to accept. */
  readonly transfer: SealedTransfer | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
  /** When we first saw it finished. Undefined: it is being made. It is armed before it goes into stock. */
  readonly availableAt: Date | undefined
  /** Until then a transfer may be made of it that we do not know. */
  readonly armingUntil: Date | undefined
}

/** A transfer whose key is encrypted, as it is kept at rest. */
export interface SealedTransfer {
  readonly id: string
  readonly sealedKey: string
}

/** The pool that a spare, an image or a claim belongs to. */
export interface PoolName {
  readonly os: string
  readonly type: string
}

export const samePool = (a: PoolName, b: PoolName): boolean => a.os === b.os && a.type === b.type

export const byPoolName = (a: PoolName, b: PoolName): number => a.os.localeCompare(b.os) || a.type.localeCompare(b.type)

export const DEPLOYMENT_KEY = 'spare_pool'
export const SPARE_ID_KEY = 'spare_id'

/** The name of a spare's volume in Cinder until a claim renames it. */
export const spareName = (id: string): string => `spare-${id}`

const CANONICAL_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** In our spelling. A UUID in another spelling was written by somebody else. */
export const isSpareId = (text: string): boolean => CANONICAL_ID.test(text)

const GIB_MAX = 2 ** 31 - 1

/** A size that a disk may have and the tables can keep. */
export const isSize = (gib: number): boolean => Number.isInteger(gib) && gib > 0 && gib <= GIB_MAX

/** Marks a volume as ours, and as this deployment's. */
export const spareMetadata = (deployment: string, id: string): Record<string, string> => ({
  [DEPLOYMENT_KEY]: deployment,
  [SPARE_ID_KEY]: id
})
