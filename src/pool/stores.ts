import type { Claim, MissReason } from './claim.ts'
import type { ClaimLease, Listing } from './claim-store.ts'
import type { Image } from './image.ts'
import type { Creation, PoolPlan, StoredStock } from './replenishment.ts'
import type { PoolName, SealedTransfer, Spare, SpareStatus } from './spare.ts'
import type { Retirement, SurplusSince } from './surplus.ts'

/** What operations need of the rest of the database: `store` implements these, one function a query. */

export interface Spares {
  stock(): Promise<StoredStock>
  /**
   * Retires the oldest spares of each pool that may be handed out, at most `count` of them, and none that would leave less
   * than `keep`: so two replicas that decide the same retire no more than one. Gives a pool for each spare.
   */
  retireOldest(retirements: readonly Retirement[], at: Date): Promise<PoolName[]>
  /** Records what `plan` wants. Only one replica plans at a time, so together they exceed no limit. */
  request(plan: (stock: StoredStock) => readonly Creation[], newId: () => string, at: Date): Promise<Spare[]>
  /**
   * Records a disk to be made for a claim that found no spare. If it `takesSpare` and one has come into stock meanwhile, it
   * gets that one. While its disk is being made, the claim waits: the next such spare goes to the claim that has waited
   * longest, and that claim's own disk is left to the stock. Undefined: the claim has a disk already, or it is over.
   */
  requestFor(
    claimId: string,
    creation: Creation,
    id: string,
    at: Date,
    takesSpare?: boolean
  ): Promise<Spare | undefined>
  /** Records the volume that Cinder makes. Undefined: the row is gone, or has another volume. */
  noteVolume(id: string, volumeId: string, at: Date): Promise<Spare | undefined>
  /**
   * Cinder has finished these. A spare comes into stock, or is ready for its claim. A spare that is to be armed stays on its
   * way: only the caller may arm it, until `armingUntil`. Skips spares that another caller may still arm. Gives the spares
   * that it changed, each with its claim if one was waiting.
   */
  noteFinished(finished: readonly Finished[], armingUntil: Date, at: Date): Promise<FinishedSpare[]>
  /**
   * The spare is armed, or need not be. It comes into stock, or goes to a claim that waits. This ends the failures of its
   * pool, unless there are more than `poolFailures` by now. Undefined: the spare is no longer on its way.
   */
  noteArmed(
    id: string,
    transfer: SealedTransfer | undefined,
    at: Date,
    poolFailures?: number
  ): Promise<Spare | undefined>
  /** Anybody may arm them now: no transfer is being made for them. */
  stopArming(ids: readonly string[]): Promise<void>
  /** Nobody may arm them until their pool may try again. */
  armLater(ids: readonly string[]): Promise<void>
  onTheirWay(): Promise<OnTheirWay>
  /** Reserves the oldest spare that may be handed out, for an open claim. Undefined: there is none, or the claim has one. */
  reserveOldest(claimId: string, pool: PoolName, at: Date): Promise<Spare | undefined>
  /** The same. If there is none, the claim waits for the next one, as long as somebody works on it. */
  reserveOrWait(claimId: string, pool: PoolName, at: Date): Promise<Spare | undefined>
  /** The claim stops waiting. It keeps a spare that it was given before. */
  endWaiting(claimId: string): Promise<void>
  /** Whether the pool has spares in stock whose image is no longer current, so that they may not be handed out. */
  hasStale(pool: PoolName): Promise<boolean>
  /** Takes it out of stock, to be armed again. False: it was no longer in stock. */
  unstock(id: string, at: Date): Promise<boolean>
  /** From a claim back into stock, or to a claim that waits. Undefined: it is no longer that claim's. */
  putBack(id: string, lease: ClaimLease, at: Date): Promise<Spare | undefined>
  /**
   * Records the transfer of a claim's spare, or until when one may be made of it that nobody knows. False: it is no longer that
   * claim's.
   */
  noteTransfer(
    id: string,
    lease: ClaimLease,
    transfer: SealedTransfer | undefined,
    at: Date,
    armingUntil?: Date
  ): Promise<boolean>
  /** False: it was no longer in that status, or not that claim's. */
  retire(id: string, from: SpareStatus, at: Date, lease?: ClaimLease): Promise<boolean>
  /**
   * Retires a spare that is still being made, for stock or for a claim. `armingUntil`: the end of an arming that began now.
   * False: it is finished, or gone.
   */
  retireUnfinished(id: string, at: Date, armingUntil: Date): Promise<boolean>
  /** Retires what is in stock or on its way there, unless it is kept or its image is current; gives how many. */
  retireStale(at: Date): Promise<number>
  /** The next spares to delete. They go to the end of the line, so that one that cannot be deleted holds up no other. */
  nextRetired(limit: number, at: Date): Promise<Spare[]>
  /** False: it was no longer in that status, or not that claim's. */
  drop(id: string, from: SpareStatus, lease?: ClaimLease): Promise<boolean>
  /** Adds a row for a volume of ours that no row knew. False: a row knows it by now. */
  adopt(spare: Spare): Promise<boolean>
  byVolume(volumeId: string): Promise<Spare | undefined>
  /** The spares with one of these volumes or ids. */
  ofVolumes(volumeIds: readonly string[], spareIds: readonly string[]): Promise<Spare[]>
  /** Spares in stock that belong into a part of Cinder's listing and are not in it, in the order of their volumes' ids. */
  unlisted(listed: Listed, limit: number): Promise<Spare[]>
  ofClaim(claimId: string): Promise<Spare | undefined>
  list(filter: SpareFilter): Promise<Listing<Spare>>
}

