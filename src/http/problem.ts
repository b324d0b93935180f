import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
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

/** Makes every error of an app a problem document (RFC 9457). */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const [problem, status] = toPoolError(error)
    if (!problem) {
      request.log.error({ request_id: request.id, err: error }, 'request failed')
      return send(reply, request, new PoolError('internal_error', INTERNAL), 500)
    }
    if (status >= 500) {
      const { code, message } = problem
      request.log.warn({ request_id: request.id, code, error: message }, 'request not served')
    }
    return send(reply, request, problem, status)
  })
  const routes = routesOf(app)
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request)
    const here = routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods)
    if (here.length === 0)
      return send(reply, request, new PoolError('not_found', `There is no ${path}: see /docs.`), 404)
    const allowed = [...new Set(here)].toSorted((a, b) => (a < b ? -1 : 1)).join(', ')
    void reply.header('allow', allowed)
    const detail = `${path} does not take ${request.method}, only ${allowed}.`
    return send(reply, request, new PoolError('method_not_allowed', detail), 405)
  })
}

/** An address that cannot be read reaches no hook. */
export function answerBadAddress(_error: Error, request: FastifyRequest, reply: FastifyReply): void {
  void reply.header('x-openstack-request-id', request.id)
  void send(reply, request, new PoolError('invalid_request', BAD_ADDRESS), 400)
}

/** What is no HTTP reaches no request at all. */
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
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'The request did not come in whole within the time that it may take.'
  if (code === 'HPE_HEADER_OVERFLOW') return 'The headers are too large.'
  return `This is no HTTP request: ${message}`
}

/** Which addresses take which methods; Fastify itself finds a route by its pattern only. */
function routesOf(app: FastifyInstance): readonly { pattern: RegExp; methods: string[] }[] {
  const routes: { pattern: RegExp; methods: string[] }[] = []
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = url.replaceAll('.', String.raw`\.`).replaceAll(/:\w+/g, '[^/]+').replaceAll('*', '.*')
    routes.push({ pattern: new RegExp(`^${pattern}/?$`), methods: [method].flat() })
  })
  return routes
}

const BAD_ADDRESS = 'The address is not properly encoded, or a part of it is too long.'
const INTERNAL = 'Not your doing. The log of the service has more under this request id.'

const pathOf = ({ url }: FastifyRequest): string => url.split('?', 1)[0] ?? url

/** What the caller is told of a failure; undefined where it is our own fault. */
function toPoolError(error: unknown): [PoolError | undefined, number] {
  if (error instanceof PoolError) return [error, PROBLEMS[error.code].status]
  if (error instanceof CloudError) {
    const known = new PoolError(codeOf(error), error.message, { cause: error })
    return [known, PROBLEMS[known.code].status]
  }
  const { statusCode = 500, validation, validationContext = 'body', message } = error as FastifyError
  if (validation) return [new PoolError('invalid_request', explain(validation, validationContext)), 400]
  if (statusCode >= 500) return [undefined, 500]
  return [new PoolError('invalid_request', message), statusCode === 413 || statusCode === 415 ? statusCode : 400]
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

function send(reply: FastifyReply, request: FastifyRequest, error: PoolError, status: number): FastifyReply {
  const { retryAfterSeconds } = error
  if (status >= 502 || retryAfterSeconds) void reply.header('retry-after', retryAfterSeconds ?? RETRY_AFTER_SECONDS)
  if (status === 401) void reply.header('www-authenticate', 'Bearer')
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(problemOf(error, request.id, status))
}

/** The error answers of a route, by status, for its schema: its own, and those of every route that asks for a token. */
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

/** The error answers of a route that everybody may call, but for pages of other sites. */
export function openProblems(...own: readonly PoolErrorCode[]): Record<number, unknown> {
  const byStatus = new Map<number, PoolErrorCode[]>()
  for (const code of ['forbidden', ...own] as const)
    byStatus.set(PROBLEMS[code].status, [...(byStatus.get(PROBLEMS[code].status) ?? []), code])
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.join(', '),
        content: { 'application/problem+json': { schema: Type.Ref('Problem') } }
      }
    ])
  )
}
