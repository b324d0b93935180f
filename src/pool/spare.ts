/** A spare's statuses. `reserved` belongs to a claim under way, whether it came from stock or is being made for it. */
export const SPARE_STATUSES = ['requested', 'creating', 'available', 'reserved', 'retiring'] as const
export type SpareStatus = (typeof SPARE_STATUSES)[number]

/** `gone` is no status but the end of one: the row is deleted. */
const NEXT: Record<SpareStatus, readonly (SpareStatus | 'gone')[]> = {
  requested: ['creating', 'retiring', 'gone'],
  creating: ['available', 'retiring', 'gone'],
  available: ['creating', 'reserved', 'retiring', 'gone'], // Out of stock for as long as it is armed anew.
  // Put back, unfit to put back, or handed over; left to the stock, unfinished, by a claim that was given another.
  reserved: ['requested', 'creating', 'available', 'retiring', 'gone'],
  retiring: ['gone'] // Never back: a retired spare must not be handed out again.
}

export const mayBecome = (from: SpareStatus, to: SpareStatus | 'gone'): boolean => NEXT[from].includes(to)

/** A row of `backup_volumes`: one volume made in advance, or for a claim that found none. */
export interface Spare {
  readonly id: string
  readonly os: string
  readonly type: string
  readonly snapshotId: string
  readonly imageVersion: string
  readonly volumeType: string
  /** As it was made; a claim may have its volume extended. */
  readonly sizeGib: number
  /** Undefined while Cinder has not been asked, or its answer is not known. */
  readonly volumeId: string | undefined
  readonly name: string
  readonly status: SpareStatus
  /** A sync with `purge: none` kept it although its image is no longer current. */
  readonly kept: boolean
  readonly claimId: string | undefined
  /** The transfer made ahead of time: what a claim accepts. */
  readonly transfer: SealedTransfer | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
  /** When Cinder was first seen to have finished it; undefined while it is being made. Before it is in stock it is armed. */
  readonly availableAt: Date | undefined
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

/** Whether a name is one that our creations give. */
export const isSpareName = (name: string): boolean =>
  name.startsWith('spare-') && isSpareId(name.slice('spare-'.length))

const CANONICAL_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** As our ids are written. Another spelling of a UUID was written by somebody else. */
export const isSpareId = (text: string): boolean => CANONICAL_ID.test(text)

const GIB_MAX = 2 ** 31 - 1

/** A size that a disk may have, and that the tables can keep. */
export const isSize = (gib: number): boolean => Number.isInteger(gib) && gib > 0 && gib <= GIB_MAX

/** What tells our volumes from all others, and this deployment's from another's. */
export const spareMetadata = (deployment: string, id: string): Record<string, string> => ({
  [DEPLOYMENT_KEY]: deployment,
  [SPARE_ID_KEY]: id
})
