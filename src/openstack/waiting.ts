/** Whoever waits here stops waiting when its signal fires, and leaves the others alone. */

/** Rejects with the signal's reason as soon as it fires, whatever becomes of the promise. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let giveUp: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    giveUp = () => reject(signal.reason)
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    if (giveUp) signal.removeEventListener('abort', giveUp)
  }
}

/** One piece of work for all who ask for it while it is under way. */
export class Shared<T> {
  readonly #running = new Map<string, Promise<T>>()

  join(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running) return running
    const started = work().finally(() => this.#running.delete(key))
    this.#running.set(key, started)
    return started
  }
}

/** A number of places, given out in the order of asking. */
export class Slots {
  #free: number
  readonly #queue = new Set<() => void>()

  constructor(free: number) {
    this.#free = free
  }

  /** False: the signal fired first. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    if (this.#free > 0) {
      this.#free--
      return true
    }
    return await new Promise<boolean>(resolve => {
      const giveUp = () => {
        this.#queue.delete(admit)
        resolve(false)
      }
      const admit = () => {
        signal.removeEventListener('abort', giveUp)
        resolve(true)
      }
      this.#queue.add(admit)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  give(): void {
    const [next] = this.#queue
    if (!next) {
      this.#free++
      return
    }
    this.#queue.delete(next)
    next()
  }
}
