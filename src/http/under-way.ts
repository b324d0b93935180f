import { stopping } from '../pool/errors.ts'
import type { Clock } from '../pool/ports.ts'

/**
 * The work that requests have begun. It may go on when the caller is gone or was answered without it, so the service waits
 * for it here before it closes what the work uses.
 */
export class UnderWay {
  readonly #clock: Clock
  readonly #works = new Map<AbortController, Promise<unknown>>()
  #ended = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Does the work. Its signal fires after so many milliseconds, or when the service is in a hurry to stop. */
  async run<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#ended) throw stopping()
    const own = new AbortController()
    const takeBack = this.#clock.limit(ms, reason => own.abort(reason))
    const running = work(own.signal).finally(() => {
      takeBack()
      this.#works.delete(own)
    })
    this.#works.set(own, running)
    return await running
  }

  /** Waits until no work is left, and refuses new work from then on. When `hurry` fires, all work is told to end. */
  async end(hurry: AbortSignal): Promise<void> {
    hurry.addEventListener('abort', () => {
      for (const own of this.#works.keys()) own.abort(hurry.reason)
    })
    while (this.#works.size > 0) await Promise.allSettled(this.#works.values())
    this.#ended = true
  }
}
