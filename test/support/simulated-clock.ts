import type { Clock } from '../../src/pool/ports.ts'

interface Timer {
  readonly due: number
  readonly ring: () => void
}

/** Time that moves only when the simulation says so, limits included; whoever sleeps wakes in the order of their times. */
export class SimulatedClock implements Clock {
  #passedMs = 0
  #beganAt = Date.parse('2026-11-22T12:00:00Z')
  /** The earliest first; of one time, in the order in which they were set. */
  readonly #timers: Timer[] = []

  now(): Date {
    return new Date(this.#beganAt + this.#passedMs)
  }

  monotonicMs(): number {
    return this.#passedMs
  }

  /** Sets the time, back where it is less than none. Whoever sleeps does so for as long as before. */
  jump(seconds: number): void {
    this.#beganAt += seconds * 1000
  }

  /** How many timers are set, limits included. */
  get sleepers(): number {
    return this.#timers.length
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw signal.reason
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#takeBack(timer)
        reject(signal?.reason)
      }
      const timer = this.#set(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort)
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
    const again = (): void => {
      void act().finally(() => {
        if (timer) timer = this.#set(ms, again)
      })
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
    if (!next || next.due > this.#passedMs + withinMs) {
      this.#passedMs += withinMs
      return false
    }
    this.#timers.shift()
    this.#passedMs = Math.max(this.#passedMs, next.due)
    next.ring()
    return true
  }

  /** Moves the time, waking the sleepers in their order. */
  pass(seconds: number): void {
    const until = this.#passedMs + seconds * 1000
    while (this.wakeNext(until - this.#passedMs));
  }

  /** One that has rung already is not among them any more. */
  #takeBack(timer: Timer): void {
    const index = this.#timers.indexOf(timer)
    if (index >= 0) this.#timers.splice(index, 1)
  }

  #set(ms: number, ring: () => void): Timer {
    const timer = { due: this.#passedMs + ms, ring }
    const after = this.#timers.findLastIndex(({ due }) => due <= timer.due)
    this.#timers.splice(after + 1, 0, timer)
    return timer
  }
}
