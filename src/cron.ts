import { createTask } from 'node-cron'
import { systemClock } from './clock.ts'
import type { TakeBack } from './pool/ports.ts'

/** The clock may be set while we wait: look at it this often. */
const LOOK_MS = 60_000

/**
 * Acts at the times of a cron expression of six fields, in UTC. node-cron only computes the next time: its own schedule waits
 * too long after the clock was set back, and repeats all that a clock set forward has passed. Here a jump costs at most one
 * period.
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
    due = next() // Earlier than before where the clock was set back.
    wait()
    if (isDue) act()
  }
  wait()
  return () => takeBack?.()
}
