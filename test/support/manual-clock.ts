import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/pool/ports.ts'
import { limitOf } from './test-clock.ts'

/** Time that moves when the test says so. Whoever sleeps wakes at once, and is written down. */
export class ManualClock implements Clock {
  readonly slept: number[] = []
  #passedMs = 0
  #beganAt = Date.parse('2026-11-22T12:00:00Z')

  now(): Date {
    return new Date(this.#beganAt + this.#passedMs)
  }

  monotonicMs(): number {
    return this.#passedMs
  }

  pass(seconds: number): void {
    this.#passedMs += seconds * 1000
  }

  /** Sets the time, back where it is less than none. */
  jump(seconds: number): void {
    this.#beganAt += seconds * 1000
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw signal.reason
    this.slept.push(ms)
  }

  /** The machine's own: it is for what hangs. */
  timeout(ms: number): AbortSignal {
    return AbortSignal.timeout(ms)
  }

  limit(ms: number, onLimit: (reason: Error) => void): () => void {
    return limitOf(this.timeout(ms), onLimit)
  }

  every(ms: number, act: () => Promise<void>): () => void {
    return systemClock.every(ms, act)
  }
}
