import { ByPool } from './by-pool.ts'
import { type Image, isCurrent, isGone, usableSnapshotIds } from './image.ts'
import { BACKOFF_SECONDS_MAX, isPending } from './lease.ts'
import type { Quota } from './ports.ts'
import { byPoolName, type PoolName, SPARE_STATUSES, type SpareStatus } from './spare.ts'

/** What the configuration wants of one pool. */
export interface PoolTarget extends PoolName {
  readonly target: number
  /** Undefined: the image's size. */
  readonly sizeGib: number | undefined
  /** Older spares are replaced, one after the other. */
  readonly maxAgeHours?: number | undefined
  /** The configuration no longer names it, and it still has spares. */
  readonly isLeftover?: boolean
}

export interface Limits {
  /** Being made at the same time, over all pools. */
  readonly creatingMax: number
  readonly creatingMaxPerSnapshot: number
  /** Over all that exists. */
  readonly budgetGib: number | undefined
}

/** How many rows of `backup_volumes` are alike in all this. */
export interface Holding extends PoolName {
  readonly snapshotId: string
  readonly status: SpareStatus
  /** A sync kept it, though its image is not current. */
  readonly kept: boolean
  /** Cinder has not finished it yet. */
  readonly making: boolean
  readonly count: number
  /** Of all together. */
  readonly sizeGib: number
  /** Of those in stock: when the oldest spare of their pool was made. */
  readonly oldestAt?: Date | undefined
}

/** What the service remembers of a pool besides its spares. */
export interface PoolState extends PoolName {
  readonly paused: boolean
  /** In a row, since the last volume that was finished. */
  readonly failures: number
  /** Undefined: at once. */
  readonly retryAt: Date | undefined
  readonly lastError: string | undefined
  readonly newerInCinder: string | undefined
  /** Since when there is more in stock than the target; undefined: there is no more. */
  readonly surplusSince?: Date | undefined
}

/** What the database tells of the stock, of one moment. */
export interface StoredStock {
  readonly images: readonly Image[]
  readonly states: readonly PoolState[]
  readonly holdings: readonly Holding[]
}

/** All that a plan depends on. */
export interface Stock extends StoredStock {
  readonly targets: readonly PoolTarget[]
  readonly limits: Limits
  /** Undefined: not asked for yet. */
  readonly quota: Quota | undefined
  readonly now: Date
}

export const HELD_BACK_BY = [
  'paused',
  'backing_off',
  'no_image',
  'image_gone',
  'creating_max',
  'creating_max_per_snapshot',
  'budget',
  'quota'
] as const
export type HeldBackBy = (typeof HELD_BACK_BY)[number]

/** What to do for one pool now, and why no more. */
export interface PoolPlan extends PoolName {
  readonly target: number
  readonly held: number
  readonly inFlight: number
  readonly missing: number
  readonly create: readonly Creation[]
  readonly heldBackBy: HeldBackBy | undefined
}

/** A volume to ask Cinder for. */
export interface Creation extends PoolName {
  readonly image: Image
  readonly snapshotId: string
  readonly sizeGib: number
}

interface Draft extends Omit<PoolPlan, 'create'> {
  readonly image: Image | undefined
  readonly sizeGib: number
  readonly create: Creation[]
  heldBackBy: HeldBackBy | undefined
}

/**
 * How many volumes to ask for now, for each pool. The emptiest pool (stock over target) is served first, one volume at a time,
 * until nothing is missing or a limit is reached; that limit is named.
 */
export function planReplenishment(stock: Stock): PoolPlan[] {
  const drafts = draftsOf(stock)
  const room = new Room(stock)
  for (const draft of turnsOf(drafts, stock.limits)) {
    const { os, type, image, sizeGib, heldBackBy } = draft
    if (heldBackBy || !image) continue
    const creation = { os, type, image, sizeGib, snapshotId: room.snapshotFor(image) }
    draft.heldBackBy = room.refusal(creation)
    if (draft.heldBackBy) continue
    room.take(creation)
    draft.create.push(creation)
  }
  return drafts
}

/** A pool once for each volume that it misses, ordered by the stock that it will have then. */
function turnsOf(drafts: readonly Draft[], { creatingMax }: Limits): Draft[] {
  const turns = drafts.flatMap(draft => {
    const count = Math.min(draft.missing, creatingMax + 1) // One that is refused, for its reason.
    return Array.from({ length: count }, (_, n) => ({ draft, level: (draft.held + draft.inFlight + n) / draft.target }))
  })
  return turns.toSorted((a, b) => a.level - b.level).map(({ draft }) => draft)
}

function draftsOf(stock: Stock): Draft[] {
  const [images, states, holdings] = [new ByPool(stock.images), new ByPool(stock.states), new ByPool(stock.holdings)]
  return stock.targets.map(pool => {
    const [image, ours] = [images.one(pool), holdings.all(pool)]
    const held = countOf(ours.filter(holding => isHeld(holding, image)))
    const inFlight = countOf(ours.filter(isInFlight))
    return {
      os: pool.os,
      type: pool.type,
      target: pool.target,
      held,
      inFlight,
      missing: Math.max(0, pool.target - held - inFlight),
      image,
      sizeGib: Math.max(pool.sizeGib ?? 0, image?.sizeGib ?? 0),
      create: [],
      heldBackBy: pool.isLeftover ? undefined : obstacle(states.one(pool), image, stock.now)
    }
  })
}

