import { CloudError, type CloudErrorCode } from '../pool/errors.ts'
import { type Answer, header, NAMES, NotConnected, type Request } from './exchange.ts'
import { keepable } from './fields.ts'

const WORDS_MAX = 500

export const isCloudError = (error: unknown, ...codes: CloudErrorCode[]): error is CloudError =>
  error instanceof CloudError && codes.includes(error.code)

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** For `catch`: a failure of these kinds means that there is nothing. */
export const undefinedAfter =
  (...codes: CloudErrorCode[]) =>
  (error: unknown): undefined => {
    if (!isCloudError(error, ...codes)) throw error
  }

/** What an error answer means. A read never acts, whatever happens to it. */
export function answerFailure(request: Request, answer: Answer): CloudError {
  const { words, isTheClouds } = wordsOf(answer.body)
  const { status } = answer
  const id = header(answer, 'x-compute-request-id') ?? header(answer, 'x-openstack-request-id')
  const shown = withoutSecrets(request, words || `it answered ${status} without a word`)
  const place = [request.operation, `HTTP ${status}`, id].filter(Boolean).join(', ')
  const code = codeOf(status, isTheClouds || request.mayBeMissing === true)
  const mayHaveActed = status >= 500 && code === 'failed' && request.method !== 'GET'
  // A 500 in the cloud's own words ends its handler. A 502 or 504 is a proxy's, which knows nothing of the handler.
  const mayStillAct = mayHaveActed && !(status === 500 && isTheClouds)
  return new CloudError(code, `${NAMES[request.service]}: ${shown} (${place})`, { mayHaveActed, mayStillAct, status })
}

const CODES: Readonly<Record<number, CloudErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  406: 'failed', // The microversion is refused: no volume and no name is at fault.
  413: 'over_quota',
  429: 'unavailable', // From the middleware or a proxy, before the cloud's handler; so is the next.
  503: 'unavailable'
}

function codeOf(status: number, isNotFound: boolean): CloudErrorCode {
  // The 404 of a proxy, or of a wrong address, must not pass for a volume that is gone.
  if (status === 404) return isNotFound ? 'not_found' : 'failed'
  return CODES[status] ?? (status >= 400 && status < 500 ? 'bad_request' : 'failed')
}

/** What a request without an answer means. `signal` is the one that it ran under. */
export function noAnswerFailure(request: Request, cause: unknown, signal: AbortSignal): CloudError {
  const at = `${request.operation}, ${new URL(request.url).origin}`
  const because = (code: CloudErrorCode, why: string, mayHaveActed = request.method !== 'GET'): CloudError =>
    new CloudError(code, `${NAMES[request.service]}: ${why} (${at})`, { mayHaveActed, cause })
  if (signal.aborted) return because('timeout', whyGivenUp(signal))
  if (cause instanceof NotConnected) return because('unavailable', `no connection, ${reasonOf(cause.cause)}`, false)
  if (/^UND_ERR_(HEADERS|BODY)_TIMEOUT$/.test(codeOfError(cause) ?? '')) return because('timeout', 'no answer in time')
  return because('failed', `the connection broke before the answer was complete, ${reasonOf(cause)}`)
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
  const message = messageOf(error)
  return code === undefined || message.includes(code) ? message : `${message} ${code}`.trim()
}

/** `{"<kind>": {"message"}}` as almost always, `{"message"}` of the auth middleware, or a proxy's page. */
function wordsOf(body: string): { words: string; isTheClouds: boolean } {
  try {
    const parsed: Worded = JSON.parse(body)
    const [first] = Object.values(parsed ?? {}) as Worded[]
    const message = [parsed?.message, first?.message].find(words => typeof words === 'string')
    if (message !== undefined) return { words: plain(message), isTheClouds: true }
  } catch {
    // Not JSON: a page, or nothing at all.
  }
  return { words: plain(body), isTheClouds: false }
}

type Worded = { readonly message?: unknown } | null | undefined

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
