import type { PoolTarget } from './replenishment.ts'

/** How many rows the counts and the statistics have grown by since they were last folded. */
export interface Unfolded {
  readonly counts: number
  readonly timings: number
}

/** What the configuration wants in stock. */
export interface Demand {
  readonly targets: readonly PoolTarget[]
  /** Stock that has been over its target for so long is retired. */
  readonly surplusSeconds: number
  /** What is noted of a pool that has no image to make disks from. */
  readonly imageErrors: readonly string[]
}

export interface Need {
  /**
   * Some pool that may be refilled now has less than its target, or its image is missing or gone, or was when it was last
   * looked for.
   */
  readonly isNeeded: boolean
  /** Some pool has come to more than its target, or is no longer over it, or has been over it for too long. */
  readonly anySurplus: boolean
  /** Some full pool has a spare that is too old. */
  readonly anyAged: boolean
  readonly unfolded: Unfolded
}
