import type { Claim, MissReason } from './claim.ts'
import type { ClaimLease, Listing } from './claim-store.ts'
import type { Image } from './image.ts'
import type { Creation, Holding, PoolState } from './replenishment.ts'
import type { PoolName, SealedTransfer, Spare, SpareStatus } from './spare.ts'
import type { Retirement, SurplusSince } from './surplus.ts'

/** What operations need of the rest of the database: `store` implements these, one function a query. */

/** Everything that a plan looks at, of one moment. */
export interface StoredStock {
  readonly images: readonly Image[]
  readonly states: readonly PoolState[]
  readonly holdings: readonly Holding[]
}

export interface Spares {
  stock(): Promise<StoredStock>
  /**
   * Retires the oldest spares of each pool that may be handed out, at most `count` of them, and none that would leave less
   * than `keep`: so two replicas that decide the same retire no more than one. Gives a pool for each spare.
   */
  retireOldest(retirements: readonly Retirement[], at: Date): Promise<PoolName[]>
  /** Records what `plan` wants, decided on a stock that nobody changes meanwhile: so no replica passes a limit. */
  request(plan: (stock: StoredStock) => readonly Creation[], newId: () => string, at: Date): Promise<Spare[]>
  /**
   * Records a disk to be made for a claim that found no spare; unless it `takesSpare`, and one has come into stock meanwhile.
   * Undefined: the claim has one already, or is no more. While it is being made, it waits: whatever brings a spare into stock
   * that is alike gives it to whoever waits longest, in the same transaction, and then its own goes on as one for the stock.
   */
  requestFor(
    claimId: string,
    creation: Creation,
    id: string,
    at: Date,
    takesSpare?: boolean
  ): Promise<Spare | undefined>
  /** Notes the volume that Cinder is making. Undefined: the row is gone, or has another volume. */
  noteVolume(id: string, volumeId: string, at: Date): Promise<Spare | undefined>
  /**
   * Cinder has finished these: into stock, or ready for their claim. Those that are to be armed stay on their way, and until
   * then nobody else may arm them; an earlier one's time must be up. Gives those that it changed; with a claim where one waited.
   */
  noteFinished(finished: readonly Finished[], armingUntil: Date, at: Date): Promise<FinishedSpare[]>
  /**
   * Into stock, or to a claim that waited, with one that is armed or need not be. Its pool is well then, unless it has failed
   * since it had so often. Undefined: it is not on its way any more.
   */
  noteArmed(
    id: string,
    transfer: SealedTransfer | undefined,
    at: Date,
    poolFailures?: number
  ): Promise<Spare | undefined>
  /** Nothing is on its way for them, so anybody may arm them. */
  stopArming(ids: readonly string[]): Promise<void>
  /** Nobody arms them until their pool may try again. */
  armLater(ids: readonly string[]): Promise<void>
  onTheirWay(): Promise<OnTheirWay>
  /** The oldest spare of the pool that may be handed out, for an open claim; undefined: none, or the claim has one. */
  reserveOldest(claimId: string, pool: PoolName, at: Date): Promise<Spare | undefined>
  /** The same; and where there is none, the claim waits for the next one, for as long as it is worked on. */
  reserveOrWait(claimId: string, pool: PoolName, at: Date): Promise<Spare | undefined>
  /** The claim waits no more. A spare that came for it before that is its own. */
  endWaiting(claimId: string): Promise<void>
  /** Whether the pool has spares at all that may not be handed out, being of an image that is no longer current. */
  hasStale(pool: PoolName): Promise<boolean>
  /** Takes it out of stock, to be armed anew. False: it was not in stock any more. */
  unstock(id: string, at: Date): Promise<boolean>
  /** From a claim back into stock, or on to one that waited. Undefined: it is not that claim's any more. */
  putBack(id: string, lease: ClaimLease, at: Date): Promise<Spare | undefined>
  /** Of a spare that a claim has. False: it is not that claim's any more. */
  noteTransfer(id: string, lease: ClaimLease, transfer: SealedTransfer | undefined, at: Date): Promise<boolean>
  /** False: it was not in that status any more, or not that claim's. */
  retire(id: string, from: SpareStatus, at: Date, lease?: ClaimLease): Promise<boolean>
  /**
   * Retires one that is still being made, for stock or for a claim. `armingUntil`: until when it could be armed that is armed
   * now. False: it is finished, or gone.
   */
  retireUnfinished(id: string, at: Date, armingUntil: Date): Promise<boolean>
  /** Retires what is in stock or on its way there, of images that are no longer current and not kept; gives how many. */
  retireStale(at: Date): Promise<number>
  /** Those whose turn it is to be deleted. They go to the end of the line: none that cannot be deleted holds up the others. */
  nextRetired(limit: number, at: Date): Promise<Spare[]>
  /** False: it was not in that status any more, or not that claim's. */
  drop(id: string, from: SpareStatus, lease?: ClaimLease): Promise<boolean>
  /** A row for a volume of ours that no row knew. False: one knows it by now. */
  adopt(spare: Spare): Promise<boolean>
  byVolume(volumeId: string): Promise<Spare | undefined>
  /** Those that have one of these volumes, or one of these ids. */
  ofVolumes(volumeIds: readonly string[], spareIds: readonly string[]): Promise<Spare[]>
  /** At most so many of those in stock, in order of their volumes' ids, that are not where Cinder lists their neighbours. */
  unlisted(listed: Listed, limit: number): Promise<Spare[]>
  ofClaim(claimId: string): Promise<Spare | undefined>
  list(filter: SpareFilter): Promise<Listing<Spare>>
}

