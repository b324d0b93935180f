import type { Priority } from '../pool/ports.ts'

/** Rejects with the signal's reason as soon as it fires, whatever becomes of the promise. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason)
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}

/** Runs a piece of work once for all who ask for it while it is under way. */
export class Shared<T> {
  readonly #running = new Map<string, Promise<T>>()

  get size(): number {
    return this.#running.size
  }

  has(key: string): boolean {
    return this.#running.has(key)
  }

  join(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running) return running
    const started = work().finally(() => this.#running.delete(key))
    this.#running.set(key, started)
    return started
  }
}

/**
 * Runs a piece of work once for all who ask for it before it begins. Who asks while it is under way waits for the next run:
 * a run that began earlier may have missed what the asker knows to be there.
 */
export class NextRun<T> {
  /** Each settles once the run has ended, however it did. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #next = new Map<string, Promise<T>>()

  join(key: string, work: () => Promise<T>): Promise<T> {
    const next = this.#next.get(key)
    if (next) return next
    const running = this.#running.get(key)
    if (!running) return this.#begin(key, work)
    const awaited = running.then(() => {
      this.#next.delete(key)
      return this.#begin(key, work)
    })
    this.#next.set(key, awaited)
    return awaited
  }

  #begin(key: string, work: () => Promise<T>): Promise<T> {
    const run = work()
    const end = (): void => void this.#running.delete(key)
    this.#running.set(key, run.then(end, end))
    return run
  }
}

/** Claims go first, each kind in the order of asking. The background never has more than half of the places. */
export class Slots {
  readonly #max: Record<Priority, number>
  readonly #taken: Record<Priority, number> = { claim: 0, background: 0 }
  readonly #waiting: Record<Priority, Set<() => void>> = { claim: new Set(), background: new Set() }

  constructor(places: number) {
    this.#max = { claim: places, background: Math.max(1, Math.floor(places / 2)) }
  }

  /** False: the signal fired first. */
  async take(priority: Priority, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    if (this.#waiting[priority].size === 0 && this.#hasPlace(priority)) {
      this.#taken[priority] += 1
      return true
    }
    return await new Promise<boolean>(resolve => {
      const waiting = this.#waiting[priority]
      const giveUp = () => {
        waiting.delete(admit)
        resolve(false)
      }
      const admit = () => {
        signal.removeEventListener('abort', giveUp)
        resolve(true)
      }
      waiting.add(admit)
      signal.addEventListener('abort', giveUp)
      this.#admit()
    })
  }

  give(priority: Priority): void {
    this.#taken[priority] -= 1
    this.#admit()
  }

  #admit(): void {
    for (const priority of ['claim', 'background'] as const) {
      for (const admit of this.#waiting[priority]) {
        if (!this.#hasPlace(priority)) break
        this.#waiting[priority].delete(admit)
        this.#taken[priority] += 1
        admit()
      }
    }
  }

  #hasPlace(priority: Priority): boolean {
    const { claim, background } = this.#taken
    return claim + background < this.#max.claim && this.#taken[priority] < this.#max[priority]
  }
}
