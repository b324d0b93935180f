import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { CloudError, codeOf, PoolError, type PoolErrorCode } from '../pool/errors.ts'
import { PATTERNS, type Problem } from './schemas.ts'

/** The one place that knows HTTP statuses. A new code without an entry does not compile. */
const PROBLEMS: Record<PoolErrorCode, { status: number; title: string }> = {
  invalid_request: { status: 400, title: 'Invalid request' },
  unauthenticated: { status: 401, title: 'Not authenticated' },
  rate_limited: { status: 429, title: 'Too many requests' },
  forbidden: { status: 403, title: 'Not allowed' },
  quota_exceeded: { status: 403, title: "The project's quota is exceeded" },
  project_not_accessible: { status: 403, title: 'The project cannot be reached' },
  image_not_found: { status: 404, title: 'No such image' },
  claim_not_found: { status: 404, title: 'No such claim' },
  volume_not_found: { status: 404, title: 'No such volume' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  existing_volume_unusable: { status: 409, title: 'The existing volume cannot be used' },
  claim_differs: { status: 409, title: 'The claim was made for another disk' },
  sync_in_progress: { status: 409, title: 'Another sync is running' },
  spare_reserved: { status: 409, title: 'The spare is reserved' },
  image_gone: { status: 409, title: "The image's snapshot is gone" },
  not_a_system_disk: { status: 422, title: 'Not a system disk' },
  idempotency_key_reused: { status: 422, title: 'Idempotency key reused' },
  no_images_found: { status: 422, title: 'No images found' },
  volume_type_hidden: { status: 422, title: 'The volume type is hidden from the project' },
  cloud_error: { status: 502, title: 'The cloud refused' },
  cloud_unavailable: { status: 503, title: 'The cloud cannot be reached' },
  cloud_timeout: { status: 504, title: 'The cloud did not answer in time' },
  pool_empty: { status: 503, title: 'The pool is empty' },
  claim_unsettled: { status: 503, title: 'The claim is not settled yet' },
  database_unavailable: { status: 503, title: 'The database cannot be reached' },
  internal_error: { status: 500, title: 'A fault of this service' }
}

const RETRY_AFTER_SECONDS = 5

/** Answers every error with a problem document (RFC 9457). */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const problem = toPoolError(error)
    const { code, message } = problem
    const fields = { request_id: request.id, code }
    if (code === 'internal_error') request.log.error({ ...fields, err: error }, 'request failed')
    else if (PROBLEMS[code].status >= 500) request.log.warn({ ...fields, error: message }, 'request not served')
    return send(reply, problem, error.statusCode === 413 || error.statusCode === 415 ? error.statusCode : undefined)
  })
  const routes = routesOf(app)
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const methods = routes.filter(({ pattern }) => pattern.test(path)).flatMap(route => route.methods)
    if (methods.length === 0) return send(reply, new PoolError('not_found', `There is no ${path}. See /docs.`))
    const allowed = [...new Set(methods)].toSorted().join(', ')
    void reply.header('allow', allowed)
    return send(reply, new PoolError('method_not_allowed', `${path} takes ${allowed}, not ${request.method}.`))
  })
}

/** Which path takes which methods: Fastify finds a route by its pattern only. */
function routesOf(app: FastifyInstance): readonly { pattern: RegExp; methods: string[] }[] {
  const routes: { pattern: RegExp; methods: string[] }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = url.replaceAll('.', String.raw`\.`).replaceAll(/:\w+/g, '[^/]+').replaceAll('*', '.*')
    routes.push({ pattern: new RegExp(`^${pattern}/?$`), methods: [method].flat() })
  })
  return routes
}

/** No hook runs for a URL that cannot be decoded. */
export function answerBadUrl(_error: Error, request: FastifyRequest, reply: FastifyReply): void {
  const why = 'The URL is not encoded correctly, or a part of it is too long.'
  void send(reply.header('x-openstack-request-id', request.id), new PoolError('invalid_request', why))
}

