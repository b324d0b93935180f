import type { Lease } from '../pool/claim.ts'
import type { Claims } from '../pool/claim-store.ts'
import type { Observer } from '../pool/observer.ts'
import type { Clock, Cloud, Keyring, Log } from '../pool/ports.ts'
import type { Limits, PoolTarget } from '../pool/replenishment.ts'
import type { History, Images, Orphans, Pools, Purge, Spares, Ticks } from '../pool/stores.ts'

/** What operations need to know of the configuration. */
export interface Settings {
  readonly deployment: string
  /** One entry a pool. */
  readonly targets: readonly PoolTarget[]
  readonly limits: Limits
  /** Stock that has been over its target for so long is retired. */
  readonly surplusSeconds: number
  /** Disks that may be on their way for the misses of one project. */
  readonly creatingMaxPerProject: number
  /** The naming rule, with groups `os`, `type`, `version` and perhaps `replica`. */
  readonly snapshotName: RegExp
  readonly imagesSource: 'os_table' | 'cinder' | 'os_table_then_cinder'
  readonly purgeOnSync: Purge
  readonly systemCategories: readonly string[]
  readonly checkExisting: 'cinder' | 'claims'
  readonly handover: 'transfer' | 'rename'
  /** Spares in stock wait in a transfer, so that a claim only accepts it. */
  readonly prearm: boolean
  readonly keepDays: number
  /** The longest that a call to the cloud may take. */
  readonly cloudTimeoutSeconds: number
}

export const TICK_NAMES = ['replenish', 'check_state', 'reconcile'] as const
export type TickName = (typeof TICK_NAMES)[number]

/** The longest that a run may take. Generous: one that takes longer has hung. */
export const RUN_SECONDS: Record<TickName, number> = { replenish: 120, check_state: 120, reconcile: 600 }

/** Leases that have run out by the clock, by their claims' ids, with when each was first seen as it is. */
export type Watched = Map<string, { readonly lease: Lease; readonly sinceMs: number }>

/** All that operations work with. */
export interface Deps {
  readonly cloud: Cloud
  readonly spares: Spares
  readonly claims: Claims
  readonly images: Images
  readonly pools: Pools
  readonly orphans: Orphans
  readonly history: History
  readonly ticks: Ticks
  readonly keyring: Keyring
  readonly clock: Clock
  readonly newId: () => string
  readonly settings: Settings
  readonly log: Log
  readonly observer: Observer
  /** What this replica has seen of leases that may be a dead one's. */
  readonly watched: Watched
  /** Whether the service is on its way down: then nobody is kept waiting. */
  readonly isStopping: () => boolean
  /** Runs a tick soon, or once so many milliseconds have passed, without waiting for it. */
  readonly wake: (tick: TickName, afterMs?: number) => void
}
