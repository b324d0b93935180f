import { CLOCKS_APART_SECONDS } from './pool/lease.ts'
import type { Clock, Log, TakeBack } from './pool/ports.ts'

const ALIGNED_FOR_MS = 30_000
const AGAIN_MS = 5_000
const LOOK_MS = 1_000
/** When the machine's time moves more than this against its monotonic clock, it was set, or the machine has slept. */
const JUMP_MS = 1_000

/**
 * One time for all replicas: the database's when it last answered, carried on by our own clock that only goes forward. So it
 * does not matter when a machine's time is set. Until the database has answered once, it is the machine's time.
 */
export class SharedClock implements Clock {
  readonly #own: Clock
  /** The time less `monotonicMs`. */
  #offsetMs: number
  #isAligned = false

  constructor(own: Clock) {
    this.#own = own
    this.#offsetMs = this.#ownOffsetMs()
  }

  now(): Date {
    return new Date(this.#offsetMs + this.#own.monotonicMs())
  }

  monotonicMs(): number {
    return this.#own.monotonicMs()
  }

  sleep: Clock['sleep'] = (ms, signal) => this.#own.sleep(ms, signal)
  timeout: Clock['timeout'] = ms => this.#own.timeout(ms)
  limit: Clock['limit'] = (ms, onLimit) => this.#own.limit(ms, onLimit)
  every: Clock['every'] = (ms, act) => this.#own.every(ms, act)

  /**
   * The database read its clock between question and answer, which may be far apart on a busy day. An offset that fits in
   * between is kept. False: it did not answer, and nothing changes.
   */
  async align(databaseTime: () => Promise<Date>): Promise<boolean> {
    const askedMs = this.#own.monotonicMs()
    const time = await databaseTime().catch(() => undefined) // Whoever needs the database is told; this asks again.
    if (!time) return false
    const answeredMs = this.#own.monotonicMs()
    const [least, most] = [time.getTime() - answeredMs, time.getTime() - askedMs]
    if (!this.#isAligned || this.#offsetMs < least || this.#offsetMs > most) this.#offsetMs = (least + most) / 2
    this.#isAligned = true
    return true
  }

  /** Asks now, then every 30 s, and at once when the machine's time was set. */
  async keepAligned(databaseTime: () => Promise<Date>, log: Log): Promise<TakeBack> {
    let [dueMs, ownOffsetMs, toldSeconds] = [0, 0, 0]
    const align = async (): Promise<void> => {
      ownOffsetMs = this.#ownOffsetMs()
      const isDone = await this.align(databaseTime)
      dueMs = this.#own.monotonicMs() + (isDone ? ALIGNED_FOR_MS : AGAIN_MS)
      if (isDone) toldSeconds = this.#tell(toldSeconds, log)
    }
    await align()
    return this.#own.every(LOOK_MS, async () => {
      const hasJumped = Math.abs(this.#ownOffsetMs() - ownOffsetMs) > JUMP_MS
      if (hasJumped || this.#own.monotonicMs() >= dueMs) await align()
    })
  }

  /** Logs how far the clocks are apart, once and after each change; gives what was logged last. */
  #tell(toldSeconds: number, log: Log): number {
    const seconds = Math.round((this.#ownOffsetMs() - this.#offsetMs) / 1000)
    if (Math.abs(seconds - toldSeconds) <= CLOCKS_APART_SECONDS) return toldSeconds
    const isApart = Math.abs(seconds) > CLOCKS_APART_SECONDS
    if (isApart) log.warn({ seconds }, "the machine's clock differs from the database's, which is used")
    else log.info({ seconds }, "the machine's clock agrees with the database's again")
    return seconds
  }

  #ownOffsetMs(): number {
    return this.#own.now().getTime() - this.#own.monotonicMs()
  }
}
