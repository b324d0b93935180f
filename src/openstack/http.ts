import { CloudError } from '../pool/errors.ts'
import type { Call, Clock } from '../pool/ports.ts'
import { Stop, type StopSignal } from '../pool/stop.ts'
import type { Request, RequestReport, Service } from './exchange.ts'
import { type Answer, header, NotConnected } from './exchange.ts'
import { answerFailure, noAnswerFailure, shapeFailure, unsentFailure } from './failures.ts'
import { Fields, ShapeError } from './fields.ts'
import { redirectOf } from './redirects.ts'
import { type SocketOptions, Sockets } from './sockets.ts'
import { Slots } from './waiting.ts'

/** A call with its time limit. */
export type LimitedCall = Required<Call>

export interface HttpOptions extends SocketOptions {
  readonly clock: Clock
  readonly onRequest?: ((report: RequestReport) => void) | undefined
  /** What carries the requests; default: sockets of our own. */
  readonly carrier?: Carrier | undefined
}

/** Brings a request to the cloud, and its answer back. */
export type Carrier = Pick<Sockets, 'send' | 'destroy'>

const PAUSES_MS = [200, 800] as const
const RETRY_AFTER_SECONDS_MAX = 5

/** Sends requests to Keystone and Cinder: time limits, a bounded number of connections, claims first, and the safe repeats. */
export class Http {
  readonly #options: HttpOptions
  readonly #carrier: Carrier
  readonly #slots: Record<Service, Slots>

  constructor(options: HttpOptions) {
    this.#options = options
    const { connectionsMax } = options
    // Apart from each other, so that a slow Cinder does not keep callers from being recognised.
    this.#slots = { keystone: new Slots(connectionsMax), cinder: new Slots(connectionsMax) }
    this.#carrier = options.carrier ?? new Sockets(options)
  }

  /** Runs one call, with its waits, logins and repeats, under the time limit and the call's own signal. */
  async within<T>(call: Call, work: (call: LimitedCall) => Promise<T>): Promise<T> {
    const stop = new Stop()
    const takeBack = this.#options.clock.limit(this.#options.timeoutSeconds * 1000, reason => stop.abort(reason))
    // A listener that is taken off again: it may be a signal that lives for long.
    const heed = () => stop.abort(call.signal?.reason)
    call.signal?.addEventListener('abort', heed)
    try {
      if (call.signal?.aborted) heed()
      const { requestId, priority = 'claim' } = call
      return await work({ requestId, priority, signal: stop })
    } catch (error) {
      throw stop.aborted && !(error instanceof CloudError) ? unsentFailure(stop) : error
    } finally {
      takeBack()
      call.signal?.removeEventListener('abort', heed)
    }
  }

  /** The answer to a request, read; throws a CloudError unless it is a 2xx. */
  async ask<T>(request: Request, call: LimitedCall, read: (body: Fields, answer: Answer) => T): Promise<T> {
    const answer = await this.send(request, call)
    try {
      return read(new Fields(parsed(answer.body)), answer)
    } catch (error) {
      if (error instanceof ShapeError) throw shapeFailure(request, answer.status, error.message)
      throw error
    }
  }

