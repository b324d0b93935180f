import { systemClock } from '../../src/clock.ts'
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
      const onAbort = (): void => {
        this.#timers.delete(timer)
        reject(signal?.reason)
      }
      const ring = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const timer: Timer = { due: this.#now + ms, ring }
      this.#timers.add(timer)
      signal?.addEventListener('abort', onAbort, { once: true })
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
    while (!ended) {
      await systemClock.sleep(STEP_MS)
      this.pass((STEP_MS * SPEED) / 1000)
    }
    return await done
  }
}

/** Fast enough for polls, and slow enough for a database and a cloud to answer within their limits. */
const SPEED = 10
/** Of real time: however long a busy machine stands still, it counts as one step. */
const STEP_MS = 2
