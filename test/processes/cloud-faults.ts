import type { FaultKind } from '../../sandbox/faults.ts'
import type { Random } from '../../sandbox/random.ts'
import { FAULTS } from '../simulation/happenings.ts'
import type { Stage } from './stage.ts'

/** The simulation's seconds are shorter here, as its time limit is. */
const SHORTER = 20
/** Of the simulation's odds: there some of the faults are on at a time, here all of them. */
const ODDS = 0.01
const WORST_ODDS = 0.2

/** Every fault that a cloud has, all at once; now and then one of them is as frequent as can be. */
export class CloudFaults {
  readonly #stage: Stage
  readonly #random: Random
  readonly #strikes = new Map<FaultKind, number>()

  constructor(stage: Stage, random: Random) {
    this.#stage = stage
    this.#random = random
  }

  /** How often each kind has struck until now. */
  get strikes(): ReadonlyMap<FaultKind, number> {
    return this.#strikes
  }

  change(): void {
    this.end()
    const worst = Math.floor(this.#random.fraction() * FAULTS.length)
    for (const [index, { ms, probability = 1, ...rule }] of FAULTS.entries()) {
      const odds = index === worst || rule.kind === 'busy_delete' ? WORST_ODDS : ODDS // Deletions are few.
      this.#stage.cloud.addFault({ ...rule, probability: odds * probability, ...(ms && { ms: ms / SHORTER }) })
    }
  }

  end(): void {
    const { faults } = this.#stage.cloud
    for (const { kind, strikes } of faults.list()) {
      if (strikes > 0) this.#strikes.set(kind, (this.#strikes.get(kind) ?? 0) + strikes)
    }
    faults.remove()
  }
}
