import { Agent, buildConnector, request } from 'undici'
import { type Answer, NotConnected, type Request } from './exchange.ts'
import { orAborted } from './waiting.ts'

/** Brings a request to the cloud, and its answer back. */
export interface Carrier {
  send(request: Outgoing, signal: AbortSignal): Promise<Answer>
  /** Cuts what is under way. */
  destroy(): Promise<void>
}

export interface Outgoing {
  readonly url: string
  readonly method: Request['method']
  readonly headers: Record<string, string>
  readonly body: string | null
}

export interface Tls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly insecure: boolean
}

export interface ConnectionOptions {
  readonly tls: Tls
  readonly timeoutSeconds: number
  readonly connectionsMax: number
}

const CONNECT_SECONDS_MAX = 10
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
/** So that a claim finds a connection after a quiet minute. Where the cloud says how long it keeps one itself, that counts. */
const IDLE_MS_MAX = 60_000

/** Connections to the cloud, kept open. */
export function openConnections(options: ConnectionOptions): Carrier {
  const dispatcher = new Agent({
    connect: connector(options),
    connections: 2 * options.connectionsMax, // Never fewer than the slots: a request must not wait in undici's own queue.
    keepAliveTimeout: IDLE_MS_MAX,
    headersTimeout: options.timeoutSeconds * 1000,
    bodyTimeout: options.timeoutSeconds * 1000,
    maxResponseSize: ANSWER_BYTES_MAX
  })
  const exchange = async ({ url, ...outgoing }: Outgoing, signal: AbortSignal): Promise<Answer> => {
    const { statusCode, headers, body } = await request(url, { ...outgoing, signal, dispatcher })
    return { status: statusCode, headers, body: await body.text() }
  }
  return {
    // While it connects, undici does not heed the signal.
    send: (outgoing, signal) => orAborted(exchange(outgoing, signal), signal),
    destroy: () => dispatcher.destroy()
  }
}

/** Marks what fails before there is a connection: then nothing was sent. */
function connector({ tls: { insecure, ...pems }, timeoutSeconds }: ConnectionOptions): buildConnector.connector {
  const timeout = Math.min(CONNECT_SECONDS_MAX, timeoutSeconds) * 1000
  const given = Object.fromEntries(Object.entries(pems).filter(([, pem]) => pem !== undefined))
  const connect = buildConnector({ timeout, rejectUnauthorized: !insecure, ...given })
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error) callback(new NotConnected(error.message, { cause: error }), null)
      else callback(null, socket)
    })
}
