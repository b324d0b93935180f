import type { FastifyReply } from 'fastify'
import { PoolError, stopping } from '../pool/errors.ts'
import type { Call, Clock, Priority } from '../pool/ports.ts'

/** The request that is answered, and its limits. */
interface Limits {
  readonly reply: FastifyReply
  /** How long it may take from its arrival, with its authentication; default: as long as a call to the cloud. */
  readonly seconds?: number
  /** The answer when the time is up and the work has not ended. */
  readonly whenLate?: () => PoolError
  /** Of its calls to the cloud; default: background. */
  readonly priority?: Priority
}

/** Calls to the cloud end by the deadline. This much time is left to record the outcome and to answer. */
const MARGIN_MS = 5_000

/**
 * The work that requests have begun. It may go on when the caller is gone or was answered without it, so the service waits
 * for it here before it closes what the work uses.
 */
export class UnderWay {
  readonly #clock: Clock
  readonly #defaultSeconds: number
  readonly #works = new Map<AbortController, Promise<unknown>>()
  #ended = false

  constructor(clock: Clock, defaultSeconds: number) {
    this.#clock = clock
    this.#defaultSeconds = defaultSeconds
  }

  /**
   * Every route that does I/O does it in here: the work gets a call with the request's deadline, and the request is answered in
   * time even if the work hangs. The work then goes on to its own end.
   */
  async inTime<T>(limits: Limits, work: (call: Call) => Promise<T>): Promise<T> {
    const { reply, seconds = this.#defaultSeconds, whenLate = databaseLate, priority = 'background' } = limits
    const leftMs = Math.max(0, Math.ceil(seconds * 1000 - reply.elapsedTime))
    const running = this.run(leftMs, signal => work({ requestId: reply.request.id, signal, priority }))
    return await new Promise((resolve, reject) => {
      const takeBack = this.#clock.limit(leftMs + MARGIN_MS, () => reject(whenLate()))
      running.then(resolve, reject).finally(takeBack)
    })
  }

  /** Does the work. Its signal fires after so many milliseconds, or when the service is in a hurry to stop. */
  async run<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#ended) throw stopping()
    const own = new AbortController()
    const takeBack = this.#clock.limit(ms, reason => own.abort(reason))
    const running = work(own.signal).finally(() => {
      takeBack()
      this.#works.delete(own)
    })
    this.#works.set(own, running)
    return await running
  }

  /** Waits until no work is left, and refuses new work from then on. When `hurry` fires, all work is told to end. */
  async end(hurry: AbortSignal): Promise<void> {
    hurry.addEventListener('abort', () => {
      for (const own of this.#works.keys()) own.abort(hurry.reason)
    })
    while (this.#works.size > 0) await Promise.allSettled(this.#works.values())
    this.#ended = true
  }
}

/** Calls to the cloud have ended by then: only the database can be that slow. */
const databaseLate = (): PoolError =>
  new PoolError(
    'database_unavailable',
    'The database did not answer in time. The request may be carried out all the same: repeat it.'
  )
