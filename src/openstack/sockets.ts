import { Agent, buildConnector, type Dispatcher } from 'undici'
import type { StopSignal } from '../pool/stop.ts'
import { type Answer, NotConnected } from './exchange.ts'

export interface Tls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly insecure: boolean
}

export interface SocketOptions {
  readonly tls: Tls
  readonly timeoutSeconds: number
  readonly connectionsMax: number
}

const CONNECT_SECONDS = 10
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
/** So that a claim finds a connection after a quiet minute. Where the cloud says how long it keeps one itself, that counts. */
const IDLE_MS_MAX = 60_000

/** Connections to the cloud, kept open. By undici's `dispatch`, since its `request` makes a stream of each small answer. */
export class Sockets {
  readonly #agent: Agent

  constructor(options: SocketOptions) {
    this.#agent = new Agent({
      connect: connector(options),
      connections: 2 * options.connectionsMax, // Never fewer than the slots: undici's own queue does not heed signals.
      keepAliveTimeout: IDLE_MS_MAX,
      headersTimeout: options.timeoutSeconds * 1000,
      bodyTimeout: options.timeoutSeconds * 1000,
      maxResponseSize: ANSWER_BYTES_MAX
    })
  }

  /** Rejects as soon as the signal fires, also while there is no connection yet. */
  send(options: Dispatcher.DispatchOptions, signal: StopSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason) // Whoever listens to it now is not told.
      this.#agent.dispatch(options, new Reception(signal, resolve, reject))
    })
  }

  async destroy(): Promise<void> {
    await this.#agent.destroy()
  }
}

/** Takes in one answer. */
class Reception implements Dispatcher.DispatchHandler {
  readonly #signal: StopSignal
  readonly #resolve: (answer: Answer) => void
  readonly #reject: (error: unknown) => void
  readonly #chunks: Buffer[] = []
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #headers: Answer['headers'] = {}

  constructor(signal: StopSignal, resolve: (answer: Answer) => void, reject: (error: unknown) => void) {
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
    signal.addEventListener('abort', this.#giveUp)
  }

  readonly #giveUp = (): void => {
    this.#controller?.abort(asError(this.#signal.reason))
    this.#reject(this.#signal.reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#signal.aborted) this.#giveUp()
  }

  onResponseStart(_controller: unknown, status: number, headers: Answer['headers']): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    this.#end()
    const [first] = this.#chunks
    const bytes = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks)
    this.#resolve({ status: this.#status, headers: this.#headers, body: bytes.toString('utf8') })
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#end()
    this.#reject(error)
  }

  #end(): void {
    this.#signal.removeEventListener('abort', this.#giveUp)
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))

/** Marks what fails before there is a connection. */
function connector({ tls, timeoutSeconds }: SocketOptions): buildConnector.connector {
  const connect = buildConnector({
    timeout: Math.min(CONNECT_SECONDS, timeoutSeconds) * 1000,
    rejectUnauthorized: !tls.insecure,
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key })
  })
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error) callback(new NotConnected(error.message, { cause: error }), null)
      else callback(null, socket)
    })
}
