import { setMaxListeners } from 'node:events'
import { onCron } from './cron.ts'
import { endOfLease, renewing } from './operations/renewing.ts'
import { stopping } from './pool/errors.ts'
import type { Observer } from './pool/observer.ts'
import type { Clock, Log, TakeBack } from './pool/ports.ts'
import type { Ticks } from './pool/stores.ts'

export interface TickerOptions<T> {
  readonly name: string
  /** Six fields, seconds first, in UTC. */
  readonly cron: string
  /** `letNextBegin` says that what is left of this run need not keep the next one from beginning. */
  readonly run: (signal: AbortSignal, letNextBegin: () => void) => Promise<T>
  /** The longest a run may take; after it the signal is aborted. */
  readonly limitSeconds: number
  readonly ticks: Ticks
  readonly clock: Clock
  readonly newId: () => string
  readonly log: Log
  readonly observer: Observer
}

const REST_MS = 250

/**
 * A job that never overlaps itself, but for what a run itself lets go of. Cron starts it where no other replica holds its
 * lease; `now` and `soon` start it whoever holds it, since the rows' own guards, not the lease, keep it correct.
 */
export class Ticker<T> {
  readonly #options: TickerOptions<T>
  readonly #holder: string
  readonly #hurry = new AbortController()
  #stopped = false
  #stopCron: (() => void) | undefined
  /** The run that the next one waits for. */
  #running: Promise<T> | undefined
  readonly #notEnded = new Set<Promise<T>>()
  #again = false
  #startedMs = -Infinity
  readonly #asked: Alarm
  readonly #planned: Alarm

  constructor(options: TickerOptions<T>) {
    this.#options = options
    this.#holder = options.newId()
    this.#asked = new Alarm(options.clock, () => this.soon())
    this.#planned = new Alarm(options.clock, () => void this.#onCron())
  }

  start(): void {
    this.#stopCron = onCron(this.#options.cron, () => void this.#onCron())
  }

  /** Joins the run under way, else starts one; gives its result. */
  async now(): Promise<T> {
    if (this.#stopped) throw stopping()
    return await (this.#running ?? this.#run())
  }

  /**
   * Starts a run, or another one after that under way, and does not wait for it. The first that asks has it at once; what is
   * asked for again and again, as by a crowd of claims, is done four times a second.
   */
  soon(): void {
    if (this.#stopped) return
    const restMs = this.#startedMs + REST_MS - this.#options.clock.monotonicMs()
    if (this.#running) this.#again = true
    else if (restMs > 0) this.#asked.set(restMs)
    else void this.#run().catch(() => undefined) // Logged and recorded where it failed.
  }

  /** As cron does, in so many milliseconds or sooner. */
  within(ms: number): void {
    if (!this.#stopped) this.#planned.set(ms)
  }

  /** No new run; those under way are awaited, and told to end once `hurry` fires. */
  async end(hurry: AbortSignal): Promise<void> {
    this.#stopCron?.()
    this.#stopped = true
    for (const alarm of [this.#asked, this.#planned]) alarm.cancel()
    hurry.addEventListener('abort', () => this.#hurry.abort(hurry.reason))
    await Promise.allSettled(this.#notEnded)
  }

  async #onCron(): Promise<void> {
    if (this.#running || this.#stopped) return
    const { name, log } = this.#options
    try {
      if (await this.#takeLease()) await this.now()
    } catch (error) {
      if (!this.#stopped) log.debug({ tick: name, error: String(error) }, 'tick ended early')
    }
  }

  /** Or renews it, so that others wait but shortly for a replica that died in a run. False: another replica has it. */
  async #takeLease(): Promise<boolean> {
    const { ticks, clock, name } = this.#options
    return await ticks.take(name, this.#holder, endOfLease(clock), clock.now())
  }

  #run(): Promise<T> {
    this.#startedMs = this.#options.clock.monotonicMs()
    let isAlone = true
    const letNextBegin = (): void => {
      if (!isAlone) return
      isAlone = false
      this.#running = undefined
      if (!this.#again) return
      this.#again = false
      this.soon()
    }
    const running = this.#timed(letNextBegin).finally(() => {
      this.#notEnded.delete(running)
      letNextBegin()
    })
    if (isAlone) this.#running = running
    this.#notEnded.add(running)
    return running
  }

  async #timed(letNextBegin: () => void): Promise<T> {
    const { name, clock, run, log, observer } = this.#options
    const startedMs = clock.monotonicMs()
    const ended = new AbortController()
    const signal = AbortSignal.any([this.#hurry.signal, this.#limit(ended.signal)])
    setMaxListeners(0, signal) // One for each call to the cloud under it.
    // One that began without the lease gets it too, once it is free.
    const endRenewing = renewing(this.#options, { tick: name }, () => this.#takeLease())
    let error: string | undefined
    try {
      return await run(signal, letNextBegin)
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure)
      if (!this.#hurry.signal.aborted) log.error({ tick: name, err: failure }, 'tick failed')
      throw failure
    } finally {
      ended.abort()
      await endRenewing()
      const [endedAt, tookMs] = [clock.now(), clock.monotonicMs() - startedMs]
      observer.ticked(name, tookMs / 1000, error === undefined, endedAt)
      await this.#record(new Date(endedAt.getTime() - tookMs), endedAt, error)
    }
  }

  /** Aborted when the run has taken too long. */
  #limit(ended: AbortSignal): AbortSignal {
    const { clock, limitSeconds, name } = this.#options
    const tooLong = new AbortController()
    clock.sleep(limitSeconds * 1000, ended).then(
      () => tooLong.abort(new Error(`${name} took more than ${limitSeconds} s`)),
      () => undefined // It ended in time.
    )
    return tooLong.signal
  }

  async #record(startedAt: Date, endedAt: Date, error: string | undefined): Promise<void> {
    const { ticks, name, log } = this.#options
    try {
      await ticks.finish(name, this.#holder, { startedAt, endedAt, error })
    } catch (failure) {
      log.warn({ tick: name, error: String(failure) }, 'tick not recorded')
    }
  }
}

/** Rings once, at the nearest of the times that it was set to. */
class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #set: { readonly at: number; readonly takeBack: TakeBack } | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  set(ms: number): void {
    const at = this.#clock.monotonicMs() + ms
    if (this.#set && this.#set.at <= at) return
    this.cancel()
    const takeBack = this.#clock.every(ms, async () => {
      this.cancel()
      this.#ring()
    })
    this.#set = { at, takeBack }
  }

  cancel(): void {
    this.#set?.takeBack()
    this.#set = undefined
  }
}
