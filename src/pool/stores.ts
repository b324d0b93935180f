import type { Claim, ClaimRequest, ClaimSource, Disk, Lease, MissReason } from './claim.ts'
import type { Image } from './image.ts'
import type { Creation, Holding, PoolState, PoolTarget } from './replenishment.ts'
import type { PoolName, SealedTransfer, Spare, SpareStatus } from './spare.ts'

/** What operations need of the database: `store` implements these, one function a query. */

/** Everything that a plan looks at, of one moment. */
export interface StoredStock {
  readonly images: readonly Image[]
  readonly states: readonly PoolState[]
  readonly holdings: readonly Holding[]
  readonly unfolded: Unfolded
}

/** How many rows the counts and the statistics have grown by since they were last folded. */
export interface Unfolded {
  readonly counts: number
  readonly timings: number
}

export interface Need {
  /** Some pool that may be refilled now has less than its target, or its image is missing, or was when it was last looked for. */
  readonly isNeeded: boolean
  readonly unfolded: Unfolded
}

export interface Listing<T> {
  readonly rows: readonly T[]
  /** The id to go on after; undefined: that was the last page. */
  readonly nextMarker: string | undefined
}

export interface Spares {
  stock(): Promise<StoredStock>
  /** Whether a plan would come to anything, at a fraction of what the stock costs where there are many pools. */
  need(targets: readonly PoolTarget[], noImage: string, at: Date): Promise<Need>
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
  noteFinished(finished: readonly Finished[], armingUntil: Date, at: Date): Promise<Spare[]>
  /** Into stock, or to a claim that waited, with one that is armed or need not be. Undefined: it is not on its way any more. */
  noteArmed(id: string, transfer: SealedTransfer | undefined, at: Date): Promise<Spare | undefined>
  /** Nothing is on its way for them, so anybody may arm them. */
  stopArming(ids: readonly string[]): Promise<void>
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
  /** Retires one that is still being made, for stock or for a claim. False: it is finished, or gone. */
  retireUnfinished(id: string, at: Date): Promise<boolean>
  /** Retires what is in stock or on its way there, of images that are no longer current and not kept; gives how many. */
  retireStale(at: Date): Promise<number>
  /** Those whose turn it is to be deleted. They go to the end of the line: none that cannot be deleted holds up the others. */
  nextRetired(limit: number, at: Date): Promise<Spare[]>
  drop(id: string, from: SpareStatus): Promise<boolean>
  /** A row for a volume of ours that no row knew. False: one knows it by now. */
  adopt(spare: Spare): Promise<boolean>
  byVolume(volumeId: string): Promise<Spare | undefined>
  /** Those that have one of these volumes, and of those with one of these ids the ones that wait for theirs. */
  ofVolumes(volumeIds: readonly string[], spareIds: readonly string[]): Promise<Spare[]>
  /** At most so many of those in stock, in order of their volumes' ids, that are not where Cinder lists their neighbours. */
  unlisted(listed: Listed, limit: number): Promise<Spare[]>
  ofClaim(claimId: string): Promise<Spare | undefined>
  list(filter: SpareFilter): Promise<Listing<Spare>>
}

/** Who works on a claim: what he does to its spare comes to nothing once another has taken it over. */
export interface ClaimLease {
  readonly claimId: string
  readonly holder: string
}

