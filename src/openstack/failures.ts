import { CloudError, type CloudErrorCode } from '../pool/errors.ts'
import { type Answer, header, NAMES, NotConnected, type Request } from './exchange.ts'
import { keepable } from './fields.ts'

const WORDS_MAX = 500

export const isCloudError = (error: unknown, ...codes: CloudErrorCode[]): boolean =>
  error instanceof CloudError && codes.includes(error.code)

/** What an error answer means. Of a read nothing can have come, whatever happened to it. */
export function answerFailure(request: Request, answer: Answer): CloudError {
  const said = wordsOf(answer.body)
  const id = header(answer, 'x-compute-request-id') ?? header(answer, 'x-openstack-request-id')
  const place = [request.operation, `HTTP ${answer.status}`, id].filter(Boolean).join(', ')
  const words = withoutSecrets(request, said.words || `it answered ${answer.status} without a word`)
  const code = codeOf(answer.status, said.isTheClouds || request.mayBeMissing === true)
  const mayHaveActed = answer.status >= 500 && code === 'failed' && request.method !== 'GET'
  // A 500 in the cloud's own words ends its handler; a 502 or 504 is a proxy's, which knows nothing of the handler.
  const mayStillAct = mayHaveActed && !(answer.status === 500 && said.isTheClouds)
  const what = { mayHaveActed, mayStillAct, status: answer.status }
  return new CloudError(code, `${NAMES[request.service]}: ${words} (${place})`, what)
}

function codeOf(status: number, isNotFound: boolean): CloudErrorCode {
  if (status === 401) return 'unauthenticated'
  if (status === 403) return 'forbidden'
  // A 404 of a proxy, or of a wrong address, must not pass for a volume that is gone.
  if (status === 404) return isNotFound ? 'not_found' : 'failed'
  // Of the version that is spoken, and of nothing that was asked for: no volume and no name is at fault.
  if (status === 406) return 'failed'
  if (status === 413) return 'over_quota'
  // In front of the cloud, before its handler: the middleware or a proxy.
  if (status === 429 || status === 503) return 'unavailable'
  return status >= 400 && status < 500 ? 'bad_request' : 'failed'
}

/** What a request without an answer means. `signal` is the one that it ran under. */
export function noAnswerFailure(request: Request, error: unknown, signal: AbortSignal): CloudError {
  const name = NAMES[request.service]
  const at = `${request.operation}, ${new URL(request.url).origin}`
  const mayHaveActed = request.method !== 'GET'
  if (signal.aborted)
    return new CloudError('timeout', `${name}: ${given(signal)} (${at})`, { mayHaveActed, cause: error })
  if (error instanceof NotConnected) {
    return new CloudError('unavailable', `${name}: no connection, ${reasonOf(error.cause)} (${at})`, { cause: error })
  }
  const code = codeOfError(error) ?? ''
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return new CloudError('timeout', `${name}: no answer in time (${at})`, { mayHaveActed, cause: error })
  }
  const message = `${name}: the connection broke before the answer was complete, ${reasonOf(error)} (${at})`
  return new CloudError('failed', message, { mayHaveActed, cause: error })
}

/** An answer that says yes but makes no sense: what was asked for is probably done. */
export const shapeFailure = (request: Request, status: number, problem: string): CloudError =>
  new CloudError('failed', `${NAMES[request.service]}: the answer makes no sense, ${problem} (${request.operation})`, {
    mayHaveActed: request.method !== 'GET',
    mayStillAct: false,
    status
  })

/** Given up before anything was sent: while waiting for a token or a connection. */
export const unsentFailure = (signal: AbortSignal): CloudError =>
  new CloudError('timeout', `The cloud was not asked: ${given(signal)}`, { cause: signal.reason })

function given(signal: AbortSignal): string {
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
