import { createTask } from 'node-cron'
import { systemClock } from './clock.ts'
import type { TakeBack } from './pool/ports.ts'

/** The machine's time may be set meanwhile: what is far off is looked at again so often. */
const LOOK_MS = 60_000

/**
 * Acts at the times of an expression of six fields, in UTC, by the machine's own time. node-cron only says which time is next:
 * its own schedule waits for a moment, so that a clock which is set back keeps it waiting, and goes through all that a clock
 * set forward has passed over. This one waits for a while, and sees then what time it is: such a jump costs one period at most.
 */
export function onCron(expression: string, act: () => void): TakeBack {
  const task = createTask(expression, () => undefined, { timezone: 'UTC' })
  const next = (): number => Math.min(...task.getNextRuns(1).map(date => date.getTime()))
  let takeBack: TakeBack | undefined
  let due = next()
  const wait = (): void => {
    const leftMs = Math.max(0, due - systemClock.now().getTime())
    takeBack = systemClock.limit(Math.min(leftMs, LOOK_MS), look)
  }
  const look = (): void => {
    const isDue = systemClock.now().getTime() >= due
    due = next() // Earlier than before where the time was set back.
    wait()
    if (isDue) act()
  }
  wait()
  return () => takeBack?.()
}
