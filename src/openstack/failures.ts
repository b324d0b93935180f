import { CloudError, type CloudErrorCode } from '../pool/errors.ts'
import { type Answer, header, NAMES, NotConnected, type Request } from './exchange.ts'
import { keepable } from './fields.ts'

const WORDS_MAX = 500

export const isCloudError = (error: unknown, ...codes: CloudErrorCode[]): boolean =>
  error instanceof CloudError && codes.includes(error.code)

/** What an error answer means. A read never acts, whatever happens to it. */
export function answerFailure(request: Request, answer: Answer): CloudError {
  const { words, isTheClouds } = wordsOf(answer.body)
  const { status } = answer
  const id = header(answer, 'x-compute-request-id') ?? header(answer, 'x-openstack-request-id')
  const place = [request.operation, `HTTP ${status}`, id].filter(Boolean).join(', ')
  const shown = withoutSecrets(request, words || `it answered ${status} without a word`)
  const code = codeOf(status, isTheClouds || request.mayBeMissing === true)
  const mayHaveActed = status >= 500 && code === 'failed' && request.method !== 'GET'
  // A 500 in the cloud's own words ends its handler. A 502 or 504 is a proxy's, which knows nothing of the handler.
  const mayStillAct = mayHaveActed && !(status === 500 && isTheClouds)
  return new CloudError(code, `${NAMES[request.service]}: ${shown} (${place})`, { mayHaveActed, mayStillAct, status })
}

function codeOf(status: number, isNotFound: boolean): CloudErrorCode {
  if (status === 401) return 'unauthenticated'
  if (status === 403) return 'forbidden'
  // The 404 of a proxy, or of a wrong address, must not pass for a volume that is gone.
  if (status === 404) return isNotFound ? 'not_found' : 'failed'
  // The microversion is refused: no volume and no name is at fault.
  if (status === 406) return 'failed'
  if (status === 413) return 'over_quota'
  // From the middleware or a proxy, before the cloud's handler.
  if (status === 429 || status === 503) return 'unavailable'
  return status >= 400 && status < 500 ? 'bad_request' : 'failed'
}

/** What a request without an answer means. `signal` is the one that it ran under. */
export function noAnswerFailure(request: Request, cause: unknown, signal: AbortSignal): CloudError {
  const name = NAMES[request.service]
  const at = `${request.operation}, ${new URL(request.url).origin}`
  const mayHaveActed = request.method !== 'GET'
  if (signal.aborted)
    return new CloudError('timeout', `${name}: ${whyGivenUp(signal)} (${at})`, { mayHaveActed, cause })
  if (cause instanceof NotConnected) {
    return new CloudError('unavailable', `${name}: no connection, ${reasonOf(cause.cause)} (${at})`, { cause })
  }
  if (/^UND_ERR_(HEADERS|BODY)_TIMEOUT$/.test(codeOfError(cause) ?? '')) {
    return new CloudError('timeout', `${name}: no answer in time (${at})`, { mayHaveActed, cause })
  }
  const message = `${name}: the connection broke before the answer was complete, ${reasonOf(cause)} (${at})`
  return new CloudError('failed', message, { mayHaveActed, cause })
}

/** A 2xx that makes no sense: Cinder has probably done what was asked. */
export const shapeFailure = (request: Request, status: number, problem: string): CloudError =>
  new CloudError('failed', `${NAMES[request.service]}: the answer makes no sense, ${problem} (${request.operation})`, {
    mayHaveActed: request.method !== 'GET',
    mayStillAct: false,
    status
  })

/** Given up before anything was sent, while it waited for a token or a connection. */
export const unsentFailure = (signal: AbortSignal): CloudError =>
  new CloudError('timeout', `The cloud was not asked: ${whyGivenUp(signal)}`, { cause: signal.reason })

function whyGivenUp(signal: AbortSignal): string {
  const reason: unknown = signal.reason
  if (reason instanceof Error && reason.name === 'TimeoutError') return 'no answer in time'
  return `given up, ${reasonOf(reason)}`
}

function codeOfError(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function reasonOf(error: unknown): string {
  const code = codeOfError(error)
  const message = error instanceof Error ? error.message : String(error)
  return code === undefined || message.includes(code) ? message : `${message} ${code}`.trim()
}

/** `{"<kind>": {"message"}}` as almost always, `{"message"}` of the auth middleware, or a proxy's page. */
function wordsOf(body: string): { words: string; isTheClouds: boolean } {
  try {
    const parsed: unknown = JSON.parse(body)
    const first: unknown = parsed !== null && typeof parsed === 'object' ? Object.values(parsed)[0] : undefined
    const message = messageIn(parsed) ?? messageIn(first)
    if (message !== undefined) return { words: plain(message), isTheClouds: true }
  } catch {
    // Not JSON: a page, or nothing at all.
  }
  return { words: plain(body), isTheClouds: false }
}

function messageIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('message' in value)) return undefined
  return typeof value.message === 'string' ? value.message : undefined
}

function plain(text: string): string {
  const words = keepable(text)
    .slice(0, 20 * WORDS_MAX)
    .replace(/<(style|script|title)[^>]*>[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return words.length > WORDS_MAX ? `${words.slice(0, WORDS_MAX)}…` : words
}

/** Keystone and Cinder sometimes quote what they refuse. */
function withoutSecrets(request: Request, words: string): string {
  return (request.secrets ?? []).reduce(
    (text, secret) => (secret === '' ? text : text.replaceAll(secret, '***')),
    words
  )
}
