/** An answer that is no success. Keystone and Cinder wrap it each in their own way. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refusal'
    this.status = status
  }
}

/** One that is no JSON, since it comes from what stands before Cinder's own code. */
export class PlainRefusal extends Refusal {
  readonly contentType: string
  readonly text: string

  constructor(status: number, contentType: string, text: string) {
    super(status, text)
    this.contentType = contentType
    this.text = text
  }
}

/** Of a path that Cinder does not know, with or without a good token. */
export const noSuchPath = (): Refusal => {
  const title = '<title>404 Not Found</title>'
  const page = `<html><head>${title}</head><body><h1>404 Not Found</h1>The resource could not be found.</body></html>`
  return new PlainRefusal(404, 'text/html; charset=UTF-8', page)
}

/** The connection ends without an answer. */
export class ConnectionReset extends Error {
  override readonly name = 'ConnectionReset'
}

/** What a 500 says: no more, on purpose. */
export const INTERNAL = 'The server has either erred or is incapable of performing the requested operation.'

/** What a 400 says that nobody worded. */
export const MALFORMED =
  'The server could not comply with the request since it is either malformed or otherwise incorrect.'

export const badRequest = (message: string): Refusal => new Refusal(400, message)
export const invalidVolume = (reason: string): Refusal => badRequest(`Invalid volume: ${reason}`)
export const invalidInput = (reason: string): Refusal => badRequest(`Invalid input received: ${reason}`)
/** Keystone's. */
export const notExpected = (what: string): Refusal =>
  badRequest(`Expecting to find ${what}. ${MALFORMED} The client is assumed to be in error.`)
export const notFound = (what: string, id: string): Refusal => new Refusal(404, `${what} ${id} could not be found.`)
export const policyRefusal = (rule: string): Refusal =>
  new Refusal(403, `Policy doesn't allow ${rule} to be performed.`)
export const unauthorized = (message = 'The request you have made requires authentication.'): Refusal =>
  new Refusal(401, message)

/** What a failure says that nobody worded. */
export const messageOf = (status: number): string =>
  status === 503 ? 'The Keystone service is temporarily unavailable.' : INTERNAL

const FAULT_NAMES: Record<number, string> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  501: 'notImplemented'
}

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  500: 'Internal Server Error',
  503: 'Service Unavailable'
}

export const keystoneBody = ({ status: code, message }: Refusal): object => ({
  error: { code, message, title: TITLES[code] ?? 'Error' }
})

/** Cinder's own faults are wrapped in their name; 401 and 503 come from the middleware before it, in other shapes. */
export function cinderBody(refusal: Refusal): object {
  const { status: code, message } = refusal
  if (code === 401) return keystoneBody(refusal)
  if (code === 503) {
    const text = 'The server is currently unavailable. Please try again at a later time.'
    return { message: `${text}<br /><br />\n${message}\n\n`, code: '503 Service Unavailable', title: TITLES[503] }
  }
  const retry = code === 413 ? { retryAfter: '0' } : {}
  return { [FAULT_NAMES[code] ?? 'computeFault']: { code, message, ...retry } }
}
