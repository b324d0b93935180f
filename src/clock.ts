import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from './pool/ports.ts'

/** The one place that reads the time and waits. Everything else is given a clock, so that a test can choose it. */
export const systemClock: Clock = {
  now: () => new Date(),
  async sleep(ms, signal) {
    try {
      await wait(ms, undefined, signal && { signal })
    } catch (error) {
      throw signal?.aborted ? signal.reason : error // Not the timer's own AbortError, which hides the reason.
    }
  },
  timeout: ms => AbortSignal.timeout(Math.ceil(ms)), // It refuses fractions.
  limit(ms, onLimit) {
    const timer = setTimeout(() => onLimit(timeIsUp()), ms)
    return () => clearTimeout(timer)
  },
  every(ms, act) {
    let timer = setTimeout(again, ms)
    let isOver = false
    async function again(): Promise<void> {
      await act()
      if (!isOver) timer = setTimeout(again, ms)
    }
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }
}

/** As AbortSignal.timeout gives it. */
const timeIsUp = (): Error => new DOMException('The operation was aborted due to timeout', 'TimeoutError')

/** The one place that asks for chance: ids of spares, claims and requests. */
export const newId = (): string => randomUUID()
