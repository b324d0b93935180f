import { ByPool } from './by-pool.ts'
import { type Image, isCurrent, isGone, usableSnapshotIds } from './image.ts'
import { BACKOFF_SECONDS_MAX, isPending } from './lease.ts'
import type { Quota } from './ports.ts'
import type { PoolName, SpareStatus } from './spare.ts'

/** What the configuration wants of one pool. */
export interface PoolTarget extends PoolName {
  readonly target: number
  /** Undefined: the image's size. */
  readonly sizeGib: number | undefined
  /** Older spares are replaced, one after the other; undefined: however old. */
  readonly maxAgeHours?: number | undefined
  /** There are still spares of it, and the configuration does not name it any more. */
  readonly isLeftover?: boolean
}

export interface Limits {
  /** In flight, over all pools. */
  readonly creatingMax: number
  readonly creatingMaxPerSnapshot: number
  /** Over all that exists; undefined: no limit. */
  readonly budgetGib: number | undefined
}

/** The rows of `backup_volumes` that are alike in all this. */
export interface Holding extends PoolName {
  readonly snapshotId: string
  readonly status: SpareStatus
  /** Kept by a sync though its image is not current. */
  readonly kept: boolean
  /** Cinder has not finished it yet. */
  readonly making: boolean
  readonly count: number
  /** Of all of them together. */
  readonly sizeGib: number
  /** Of those in stock: when the oldest spare of their pool was made. */
  readonly oldestAt?: Date | undefined
}

/** What the service remembers of a pool besides its spares. */
export interface PoolState extends PoolName {
  readonly paused: boolean
  /** Failures in a row since the last volume that came well. */
  readonly failures: number
  /** Not before this time; undefined: at once. */
  readonly retryAt: Date | undefined
  readonly lastError: string | undefined
  readonly newerInCinder: string | undefined
  /** Since when there is more in stock than the target; undefined: there is no more. */
  readonly surplusSince?: Date | undefined
}

