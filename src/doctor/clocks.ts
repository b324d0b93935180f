import { CLOCKS_APART_SECONDS } from '../pool/lease.ts'
import type { Clock } from '../pool/ports.ts'
import { type Outcome, ok, warning } from './finding.ts'

/** Another clock's time, and our time before the question and after the answer. */
export interface ClockReading {
  readonly askedAt: Date
  readonly time: Date
  readonly answeredAt: Date
}

/** The wait is measured by the monotonic clock, because our own may be set meanwhile. */
export async function readClock(clock: Clock, ask: () => Promise<Date>): Promise<ClockReading> {
  const [askedAt, askedMs] = [clock.now(), clock.monotonicMs()]
  const time = await ask()
  return { askedAt, time, answeredAt: new Date(askedAt.getTime() + clock.monotonicMs() - askedMs) }
}

/** How far the other clock is ahead at least. It was read at an unknown moment between question and answer. */
export function secondsAhead({ askedAt, time, answeredAt }: ClockReading): number {
  const [least, most] = [time.getTime() - answeredAt.getTime(), time.getTime() - askedAt.getTime()]
  return (least > 0 ? least : Math.min(0, most)) / 1000
}

export const judgeDatabaseClock = (reading: ClockReading): Outcome =>
  judge("the database's", reading, () => {
    return "the service uses the database's time, but its ticks start, and its log is written, by this machine's clock"
  })

export const judgeKeystoneClock = (reading: ClockReading): Outcome =>
  judge("Keystone's", reading, seconds =>
    seconds > 0
      ? "a caller's token may be accepted for up to five minutes after it has expired"
      : "a caller's token is looked up anew with each request before it has expired"
  )

function judge(whose: string, reading: ClockReading, costs: (seconds: number) => string): Outcome {
  const seconds = secondsAhead(reading)
  if (Math.abs(seconds) <= CLOCKS_APART_SECONDS) {
    return ok(`${whose} clock and this machine's are not more than ${CLOCKS_APART_SECONDS} s apart`)
  }
  const apart = `${Math.round(Math.abs(seconds))} s ${seconds > 0 ? 'ahead of' : 'behind'} this machine's`
  const advice = `set both machines by one time server (NTP): ${costs(seconds)}`
  return warning(`${whose} clock is ${apart}`, advice)
}
