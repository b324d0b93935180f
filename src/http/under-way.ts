import { stopping } from '../pool/errors.ts'
import type { Clock } from '../pool/ports.ts'

/**
 * All that requests have begun. It outlasts a caller who is gone, and an answer that could not wait for it, so that what it
 * works with is not taken away before it has ended.
 */
export class UnderWay {
  readonly #clock: Clock
  readonly #works = new Set<AbortController>()
  #ended = false
  #onIdle: () => void = () => undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Gives the work a signal that fires after so many milliseconds, or when it is told to hurry. */
  async run<T>(ms: number, work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    if (this.#ended) throw stopping()
    const own = new AbortController()
    const takeBack = this.#clock.limit(ms, reason => own.abort(reason))
    this.#works.add(own)
    try {
      return await work(own.signal)
    } finally {
      takeBack()
      this.#works.delete(own)
      if (this.#works.size === 0) this.#onIdle()
    }
  }

  /** Waits until nothing is under way, and takes nothing afterwards. Once `hurry` fires, all are told to end. */
  async end(hurry: AbortSignal): Promise<void> {
    hurry.addEventListener('abort', () => {
      for (const own of this.#works) own.abort(hurry.reason)
    })
    if (this.#works.size > 0) {
      await new Promise<void>(resolve => {
        this.#onIdle = resolve
      })
    }
    this.#ended = true
  }
}
