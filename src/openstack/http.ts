import { CloudError } from '../pool/errors.ts'
import type { Call, Clock } from '../pool/ports.ts'
import { type Carrier, type ConnectionOptions, openConnections } from './connections.ts'
import { type Answer, header, NotConnected, type Request, type RequestReport, type Service } from './exchange.ts'
import { answerFailure, noAnswerFailure, shapeFailure, unsentFailure } from './failures.ts'
import { Fields, ShapeError } from './fields.ts'
import { redirectOf } from './redirects.ts'
import { Slots } from './waiting.ts'

/** A call with its time limit. */
export type LimitedCall = Required<Call>

export interface HttpOptions extends ConnectionOptions {
  readonly clock: Clock
  /** Told of each request, for metrics. */
  readonly onRequest?: ((report: RequestReport) => void) | undefined
  /** What carries the requests. Default: connections of our own. */
  readonly carrier?: Carrier | undefined
}

interface Failure {
  readonly error: CloudError
  readonly retryAfter?: string | undefined
}

const PAUSES_MS = [200, 800]
const RETRY_AFTER_SECONDS_MAX = 5

/** Sends requests to Keystone and Cinder: time limits, a bounded number of connections, claims first, safe repeats. */
export class Http {
  readonly clock: Clock
  readonly #options: HttpOptions
  readonly #carrier: Carrier
  readonly #slots: Record<Service, Slots>

  constructor(options: HttpOptions) {
    this.#options = options
    this.clock = options.clock
    const { connectionsMax } = options
    // Separate, so that a slow Cinder does not delay the check of callers' tokens.
    this.#slots = { keystone: new Slots(connectionsMax), cinder: new Slots(connectionsMax) }
    this.#carrier = options.carrier ?? openConnections(options)
  }

  /**
   * Runs one call, with its waits, logins and repeats, under the time limit and the call's own signal. Not AbortSignal.any, which
   * costs five times as much.
   */
  async within<T>(call: Call, work: (call: LimitedCall) => Promise<T>): Promise<T> {
    const { requestId, priority = 'claim', signal: outer } = call
    const limit = new AbortController()
    const { signal } = limit
    const giveUp = (): void => limit.abort(outer?.reason)
    const takeBack = this.clock.limit(this.#options.timeoutSeconds * 1000, reason => limit.abort(reason))
    outer?.addEventListener('abort', giveUp)
    try {
      if (outer?.aborted) giveUp()
      return await work({ requestId, priority, signal })
    } catch (error) {
      throw signal.aborted && !(error instanceof CloudError) ? unsentFailure(signal) : error
    } finally {
      takeBack()
      outer?.removeEventListener('abort', giveUp)
    }
  }

  /** Reads the answer to a request; throws a CloudError unless it is a 2xx. */
  async ask<T>(request: Request, call: LimitedCall, read: (body: Fields, answer: Answer) => T): Promise<T> {
    const answer = await this.send(request, call)
    try {
      return read(new Fields(parsed(answer.body)), answer)
    } catch (error) {
      throw error instanceof ShapeError ? shapeFailure(request, answer.status, error.message) : error
    }
  }

  async send(request: Request, call: LimitedCall): Promise<Answer> {
    let [mayHaveActed, mayStillAct] = [false, false]
    for (let attempt = 0; ; attempt++) {
      const result = await this.#attempt(request, call)
      if (!('error' in result)) return result
      mayHaveActed ||= result.error.mayHaveActed // An earlier attempt may have done what the last one did not.
      mayStillAct ||= result.error.mayStillAct
      const pause = pauseMs(request, result, attempt)
      if (pause !== undefined && (await this.#sleep(pause, call.signal))) continue
      const { code, message, status, cause } = result.error
      throw new CloudError(code, message, { mayHaveActed, mayStillAct, status, cause })
    }
  }

  /** Cuts what is still under way. At the end only callers who have gone wait for it. */
  close(): Promise<void> {
    return this.#carrier.destroy()
  }

  async #attempt(request: Request, call: LimitedCall): Promise<Answer | Failure> {
    const { service, operation } = request
    const slots = this.#slots[service]
    if (!(await slots.take(call.priority, call.signal))) return { error: unsentFailure(call.signal) }
    const startedMs = this.clock.monotonicMs()
    const result = await this.#carry(request, call).then(
      answer => (answer.status >= 200 && answer.status < 300 ? answer : refusal(request, answer)),
      error => ({ error: error instanceof CloudError ? error : noAnswerFailure(request, error, call.signal) })
    )
    slots.give(call.priority)
    const seconds = (this.clock.monotonicMs() - startedMs) / 1000
    this.#options.onRequest?.({ service, operation, outcome: 'error' in result ? result.error.code : 'ok', seconds })
    return result
  }

  /** Follows redirects: a server sends one before it does anything. */
  async #carry(request: Request, { requestId, signal }: LimitedCall): Promise<Answer> {
    const { method } = request
    const headers: Record<string, string> = {
      accept: 'application/json',
      'accept-language': 'en', // For people who read the messages. No decision depends on the words.
      'user-agent': 'spare-volume-pool',
      'x-openstack-request-id': requestId,
      ...request.headers
    }
    if (request.body !== undefined) headers['content-type'] = 'application/json'
    const body = request.body === undefined ? null : JSON.stringify(request.body)
    let { url } = request
    for (let hop = 0; ; hop++) {
      const answer = await this.#carrier.send({ url, method, headers, body }, signal)
      const next = redirectOf(request, url, answer, hop)
      if (next === undefined) return answer
      url = next
    }
  }

  /** False: the time is up, or the caller gave up. The failure before says more than that. */
  #sleep(ms: number, signal: AbortSignal): Promise<boolean> {
    return this.clock.sleep(ms, signal).then(
      () => true,
      () => false
    )
  }
}

const refusal = (request: Request, answer: Answer): Failure => ({
  error: answerFailure(request, answer),
  retryAfter: header(answer, 'retry-after')
})

/** How long to wait before the next attempt; undefined: there must be none. */
function pauseMs(request: Request, { error, retryAfter = '' }: Failure, attempt: number): number | undefined {
  const pause = PAUSES_MS[attempt]
  if (pause === undefined || !isRepeatable(request, error)) return undefined
  const asked = /^\d+$/.test(retryAfter) ? Number(retryAfter) : 0
  return asked > RETRY_AFTER_SECONDS_MAX ? undefined : Math.max(pause, asked * 1000)
}

function isRepeatable(request: Request, { code, status, cause }: CloudError): boolean {
  if (cause instanceof NotConnected) return true
  if (!request.idempotent) return false
  return code === 'unavailable' || (code === 'failed' && (status === undefined || status >= 500))
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new ShapeError('it is not JSON')
  }
}
