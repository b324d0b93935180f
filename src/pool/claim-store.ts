import type { Claim, ClaimRequest, ClaimSource, Disk, Lease, MissReason, Origin } from './claim.ts'
import type { Spare } from './spare.ts'

/** What operations need of the claims in the database. */

export interface Listing<T> {
  readonly rows: readonly T[]
  /** The id to go on after; undefined: that was the last page. */
  readonly nextMarker: string | undefined
}

/** Who works on a claim: what he does to its spare comes to nothing once another has taken it over. */
export interface ClaimLease {
  readonly claimId: string
  readonly holder: string
}

/** What opening a claim found, in one statement. */
export interface Opening {
  readonly claim: Claim
  readonly spare: Spare | undefined
}

/** The claim is ours; or its lease has run out by the clock, which may have been set, so that it is to be watched first. */
export type Resumption = { readonly claim: Claim } | { readonly lapsed: Lease }

export interface Claims {
  /** Records the claim and reserves the oldest spare for it. Undefined: a living claim has that name or key already. */
  open(request: ClaimRequest, id: string, lease: Lease, at: Date): Promise<Opening | undefined>
  /** The living claim for a name in a project. */
  living(projectId: string, name: string): Promise<Claim | undefined>
  /** The newest claim made under an idempotency key, living or not. */
  byKey(projectId: string, key: string): Promise<Claim | undefined>
  /**
   * Takes over a claim whose lease was given up, or is still as it was when somebody began to watch it. Undefined: it is
   * worked on, or settled.
   */
  resume(id: string, lease: Lease, at: Date, watched?: Lease): Promise<Resumption | undefined>
  /** Goes on working on it. False: somebody else does by now. */
  renew(id: string, lease: Lease): Promise<boolean>
  /** Stops working on it: anybody may take it over. */
  release(id: string, holder: string): Promise<void>
  /** A disk is about to be made for it, unless so many are on their way for its project already; `over`: it is settled. */
  beginCreating(claim: Claim, missReason: MissReason, max: number, at: Date): Promise<'begun' | 'too_many' | 'over'>
  /** A disk is being made for it; `disk` once Cinder has said which. Undefined: it is settled, or that disk is its own no more. */
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
  /** What the newest claim that knows a volume says of it: one that was given it as a disk of ours, or had it from such a one. */
  originOf(volumeId: string): Promise<Origin | undefined>
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
