import { setImmediate as hop } from 'node:timers/promises'
import type { Random } from '../../sandbox/random.ts'

/** Whose turn it is. What a dead one had begun may still be done; nobody hears of it. */
export interface Actor {
  readonly name: string
  isDead: boolean
}

/** A statement ends in its turn, and may only look; how long the cloud takes to answer is the cloud's affair. */
export type Where = 'store' | 'look' | 'cloud'

interface Turn {
  readonly actor: Actor
  readonly where: Where
  readonly what: string
  readonly go: () => Promise<void>
}

/** Enough for everything that needs neither a turn nor time to come to its end. */
const HOPS = 12

/**
 * Statements and requests happen one at a time, in an order that chance decides: whoever wants one waits here for its turn.
 * Everything between two turns is computation, so the same seed gives the same history.
 */
export class Scheduler {
  readonly #random: Random
  readonly #turns: Turn[] = []
  readonly history: string[] = []

  constructor(random: Random) {
    this.#random = random
  }

  get isIdle(): boolean {
    return this.#turns.length === 0
  }

  /** Waits for its turn, and for what comes of it. */
  async turn<T>(actor: Actor, where: Where, what: string, act: () => Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const go = async (): Promise<void> => {
        const done = act().then(
          result => void (actor.isDead || resolve(result)),
          error => void (actor.isDead || reject(error))
        )
        if (where !== 'cloud') await done
      }
      this.#turns.push({ actor, where, what, go })
    })
  }

  /** One turn, and all that follows from it; gives where it was. */
  async step(): Promise<Where> {
    const [turn] = this.#turns.splice(Math.floor(this.#random.fraction() * this.#turns.length), 1)
    if (!turn) throw new Error('nobody waits for a turn')
    await this.#take(turn)
    return turn.where
  }

  /** What the actor has asked for is done, or not; it never learns which. */
  async kill(actor: Actor): Promise<void> {
    actor.isDead = true
    const its = this.#turns.filter(turn => turn.actor === actor)
    for (const turn of its) {
      this.#turns.splice(this.#turns.indexOf(turn), 1)
      if (this.#random.fraction() < 0.5) await this.#take(turn)
    }
  }

  async settle(): Promise<void> {
    for (let hops = 0; hops < HOPS; hops += 1) await hop()
  }

  async #take({ actor, what, go }: Turn): Promise<void> {
    this.history.push(`${actor.name}: ${what}`)
    await go()
    await this.settle()
  }
}
