import { setMaxListeners } from 'node:events'
import { onCron } from './cron.ts'
import type { Deps } from './operations/deps.ts'
import { endOfLease, renewing } from './operations/renewing.ts'
import { stopping } from './pool/errors.ts'
import type { Clock, TakeBack } from './pool/ports.ts'

export interface TickerOptions<T> extends Pick<Deps, 'ticks' | 'clock' | 'newId' | 'log' | 'observer'> {
  readonly name: string
  /** Six fields, seconds first, in UTC. */
  readonly cron: string
  /** After `letNextBegin` the next run may begin, although this one has not ended. */
  readonly run: (signal: AbortSignal, letNextBegin: () => void) => Promise<T>
  /** The longest a run may take; after it the signal is aborted. */
  readonly limitSeconds: number
}

/** From one woken run to the next. Claims wake replenish, which reads the stock of all pools: 35 ms for 100,000 spares. */
const REST_MS = 1_000

/**
 * A job that never overlaps itself, unless a run lets the next one begin. Cron starts it while no other replica holds its
 * lease. `now` and `soon` start it whoever holds the lease: guards of rows keep it correct, not the lease.
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

  /** Joins the run under way or starts one, and gives its result. */
  async now(): Promise<T> {
    if (this.#stopped) throw stopping()
    return await (this.#running ?? this.#run())
  }

  /**
   * Starts a run, or another after the one under way, and does not wait. The first call starts it at once; many calls, as from
   * many claims, start one a second.
   */
  soon(): void {
    if (this.#stopped) return
    const restMs = this.#startedMs + REST_MS - this.#options.clock.monotonicMs()
    if (this.#running) this.#again = true
    else if (restMs > 0) this.#asked.set(restMs)
    else void this.#run().catch(() => undefined) // Logged and recorded where it failed.
  }

  /** Runs as cron does, within so many milliseconds. */
  within(ms: number): void {
    if (!this.#stopped) this.#planned.set(ms)
  }

  /** Begins no run, and waits for those under way. Once `hurry` fires, they are told to end. */
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

  /** Takes or renews the lease. It is short, so that others soon go on for a replica that died. False: another replica has it. */
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
    const { name, clock, run, limitSeconds, log, observer, ticks } = this.#options
    const startedMs = clock.monotonicMs()
    const [ended, tooLong] = [new AbortController(), new AbortController()]
    clock.sleep(limitSeconds * 1000, ended.signal).then(
      () => tooLong.abort(new Error(`${name} took more than ${limitSeconds} s`)),
      () => undefined // It ended in time.
    )
    const signal = AbortSignal.any([this.#hurry.signal, tooLong.signal])
    setMaxListeners(0, signal) // Each call to the cloud listens to it.
    // A run that began without the lease takes it too, once it is free.
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
      const startedAt = new Date(endedAt.getTime() - tookMs)
      await ticks.finish(name, this.#holder, { startedAt, endedAt, error }).catch((failure: unknown) => {
        log.warn({ tick: name, error: String(failure) }, 'tick not recorded')
      })
    }
  }
}

/** Rings once, at the earliest time that it was set to. */
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