  async send(request: Request, call: LimitedCall): Promise<Answer> {
    const earlier = { mayHaveActed: false, mayStillAct: false }
    for (let attempt = 0; ; attempt++) {
      const result = await this.#attempt(request, call)
      if (!(result instanceof Failure)) return result
      earlier.mayHaveActed ||= result.error.mayHaveActed // What the last attempt did not do, the first one may have done.
      earlier.mayStillAct ||= result.error.mayStillAct
      const pause = result.pauseMs(request, attempt)
      if (pause === undefined || !(await this.#sleep(pause, call.signal))) throw result.errorThat(earlier)
    }
  }

  /** Cuts what is still under way: at the end that is only work for callers who are gone. */
  close(): Promise<void> {
    return this.#carrier.destroy()
  }

  async #attempt(request: Request, call: LimitedCall): Promise<Answer | Failure> {
    const slots = this.#slots[request.service]
    const taken = slots.take(call.priority, call.signal)
    if (!(taken === true || (await taken))) return new Failure(unsentFailure(call.signal))
    const startedMs = this.#options.clock.monotonicMs()
    try {
      const result = await this.#exchange(request, call)
      const seconds = (this.#options.clock.monotonicMs() - startedMs) / 1000
      const outcome = result instanceof Failure ? result.error.code : 'ok'
      this.#options.onRequest?.({ service: request.service, operation: request.operation, outcome, seconds })
      return result
    } finally {
      slots.give(call.priority)
    }
  }

  async #exchange(request: Request, call: LimitedCall): Promise<Answer | Failure> {
    try {
      const answer = await this.#carry(request, call)
      const isFine = answer.status >= 200 && answer.status < 300
      return isFine ? answer : new Failure(answerFailure(request, answer), header(answer, 'retry-after'))
    } catch (error) {
      return new Failure(error instanceof CloudError ? error : noAnswerFailure(request, error, call.signal))
    }
  }

  /** As often as it is sent on, which is before anything is done about it. */
  async #carry(request: Request, { requestId, signal }: LimitedCall): Promise<Answer> {
    const { method } = request
    const headers: Record<string, string> = {
      accept: 'application/json',
      'accept-language': 'en', // For whoever reads the messages. Nothing is decided by their words.
      'user-agent': 'spare-volume-pool',
      'x-openstack-request-id': requestId,
      ...request.headers
    }
    if (request.body !== undefined) headers['content-type'] = 'application/json'
    const body = request.body === undefined ? null : JSON.stringify(request.body)
    let { url } = request
    for (let hop = 0; ; hop++) {
      const answer = await this.#carrier.send({ ...cut(url), method, headers, body }, signal)
      const next = redirectOf(request, url, answer, hop)
      if (next === undefined) return answer
      url = next
    }
  }

  /** False: the time is up, or the caller gave up; what went wrong before says more than that. */
  async #sleep(ms: number, signal: StopSignal): Promise<boolean> {
    try {
      await this.#options.clock.sleep(ms, signal)
      return true
    } catch {
      return false
    }
  }
}

/** An attempt that failed, and whether another one makes sense. */
class Failure {
  readonly error: CloudError
  readonly #retryAfter: string | undefined

  constructor(error: CloudError, retryAfter?: string) {
    this.error = error
    this.#retryAfter = retryAfter
  }

  /** How long to wait before the next attempt; undefined: there must be none. */
  pauseMs(request: Request, attempt: number): number | undefined {
    const pause = PAUSES_MS[attempt]
    if (pause === undefined || !this.#isRepeatable(request)) return undefined
    const asked = /^\d+$/.test(this.#retryAfter ?? '') ? Number(this.#retryAfter) : 0
    return asked > RETRY_AFTER_SECONDS_MAX ? undefined : Math.max(pause, asked * 1000)
  }

  errorThat(acted: Pick<CloudError, 'mayHaveActed' | 'mayStillAct'>): CloudError {
    const { code, message, status, cause, mayHaveActed, mayStillAct } = this.error
    if (acted.mayHaveActed === mayHaveActed && acted.mayStillAct === mayStillAct) return this.error
    return new CloudError(code, message, { ...acted, status, cause })
  }

  #isRepeatable(request: Request): boolean {
    const { code, status, cause } = this.error
    if (cause instanceof NotConnected) return true
    if (!request.idempotent) return false
    return code === 'unavailable' || (code === 'failed' && (status === undefined || status >= 500))
  }
}

const ADDRESS = /^(https?:\/\/[^/?#]+)(.*)$/i

/** An address that `URL` has read and written before: it need not do so for each request. */
function cut(url: string): { origin: string; path: string } {
  const [, origin = '', path = ''] = ADDRESS.exec(url) ?? []
  return { origin, path }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new ShapeError('it is not JSON')
  }
}
