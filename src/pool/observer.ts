import type { Claim, MissReason } from './claim.ts'
import type { PoolName } from './spare.ts'

/** What is counted and timed as it happens. */
export interface Observer {
  claimed(claim: Claim, seconds: number): void
  claimFailed(pool: PoolName, error: Error): void
  /** For want of stock. It is a miss, though no disk is made. */
  claimRefused(pool: PoolName, missReason: MissReason): void
  becameAvailable(pool: PoolName, leadTimeSeconds: number): void
  repaired(kind: string, count: number): void
  ticked(name: string, seconds: number, ok: boolean, at: Date): void
  /** A tick had to leave one item, such as a volume. */
  itemFailed(tick: string): void
}
