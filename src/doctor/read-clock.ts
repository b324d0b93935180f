import type { Clock } from '../pool/ports.ts'
import type { ClockReading } from './examination.ts'

/** Asks another clock for its time, and how long it took by the one of ours that is never set. */
export async function readClock(clock: Clock, ask: () => Promise<Date>): Promise<ClockReading> {
  const [askedAt, askedMs] = [clock.now(), clock.monotonicMs()]
  const time = await ask()
  return { askedAt, time, answeredAt: new Date(askedAt.getTime() + clock.monotonicMs() - askedMs) }
}
