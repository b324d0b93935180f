import type { Clock } from '../../src/pool/ports.ts'

/** Time that moves when the test says so. Whoever sleeps wakes at once, and is written down. */
export class ManualClock implements Clock {
  readonly slept: number[] = []
  #now = Date.parse('2026-11-22T12:00:00Z')

  now(): Date {
    return new Date(this.#now)
  }

  pass(seconds: number): void {
    this.#now += seconds * 1000
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.slept.push(ms)
  }

  /** The machine's own: it is for what hangs. */
  timeout(ms: number): AbortSignal {
    return AbortSignal.timeout(ms)
  }
}
