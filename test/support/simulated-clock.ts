import type { Clock } from '../../src/pool/ports.ts'

interface Timer {
  readonly due: number
  readonly ring: () => void
}

/** Time that moves only when the simulation says so, limits included; whoever sleeps wakes in the order of their times. */
export class SimulatedClock implements Clock {
  #now = Date.parse('2026-11-22T12:00:00Z')
  /** The earliest first; of one time, in the order in which they were set. */
  readonly #timers: Timer[] = []

  now(): Date {
    return new Date(this.#now)
  }

  /** How many timers are set, limits included. */
  get sleepers(): number {
    return this.#timers.length
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#takeBack(timer)
        reject(signal?.reason)
      }
      const timer = this.#set(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  timeout(ms: number): AbortSignal {
    const ended = new AbortController()
    this.#set(ms, () => ended.abort(new DOMException('The time is up', 'TimeoutError')))
    return ended.signal
  }

  limit(ms: number, onLimit: (reason: Error) => void): () => void {
    const timer = this.#set(ms, () => onLimit(new DOMException('The time is up', 'TimeoutError')))
    return () => this.#takeBack(timer)
  }

  every(ms: number, act: () => Promise<void>): () => void {
    let timer: Timer | undefined
    const again = async (): Promise<void> => {
      await act()
      if (timer) timer = this.#set(ms, again)
    }
    timer = this.#set(ms, again)
    return () => {
      if (timer) this.#takeBack(timer)
      timer = undefined
    }
  }

  /** Wakes the next sleeper, if its time comes within so many milliseconds, or lets them pass. True: somebody was woken. */
  wakeNext(withinMs: number): boolean {
    const [next] = this.#timers
    if (!next || next.due > this.#now + withinMs) {
      this.#now += withinMs
      return false
    }
    this.#timers.shift()
    this.#now = Math.max(this.#now, next.due)
    next.ring()
    return true
  }

  /** Moves the time, waking the sleepers in their order. */
  pass(seconds: number): void {
    const until = this.#now + seconds * 1000
    while (this.wakeNext(until - this.#now));
  }

  /** One that has rung already is not among them any more. */
  #takeBack(timer: Timer): void {
    const index = this.#timers.indexOf(timer)
    if (index >= 0) this.#timers.splice(index, 1)
  }

  #set(ms: number, ring: () => void): Timer {
    const timer = { due: this.#now + ms, ring }
    const after = this.#timers.findLastIndex(({ due }) => due <= timer.due)
    this.#timers.splice(after + 1, 0, timer)
    return timer
  }
}
