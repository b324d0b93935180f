import { randomUUID } from 'node:crypto'
import type { Clock } from './pool/ports.ts'

/** The one place that reads the time and waits. Everything else is given a clock, so that a test can choose it. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const giveUp = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }, ms)
      signal?.addEventListener('abort', giveUp)
    }),
  timeout: ms => AbortSignal.timeout(Math.ceil(ms)), // It refuses fractions.
  limit(ms, onLimit) {
    const timer = setTimeout(() => onLimit(timeIsUp()), ms)
    return () => clearTimeout(timer)
  },
  every(ms, act) {
    let isOver = false
    let timer = setTimeout(again, ms)
    function again(): void {
      void act().finally(() => {
        if (!isOver) timer = setTimeout(again, ms)
      })
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
