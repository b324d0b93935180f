import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/pool/ports.ts'

interface Timer {
  readonly due: number
  readonly ring: () => void
}

/** Time that stands still until the test moves it; whoever sleeps wakes when their time has come. */
export class TestClock implements Clock {
  #now = Date.parse('2026-11-22T12:00:00Z')
  readonly #timers = new Set<Timer>()

  now(): Date {
    return new Date(this.#now)
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const timer: Timer = { due: this.#now + ms, ring: resolve }
      this.#timers.add(timer)
      signal?.addEventListener('abort', () => {
        this.#timers.delete(timer)
        reject(signal.reason)
      })
    })
  }

  /** Moves the time, waking the sleepers in their order. */
  pass(seconds: number): void {
    const until = this.#now + seconds * 1000
    for (;;) {
      const [next] = [...this.#timers].filter(({ due }) => due <= until).toSorted((a, b) => a.due - b.due)
      if (!next) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.ring()
    }
    this.#now = until
  }

  /** Lets the time run while the work goes on, faster than it does outside, and gives what comes of it. */
  async during<T>(work: Promise<T>): Promise<T> {
    let ended = false
    const done = work.finally(() => {
      ended = true
    })
    done.catch(() => undefined)
    for (let last = performance.now(); !ended; ) {
      await setImmediate() // What has woken does its work first.
      const now = performance.now()
      this.pass(((now - last) * SPEED) / 1000)
      last = now
    }
    return await done
  }
}

/** Fast enough for polls, and slow enough for a database and a cloud to answer within their limits. */
const SPEED = 5
