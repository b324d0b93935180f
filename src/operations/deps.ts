import type { Lease } from '../pool/claim.ts'
import type { Claims } from '../pool/claim-store.ts'
import type { Observer } from '../pool/observer.ts'
import type { Clock, Cloud, Keyring, Log } from '../pool/ports.ts'
import type { Limits, PoolTarget } from '../pool/replenishment.ts'
import type { History, Images, Orphans, Pools, Purge, Spares, Ticks } from '../pool/stores.ts'

/** The part of the configuration that operations use. */
export interface Settings {
  readonly deployment: string
  /** One for each pool. */
  readonly targets: readonly PoolTarget[]
  readonly limits: Limits
  /** Stock is retired once it has been over its target for this long. */
  readonly surplusSeconds: number
  /** How many disks may be in creation for the misses of one project. */
  readonly creatingMaxPerProject: number
  /** With the groups `os`, `type`, `version` and perhaps `replica`. */
  readonly snapshotName: RegExp
  readonly imagesSource: 'os_table' | 'cinder' | 'os_table_then_cinder'
  readonly purgeOnSync: Purge
  readonly systemCategories: readonly string[]
  readonly checkExisting: 'cinder' | 'claims'
  readonly handover: 'transfer' | 'rename'
  /** Whether spares in stock wait in a transfer, so that a claim only accepts it. */
  readonly prearm: boolean
  readonly keepDays: number
  /** How long a call to the cloud may take. */
  readonly cloudTimeoutSeconds: number
}

export const TICK_NAMES = ['replenish', 'check_state', 'reconcile'] as const
export type TickName = (typeof TICK_NAMES)[number]

/** How long a run may take. Generous: a run that takes longer has hung. */
export const RUN_SECONDS: Record<TickName, number> = { replenish: 120, check_state: 120, reconcile: 600 }

/** Leases that have expired by the clock, by claim, and since when each has been seen unchanged. */
export type Watched = Map<string, { readonly lease: Lease; readonly sinceMs: number }>

/** Everything that operations work with. */
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
  /** Expired leases: their replicas may be dead. */
  readonly watched: Watched
  /** While the service stops, nobody is kept waiting. */
  readonly isStopping: () => boolean
  /** Starts a tick soon, or after so many milliseconds, and does not wait for it. */
  readonly wake: (tick: TickName, afterMs?: number) => void
}