/** The configured pools, then those that are no longer configured and still have spares. None of those is wanted. */
export function poolsOf(targets: readonly PoolTarget[], holdings: readonly Holding[]): PoolTarget[] {
  const known = new ByPool<PoolName>(targets)
  const leftover = holdings.filter(({ os, type }) => {
    if (os === '' || known.one({ os, type })) return false // Of no known image, and only there to be deleted.
    known.add({ os, type })
    return true
  })
  const gone = { target: 0, sizeGib: undefined, isLeftover: true }
  return [...targets, ...leftover.toSorted(byPoolName).map(({ os, type }) => ({ os, type, ...gone }))]
}

/** In stock and fit to be handed out. */
export const isHeld = (holding: Holding, image: Image | undefined): boolean =>
  holding.status === 'available' && (holding.kept || isCurrent(holding.snapshotId, image))

/** On its way into stock. A disk made for a claim is not. */
export const isInFlight = ({ status }: Holding): boolean => status === 'requested' || status === 'creating'

export const countOf = (holdings: readonly Holding[]): number => holdings.reduce((total, { count }) => total + count, 0)

/** Every status, also those that none is in. */
export const countByStatus = (holdings: readonly Holding[]): Record<SpareStatus, number> => {
  const counts = SPARE_STATUSES.map(status => [status, countOf(holdings.filter(holding => holding.status === status))])
  return Object.fromEntries(counts) as Record<SpareStatus, number>
}

/** Spares in stock of an image that is no longer current. */
export const countStale = (holdings: readonly Holding[], image: Image | undefined): number =>
  countOf(holdings.filter(({ status, snapshotId }) => status === 'available' && !isCurrent(snapshotId, image)))

function obstacle(state: PoolState | undefined, image: Image | undefined, now: Date): HeldBackBy | undefined {
  if (state?.paused) return 'paused'
  if (!image) return 'no_image'
  if (isGone(image)) return 'image_gone'
  return state?.retryAt && isPending(state.retryAt, now, BACKOFF_SECONDS_MAX) ? 'backing_off' : undefined
}

/** How many volumes were made from each snapshot, and how many are being made. */
class SnapshotUse {
  readonly #made = new Map<string, number>()
  readonly #making = new Map<string, number>()

  constructor(holdings: readonly Holding[]) {
    for (const { snapshotId, count, making } of holdings) this.add(snapshotId, count, making)
  }

  add(snapshotId: string, count: number, isMaking: boolean): void {
    add(this.#made, snapshotId, count)
    if (isMaking) add(this.#making, snapshotId, count)
  }

  making(snapshotId: string): number {
    return this.#making.get(snapshotId) ?? 0
  }

  /** Identical snapshots are used in turn: the one that makes the fewest volumes now, then the one that has made the fewest. */
  next(image: Image): string {
    const made = (id: string): number => this.#made.get(id) ?? 0
    const order = (a: string, b: string): number => this.making(a) - this.making(b) || made(a) - made(b)
    return usableSnapshotIds(image).toSorted(order)[0] ?? image.snapshotId
  }
}

/** The snapshot to make one disk from, whatever the limits say. */
export const snapshotInTurn = (image: Image, holdings: readonly Holding[]): string =>
  new SnapshotUse(holdings).next(image)

/** How much each limit still leaves. */
class Room {
  readonly #limits: Limits
  readonly #quota: Map<string, number>
  readonly #snapshots: SnapshotUse
  #creating = 0
  #gib = 0

  constructor({ limits, holdings, quota }: Stock) {
    this.#limits = limits
    this.#quota = new Map(quota)
    this.#snapshots = new SnapshotUse(holdings)
    for (const { making, count, sizeGib } of holdings) {
      this.#gib += sizeGib
      if (making) this.#creating += count
    }
  }

  snapshotFor(image: Image): string {
    return this.#snapshots.next(image)
  }

  refusal({ image, sizeGib, snapshotId }: Creation): HeldBackBy | undefined {
    const { creatingMax, creatingMaxPerSnapshot, budgetGib } = this.#limits
    if (this.#creating >= creatingMax) return 'creating_max'
    if (this.#snapshots.making(snapshotId) >= creatingMaxPerSnapshot) return 'creating_max_per_snapshot'
    if (budgetGib !== undefined && this.#gib + sizeGib > budgetGib) return 'budget'
    const short = resourcesOf(image.volumeType, sizeGib).some(([name, need]) => (this.#quota.get(name) ?? need) < need)
    return short ? 'quota' : undefined
  }

  take({ image, sizeGib, snapshotId }: Creation): void {
    this.#creating += 1
    this.#gib += sizeGib
    this.#snapshots.add(snapshotId, 1, true)
    for (const [name, need] of resourcesOf(image.volumeType, sizeGib)) {
      if (this.#quota.has(name)) add(this.#quota, name, -need)
    }
  }
}

/** What one volume takes of its project's quota. */
export const resourcesOf = (volumeType: string, sizeGib: number): [string, number][] => [
  ['volumes', 1],
  ['gigabytes', sizeGib],
  [`volumes_${volumeType}`, 1],
  [`gigabytes_${volumeType}`, sizeGib]
]

const add = (counts: Map<string, number>, key: string, by: number): void => {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

/** How long a pool waits after so many failures in a row: 10 s, doubling, at most five minutes. */
export const backoffSeconds = (failures: number): number => Math.min(BACKOFF_SECONDS_MAX, 10 * 2 ** (failures - 1))
