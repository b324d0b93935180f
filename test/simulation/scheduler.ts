import { setImmediate as hop } from 'node:timers/promises'
import type { Random } from '../../src/sandbox/random.ts'

/** Whose turn it is. What a dead one had begun may still be done; nobody hears of it. */
export interface Actor {
  readonly name: string
  isDead: boolean
}

interface Turn {
  readonly actor: Actor
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

  /** Waits for its turn and then for what comes of it, except where it is told that this may take simulated time. */
  async turn<T>(actor: Actor, what: string, act: () => Promise<T>, takesTime = false): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const go = async (): Promise<void> => {
        const done = act().then(
          result => void (actor.isDead || resolve(result)),
          error => void (actor.isDead || reject(error))
        )
        if (!takesTime) await done
      }
      this.#turns.push({ actor, what, go })
    })
  }

  /** One turn, and all that follows from it. */
  async step(): Promise<void> {
    const [turn] = this.#turns.splice(Math.floor(this.#random.fraction() * this.#turns.length), 1)
    if (turn) await this.#take(turn)
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
