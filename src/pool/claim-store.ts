import type { Claim, ClaimRequest, ClaimSource, Disk, Lease, MissReason, Origin } from './claim.ts'
import type { Spare } from './spare.ts'

/** What operations need of the claims in the database. */

export interface Listing<T> {
  readonly rows: readonly T[]
  /** The id to go on after; undefined: that was the last page. */
  readonly nextMarker: string | undefined
}

/** Who works on a claim. Once another has taken the claim over, the former holder can no longer change its spare. */
export interface ClaimLease {
  readonly claimId: string
  readonly holder: string
}

/** A claim that was just recorded, and the spare reserved for it. */
export interface Opening {
  readonly claim: Claim
  readonly spare: Spare | undefined
}

/** The claim is ours. Or its lease has run out by the clock; since a clock may have been set, watch the lease first. */
export type Resumption = { readonly claim: Claim } | { readonly lapsed: Lease }

export interface Claims {
  /** Records the claim and reserves the oldest spare for it. Undefined: a living claim has its name or key. */
  open(request: ClaimRequest, id: string, lease: Lease, at: Date): Promise<Opening | undefined>
  /** The living claim for a name in a project. */
  living(projectId: string, name: string): Promise<Claim | undefined>
  /** The newest claim made under an idempotency key, living or not. */
  byKey(projectId: string, key: string): Promise<Claim | undefined>
  /** Takes over a claim without a lease, or with the lease that was watched. Undefined: somebody works on it, or it is settled. */
  resume(id: string, lease: Lease, at: Date, watched?: Lease): Promise<Resumption | undefined>
  /** Extends the lease. False: somebody else works on the claim by now. */
  renew(id: string, lease: Lease): Promise<boolean>
  /** Ends the lease: anybody may take the claim over. */
  release(id: string, holder: string): Promise<void>
  /** Call before a disk is made for a claim. `too_many`: so many are being made for its project. `over`: it is settled. */
  beginCreating(claim: Claim, missReason: MissReason, max: number, at: Date): Promise<'begun' | 'too_many' | 'over'>
  /** A disk is being made for it: `disk`, once Cinder has said which. Undefined: it is settled, or has lost that disk. */
  noteCreating(id: string, missReason: MissReason, disk: Disk | undefined, at: Date): Promise<Claim | undefined>
  /**
   * Gives the claim its disk, and deletes the row of the spare that became it. False: the claim was settled or undone
   * meanwhile, or another request works on it.
   */
  settle(lease: ClaimLease, given: Given, at: Date): Promise<boolean>
  /** Deletes a claim that got nothing. False: a spare is reserved for it, it is settled, or another works on it. */
  forget(lease: ClaimLease): Promise<boolean>
  /** Its disk is no longer in Cinder. */
  noteGone(id: string, at: Date): Promise<void>
  find(id: string): Promise<Claim | undefined>
  list(filter: ClaimFilter): Promise<Listing<Claim>>
  /** A page of the claims that nobody works on: the open ones first, then those whose disk is being made. */
  toSettle(at: Date, limit: number, after?: Claim): Promise<Claim[]>
  /** Whether any claim, living or past, was given this volume. */
  knowsVolume(volumeId: string): Promise<boolean>
  /** What a volume was made as, from the newest claim that knows it. */
  originOf(volumeId: string): Promise<Origin | undefined>
  /** Deletes a small batch of older claims, if they are settled; gives how many. */
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