/** A spare whose volume Cinder has finished. */
export interface Finished {
  readonly id: string
  /** It goes into stock once it is armed. */
  readonly toArm: boolean
  /** Whose disk it was when it was looked at. Where that has changed, nothing is noted. */
  readonly claimId?: string | undefined
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

/** What opening a claim found, in one statement. */
export interface Opening {
  readonly claim: Claim
  readonly spare: Spare | undefined
}

export interface Claims {
  /** Records the claim and reserves the oldest spare for it. Undefined: a living claim has that name or key already. */
  open(request: ClaimRequest, id: string, lease: Lease, at: Date): Promise<Opening | undefined>
  /** The living claim for a name in a project. */
  living(projectId: string, name: string): Promise<Claim | undefined>
  /** The newest claim made under an idempotency key, living or not. */
  byKey(projectId: string, key: string): Promise<Claim | undefined>
  /** Takes over a claim that nobody works on. Undefined: somebody does, or it is settled. */
  resume(id: string, lease: Lease, at: Date): Promise<Claim | undefined>
  /** Goes on working on it. False: somebody else does by now. */
  renew(id: string, lease: Lease): Promise<boolean>
  /** Stops working on it: anybody may take it over. */
  release(id: string, holder: string): Promise<void>
  /** A disk is about to be made for it, unless so many are on their way for its project already; `over`: it is settled. */
  beginCreating(claim: Claim, missReason: MissReason, max: number, at: Date): Promise<'begun' | 'too_many' | 'over'>
  /** A disk is being made for it; `disk` once Cinder has said which. Undefined: it is settled, or that disk is not its own any more. */
  noteCreating(id: string, missReason: MissReason, disk: Disk | undefined, at: Date): Promise<Claim | undefined>
  /**
   * Gives the claim its disk; the row of the spare that became it goes. False: it was settled or undone meanwhile, or
   * another request works on it now.
   */
  settle(lease: ClaimLease, given: Given, at: Date): Promise<boolean>
  /** Forgets a claim that got nothing. False: a spare is still reserved for it, it is settled, or another's. */
  forget(lease: ClaimLease): Promise<boolean>
  /** Its disk is no more in Cinder. */
  noteGone(id: string, at: Date): Promise<void>
  find(id: string): Promise<Claim | undefined>
  list(filter: ClaimFilter): Promise<Listing<Claim>>
  /** A page of those that nobody works on, after one of them: the open ones first, then those whose disk is being made. */
  unsettled(at: Date, limit: number, after?: Claim): Promise<Claim[]>
  /** Whether any claim, living or past, was given this volume. */
  knowsVolume(volumeId: string): Promise<boolean>
  /** Forgets settled claims older than that, in small batches; gives how many. */
  prune(before: Date): Promise<number>
}

export interface Given {
  readonly source: ClaimSource
  readonly missReason: MissReason | undefined
  readonly disk: Disk
}

export interface ClaimFilter {
  readonly projectId?: string | undefined
  readonly hostname?: string | undefined
  readonly volumeId?: string | undefined
  readonly limit: number
  readonly marker?: string | undefined
}

export interface Images {
  list(): Promise<Image[]>
  find(pool: PoolName): Promise<Image | undefined>
  /** Adds images that the table does not have yet. */
  add(images: readonly Image[]): Promise<void>
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
  noteNewer(newer: readonly (PoolName & { version: string })[]): Promise<void>
}

/** What happened to a pool in some window of time, and its oldest spare. */
export interface Statistics extends PoolName {
  readonly hits: number
  /** By their reasons. */
  readonly misses: Readonly<Record<string, number>>
  readonly existing: number
  /** Of claims served from stock. */
  readonly claimSeconds: Percentiles | undefined
  readonly leadTime: Percentiles | undefined
  readonly oldestSpareAt: Date | undefined
}

/** In seconds. */
export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface History {
  /**
   * Claims settled and volumes finished since then, of each of these pools in turn. The time is exact for the latest two
   * thousand of them, else to ten minutes, to an hour beyond two days, to a day beyond two weeks.
   */
  read(since: Date, pools: readonly PoolName[]): Promise<Statistics[]>
  /** The longest that a volume of each of these pools has taken, in seconds; pools without any are left out. */
  longestLeadTimes(pools: readonly PoolName[]): Promise<(PoolName & { readonly seconds: number })[]>
  /** Forgets lead times older than that, in small batches; gives how many. */
  prune(before: Date): Promise<number>
  /** Keeps fewer totals, the older they are, and of those older than `before` one of each kind. */
  thin(before: Date, at: Date): Promise<void>
  /** Makes few rows of the many that the counts of the stock have become. */
  foldCounts(): Promise<void>
  /** The same for the statistics; leaves the latest. */
  foldTimings(left?: number): Promise<void>
  /** Counts the stock anew; gives how many counts were wrong. */
  recount(): Promise<number>
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
  /** Notes what a reconcile saw without a row, and forgets the rest. */
  note(ids: readonly string[], at: Date): Promise<void>
  /** Those of them that an earlier reconcile has noted. */
  known(ids: readonly string[]): Promise<ReadonlySet<string>>
  count(): Promise<number>
}