/** A spare whose volume Cinder has finished. */
export interface Finished {
  readonly id: string
  /** It goes into stock once it is armed. */
  readonly toArm: boolean
  /** Whose disk it was when it was looked at. Where that has changed, nothing is noted. */
  readonly claimId?: string | undefined
}

/** A spare that was finished just now, and how often its pool had failed in a row by then. */
export interface FinishedSpare extends Spare {
  readonly poolFailures: number
}

/** What the next look at Cinder is about. */
export interface OnTheirWay {
  /** Being made, not armed yet, or recorded and not known to Cinder; the oldest first. */
  readonly spares: readonly Spare[]
  /** Whether retired ones wait to be deleted. */
  readonly anyToDelete: boolean
}

/** What Cinder lists in a stretch of the order of volume ids, by the ids of volumes or of transfers. */
export interface Listed extends Stretch {
  readonly what: 'volume' | 'transfer'
  readonly ids: readonly string[]
}

/** Undefined: from the first one, or up to the last one. */
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
  /** Adds images that the table does not have yet. */
  add(images: readonly Image[]): Promise<void>
  /** Puts these in place of those that are gone, and retires the spares of what they were made from; gives how many. */
  replaceGone(images: readonly Image[], at: Date): Promise<number>
  /** That snapshot is gone. False: that was known, or no image has it. */
  noteGone(snapshotId: string): Promise<boolean>
  /** These are gone and no others; true: that is news. */
  setGone(snapshotIds: readonly string[]): Promise<boolean>
  /** Replaces the table and retires or keeps spares, all in one transaction; gives how many were retired. */
  replace(images: readonly Image[], purge: Purge, at: Date): Promise<number>
}

/** What a sync does with the stock: all unclaimed spares retired, those of an image no longer current, or none. */
export const PURGES = ['all', 'stale', 'none'] as const
export type Purge = (typeof PURGES)[number]

export interface Pools {
  /** Adds rows for pools that are new in the configuration. */
  ensure(pools: readonly PoolName[]): Promise<void>
  noteFailure(pool: PoolName, error: string, retryAt: (failures: number) => Date): Promise<void>
  /** True: it is news, and worth a line in the log. */
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

/** How many spares of a pool may be handed out. */
export interface Level extends PoolName {
  readonly held: number
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
  noteLevels(levels: readonly Level[], at: Date): Promise<void>
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
  /** Takes the lease of a tick, or of a sync, or renews it. False: another holds it. */
  take(name: string, holder: string, until: Date, at: Date): Promise<boolean>
  /** Ends the lease and records how the run went; `error` undefined: well. */
  finish(
    name: string,
    holder: string,
    run: { startedAt: Date; endedAt: Date; error: string | undefined }
  ): Promise<void>
  list(): Promise<TickRecord[]>
}

export interface Orphans {
  /** Notes what a reconcile saw without a row, and forgets the rest unless it could not see all. */
  note(ids: readonly string[], at: Date, isComplete?: boolean): Promise<void>
  /** Those of them that an earlier reconcile has noted. */
  known(ids: readonly string[]): Promise<ReadonlySet<string>>
  count(): Promise<number>
}
