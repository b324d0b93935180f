import type { Clock } from '../../src/pool/ports.ts'

/** One machine's clock: the time that it shows is its own and may be set. How long things take is the same for all. */
export class OwnClock implements Clock {
  readonly #world: Clock
  #aheadSeconds: number

  constructor(world: Clock, aheadSeconds = 0) {
    this.#world = world
    this.#aheadSeconds = aheadSeconds
  }

  now(): Date {
    return new Date(this.#world.now().getTime() + this.#aheadSeconds * 1000)
  }

  monotonicMs(): number {
    return this.#world.monotonicMs()
  }

  /** Sets the time, back where it is less than none. */
  jump(seconds: number): void {
    this.#aheadSeconds += seconds
  }

  sleep: Clock['sleep'] = (ms, signal) => this.#world.sleep(ms, signal)
  timeout: Clock['timeout'] = ms => this.#world.timeout(ms)
  limit: Clock['limit'] = (ms, onLimit) => this.#world.limit(ms, onLimit)
  every: Clock['every'] = (ms, act) => this.#world.every(ms, act)
}