/** All that a plan depends on. */
export interface Stock {
  readonly targets: readonly PoolTarget[]
  readonly limits: Limits
  readonly images: readonly Image[]
  readonly states: readonly PoolState[]
  readonly holdings: readonly Holding[]
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
  /** One entry a volume to ask for. */
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
 * How many volumes to ask for now, for each pool. The emptiest pool (stock over target) is served first, one volume at a
 * time, until nothing is missing or a limit is reached; that limit is named.
 */
export function planReplenishment(stock: Stock): PoolPlan[] {
  const drafts = draftsOf(stock)
  const room = new Room(stock)
  const queue = new Queue(drafts.filter(isWanting))
  for (let next = queue.take(); next; next = queue.take()) {
    const snapshotId = room.snapshotFor(next.image)
    next.heldBackBy = room.refusal(next, snapshotId)
    if (next.heldBackBy) continue
    room.take(next, snapshotId)
    next.create.push({ os: next.os, type: next.type, image: next.image, snapshotId, sizeGib: next.sizeGib })
    if (isWanting(next)) queue.putBack(next)
  }
  return drafts
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

/** The configured pools, then those that are no longer configured and have spares still: none of those is wanted. */
export function poolsOf(targets: readonly PoolTarget[], holdings: readonly Holding[]): PoolTarget[] {
  const known = new ByPool<PoolName>(targets)
  const leftover = holdings.filter(({ os, type }) => {
    if (os === '' || known.one({ os, type })) return false // Of no known image, and only there to be deleted.
    known.add({ os, type })
    return true
  })
  const byName = (a: PoolName, b: PoolName): number => a.os.localeCompare(b.os) || a.type.localeCompare(b.type)
  return [
    ...targets,
    ...leftover.toSorted(byName).map(({ os, type }) => ({ os, type, target: 0, sizeGib: undefined, isLeftover: true }))
  ]
}

/** In stock and fit to be handed out. */
export const isHeld = (holding: Holding, image: Image | undefined): boolean =>
  holding.status === 'available' && (holding.kept || isCurrent(holding.snapshotId, image))

/** On its way into stock. A disk that is made for a claim is not. */
export const isInFlight = ({ status }: Holding): boolean => status === 'requested' || status === 'creating'

export const countOf = (holdings: readonly Holding[]): number => holdings.reduce((total, { count }) => total + count, 0)

function obstacle(state: PoolState | undefined, image: Image | undefined, now: Date): HeldBackBy | undefined {
  if (state?.paused) return 'paused'
  if (!image) return 'no_image'
  if (isGone(image)) return 'image_gone'
  return state?.retryAt && isPending(state.retryAt, now, BACKOFF_SECONDS_MAX) ? 'backing_off' : undefined
}

type Wanting = Draft & { readonly image: Image }

/** It still misses some, and is not held back. */
const isWanting = (draft: Draft): draft is Wanting =>
  !draft.heldBackBy && draft.image !== undefined && draft.create.length < draft.missing

/** Pools that still miss some, the one with the least stock for its target first; of those alike, as they are configured. */
class Queue {
  /** The next one last. */
  readonly #waiting: Wanting[]
  readonly #places: ReadonlyMap<Wanting, number>

  constructor(wanting: readonly Wanting[]) {
    this.#places = new Map(wanting.map((draft, place) => [draft, place]))
    this.#waiting = wanting.toSorted((a, b) => this.#order(b, a))
  }

  take(): Wanting | undefined {
    return this.#waiting.pop()
  }

  putBack(draft: Wanting): void {
    let [from, to] = [0, this.#waiting.length]
    while (from < to) {
      const middle = (from + to) >> 1
      const other = this.#waiting[middle]
      if (other && this.#order(other, draft) > 0) from = middle + 1
      else to = middle
    }
    this.#waiting.splice(from, 0, draft)
  }

  #order(a: Wanting, b: Wanting): number {
    return levelOf(a) - levelOf(b) || (this.#places.get(a) ?? 0) - (this.#places.get(b) ?? 0)
  }
}

const levelOf = (draft: Draft): number => (draft.held + draft.inFlight + draft.create.length) / draft.target

/** Identical snapshots are used in turn: the one with the fewest volumes on their way, then with the fewest made. */
function leastUsed(image: Image, creating: ReadonlyMap<string, number>, made: ReadonlyMap<string, number>): string {
  const of = (counts: ReadonlyMap<string, number>, id: string): number => counts.get(id) ?? 0
  const inTurn = usableSnapshotIds(image).toSorted(
    (a, b) => of(creating, a) - of(creating, b) || of(made, a) - of(made, b)
  )
  return inTurn[0] ?? image.snapshotId
}

/** The snapshot to make one disk from, whatever the limits say. */
export function snapshotInTurn(image: Image, holdings: readonly Holding[]): string {
  const [creating, made] = [new Map<string, number>(), new Map<string, number>()]
  for (const { making, snapshotId, count } of holdings) {
    add(made, snapshotId, count)
    if (making) add(creating, snapshotId, count)
  }
  return leastUsed(image, creating, made)
}

/** How much each limit still leaves, as a plan is drawn up. */
class Room {
  readonly #limits: Limits
  readonly #quota: Map<string, number>
  readonly #creatingBySnapshot = new Map<string, number>()
  readonly #madeBySnapshot = new Map<string, number>()
  #creating = 0
  #gib = 0

  constructor({ limits, holdings, quota }: Stock) {
    this.#limits = limits
    this.#quota = new Map(quota)
    for (const { making, snapshotId, count, sizeGib } of holdings) {
      this.#gib += sizeGib
      add(this.#madeBySnapshot, snapshotId, count)
      if (!making) continue
      this.#creating += count
      add(this.#creatingBySnapshot, snapshotId, count)
    }
  }

  snapshotFor(image: Image): string {
    return leastUsed(image, this.#creatingBySnapshot, this.#madeBySnapshot)
  }

  refusal({ image, sizeGib }: Wanting, snapshotId: string): HeldBackBy | undefined {
    const { creatingMax, creatingMaxPerSnapshot, budgetGib } = this.#limits
    if (this.#creating >= creatingMax) return 'creating_max'
    if ((this.#creatingBySnapshot.get(snapshotId) ?? 0) >= creatingMaxPerSnapshot) return 'creating_max_per_snapshot'
    if (budgetGib !== undefined && this.#gib + sizeGib > budgetGib) return 'budget'
    const short = resourcesOf(image.volumeType, sizeGib).some(([name, need]) => (this.#quota.get(name) ?? need) < need)
    return short ? 'quota' : undefined
  }

  take({ image, sizeGib }: Wanting, snapshotId: string): void {
    this.#creating += 1
    this.#gib += sizeGib
    add(this.#creatingBySnapshot, snapshotId, 1)
    add(this.#madeBySnapshot, snapshotId, 1)
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

/** When a pool may try again after so many failures in a row: 10 s, doubling, at most five minutes. */
export function backoffSeconds(failures: number): number {
  return Math.min(BACKOFF_SECONDS_MAX, 10 * 2 ** (failures - 1))
}