/** What is not HTTP never becomes a request. */
export function answerNoHttp(error: Error & { code?: string }, socket: Socket, requestId: string): void {
  if (socket.writable && error.code !== 'ECONNRESET') {
    const body = JSON.stringify(problemOf(new PoolError('invalid_request', whyNoHttp(error)), requestId))
    const head = [
      'HTTP/1.1 400 Bad Request',
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      `x-openstack-request-id: ${requestId}`,
      'connection: close'
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  }
  socket.destroy(error)
}

function whyNoHttp({ code, message }: Error & { code?: string }): string {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'The request did not arrive in time. Send it again.'
  if (code === 'HPE_HEADER_OVERFLOW') return 'The headers are too large.'
  return `This is not an HTTP request: ${message}`
}

/** What the caller is told of a failure. */
function toPoolError(error: FastifyError): PoolError {
  if (error instanceof PoolError) return error
  if (error instanceof CloudError) return new PoolError(codeOf(error), error.message)
  const { statusCode = 500, validation, validationContext = 'body', message } = error
  if (validation) return new PoolError('invalid_request', explain(validation, validationContext))
  if (statusCode < 500) return new PoolError('invalid_request', message)
  return new PoolError('internal_error', 'This is a fault of the service. Look for this request id in its log.')
}

/** Names each wrong field. */
function explain(validation: NonNullable<FastifyError['validation']>, context: string): string {
  const wrong = validation.map(({ instancePath, keyword, params, message }) => {
    const field = instancePath.slice(1).replaceAll('/', '.')
    if (keyword === 'additionalProperties') return `unknown field "${String(params['additionalProperty'])}"`
    if (keyword === 'required') return `"${String(params['missingProperty'])}" is missing`
    if (keyword === 'enum') return `"${field}" must be one of ${String(params['allowedValues'])}`
    const rule = (keyword === 'pattern' && PATTERNS[String(params['pattern'])]) || message
    return field ? `"${field}" ${rule}` : `it ${rule}`
  })
  return `The request's ${context} is wrong: ${[...new Set(wrong)].join('; ')}.`
}

function problemOf({ code, message }: PoolError, requestId: string, status = PROBLEMS[code].status): Problem {
  const type = `urn:spare-volume-pool:problem:${code}`
  return { type, title: PROBLEMS[code].title, status, detail: message, code, request_id: requestId }
}

function send(reply: FastifyReply, error: PoolError, status = PROBLEMS[error.code].status): FastifyReply {
  const { retryAfterSeconds } = error
  if (status >= 502 || retryAfterSeconds) void reply.header('retry-after', retryAfterSeconds ?? RETRY_AFTER_SECONDS)
  if (status === 401) void reply.header('www-authenticate', 'Bearer')
  void reply.code(status).type('application/problem+json').serializer(JSON.stringify)
  return reply.send(problemOf(error, reply.request.id, status))
}

/** What a route answers, for its schema: its view, and the problems of its own and of every route that needs a token. */
export const answers = <T extends TSchema>(description: string, view: T, ...codes: readonly PoolErrorCode[]) => ({
  200: { description, ...view },
  ...problems(...codes)
})

export const problems = (...codes: readonly PoolErrorCode[]): Record<number, unknown> =>
  openProblems(
    'invalid_request',
    'unauthenticated',
    'rate_limited',
    'database_unavailable',
    ...KEYSTONE_FAILS,
    ...codes
  )

const KEYSTONE_FAILS = ['cloud_error', 'cloud_unavailable', 'cloud_timeout'] as const

/** The problems of a route that needs no token. Pages of other sites are refused everywhere. */
export function openProblems(...codes: readonly PoolErrorCode[]): Record<number, unknown> {
  const byStatus: Record<number, { description: string; content: object }> = {}
  for (const code of ['forbidden', ...codes] as const) {
    const { status } = PROBLEMS[code]
    const known = byStatus[status]
    const description = known ? `${known.description}, ${code}` : code
    byStatus[status] = { description, content: { 'application/problem+json': { schema: Type.Ref('Problem') } } }
  }
  return byStatus
}