/** A spare whose volume Cinder has finished. */
export interface Finished {
  readonly id: string
  /** It goes into stock once it is armed. */
  readonly toArm: boolean
  /** Whose disk it was when its volume was read. If that has changed, nothing is recorded. */
  readonly claimId?: string | undefined
}

/** A spare that has just been finished, and how often its pool has failed in a row. */
export interface FinishedSpare extends Spare {
  readonly poolFailures: number
}

/** What check_state looks for in Cinder. */
export interface OnTheirWay {
  /** Being made, not armed yet, or not known in Cinder; the oldest first. */
  readonly spares: readonly Spare[]
  /** Whether retired spares wait to be deleted. */
  readonly anyToDelete: boolean
}

/** The ids of the volumes or transfers that Cinder lists in a stretch of the volume ids. */
export interface Listed extends Stretch {
  readonly what: 'volume' | 'transfer'
  readonly ids: readonly string[]
}

/** Undefined: from the first id, or up to the last one. */
export interface Stretch {
  readonly after: string | undefined
  readonly upTo: string | undefined
}

export interface SpareFilter {
  readonly os?: string | undefined
  readonly type?: string | undefined
  readonly status?: SpareStatus | undefined
  readonly limit: number
  readonly marker?: string | undefined
}

export interface Images {
  list(): Promise<Image[]>
  find(pool: PoolName): Promise<Image | undefined>
  /** Adds the images that the table does not have yet. */
  add(images: readonly Image[]): Promise<void>
  /** Replaces images whose snapshots are gone, and retires the spares made from those; gives how many it retired. */
  replaceGone(images: readonly Image[], at: Date): Promise<number>
  /** Records that a snapshot is gone. False: that was known, or no image has it. */
  noteGone(snapshotId: string): Promise<boolean>
  /** Exactly these snapshots are gone. True: that is news. */
  setGone(snapshotIds: readonly string[]): Promise<boolean>
  /** Replaces the table, and retires or keeps the spares, in one transaction; gives how many it retired. */
  replace(images: readonly Image[], purge: Purge, at: Date): Promise<number>
}

/** What a sync does with the stock: all unclaimed spares retired, those of an image no longer current, or none. */
export const PURGES = ['all', 'stale', 'none'] as const
export type Purge = (typeof PURGES)[number]

export interface Pools {
  /** Adds the pools that are new in the configuration. */
  ensure(pools: readonly PoolName[]): Promise<void>
  noteFailure(pool: PoolName, error: string, retryAt: (failures: number) => Date): Promise<void>
  /** True: it is news, so it is worth a line in the log. */
  noteError(pool: PoolName, error: string | undefined): Promise<boolean>
  setPaused(pool: PoolName, paused: boolean): Promise<void>
  /** Notes since when these pools have more in stock than their target; undefined: they have no more than that. */
  noteSurplus(pools: readonly SurplusSince[]): Promise<void>
  noteNewer(newer: readonly (PoolName & { version: string })[]): Promise<void>
}

/** What happened to a pool in some window of time. */
export interface Statistics extends PoolName {
  readonly hits: number
  /** By their reasons. */
  readonly misses: Readonly<Record<string, number>>
  readonly existing: number
  /** Of claims served from stock. */
  readonly claimSeconds: Percentiles | undefined
  readonly leadTime: Percentiles | undefined
}

/** In seconds. */
export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface History {
  /**
   * Claims settled and volumes finished since then, of each of these pools in turn. Exact, but for refused claims, which count
   * in bins of five minutes. Bins are of an hour where the window is longer than fine bins are kept: see `startOfWindow`.
   */
  read(since: Date, pools: readonly PoolName[]): Promise<Statistics[]>
  /** Writes into bins what has happened up to now. Safe to repeat; what it has not written yet, `read` counts all the same. */
  record(at: Date): Promise<void>
  /** Notes how much of each pool can be handed out now. */
  noteLevels(levels: readonly Pick<PoolPlan, 'os' | 'type' | 'held'>[], at: Date): Promise<void>
  /** Forgets bins that are older than they are kept. */
  thin(at: Date): Promise<void>
  /** The longest that a volume of each of these pools has taken, in seconds; pools without any are left out. */
  longestLeadTimes(pools: readonly PoolName[]): Promise<(PoolName & { readonly seconds: number })[]>
  /** Forgets lead times older than that, in small batches; gives how many. */
  prune(before: Date): Promise<number>
  /**
   * Counts a refused claim as a miss. False: one for this project and name was counted since `before`, so that whoever asks
   * again and again counts once.
   */
  countRefusal(claim: Claim, reason: MissReason, at: Date, before: Date): Promise<boolean>
  /** Forgets refusals that were counted before then, in small batches; gives how many. */
  forgetRefusals(before: Date): Promise<number>
}

export interface TickRecord {
  readonly name: string
  readonly lastRunAt: Date | undefined
  readonly lastOkAt: Date | undefined
  readonly seconds: number | undefined
  readonly lastError: string | undefined
}

export interface Ticks {
  /** Takes or renews the lease of a tick or of a sync. False: another replica holds it. */
  take(name: string, holder: string, until: Date, at: Date): Promise<boolean>
  /** Ends the lease and records the run. `error` undefined: it went well. */
  finish(
    name: string,
    holder: string,
    run: { startedAt: Date; endedAt: Date; error: string | undefined }
  ): Promise<void>
  list(): Promise<TickRecord[]>
}

export interface Orphans {
  /** Records what a reconcile saw without a row. Forgets all others if the reconcile is complete. */
  note(ids: readonly string[], at: Date, isComplete?: boolean): Promise<void>
  /** The ones that an earlier reconcile has recorded. */
  known(ids: readonly string[]): Promise<ReadonlySet<string>>
  count(): Promise<number>
}
