import { systemClock } from '../../src/clock.ts'
import { SimulatedClock } from './simulated-clock.ts'

/** Of a clock whose limits a test may change by its `timeout`. */
export function limitOf(signal: AbortSignal, onLimit: (reason: Error) => void): () => void {
  const act = (): void => onLimit(signal.reason)
  signal.addEventListener('abort', act)
  return () => signal.removeEventListener('abort', act)
}

/** Time that stands still until the test moves it, for a service that talks to a real database and a cloud over HTTP. */
export class TestClock extends SimulatedClock {
  #underWay = 0
  #isRunning = false

  /** The machine's own: it is for what hangs. */
  override timeout(ms: number): AbortSignal {
    return AbortSignal.timeout(Math.ceil(ms))
  }

  override limit(ms: number, onLimit: (reason: Error) => void): () => void {
    return limitOf(this.timeout(ms), onLimit)
  }

  /** Lets the time run while the work goes on, faster than it does outside, and gives what comes of it. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#underWay += 1
    if (!this.#isRunning) void this.#run()
    try {
      return await work
    } finally {
      this.#underWay -= 1
    }
  }

  /** No faster for many than for one: they share a machine. */
  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#underWay > 0) {
      await systemClock.sleep(STEP_MS)
      if (this.#underWay > 0) this.pass((STEP_MS * SPEED) / 1000)
    }
    this.#isRunning = false
  }
}

/** Fast enough for polls, and slow enough for a database and a cloud to answer within their limits. */
const SPEED = 10
/** Of real time: however long a busy machine stands still, it counts as one step. */
const STEP_MS = 2
