import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import type { FaultKind } from './faults.ts'
import type { Query } from './paging.ts'
import { badRequest, ConnectionReset, INTERNAL, PlainRefusal, Refusal } from './refusal.ts'
import type { Stepwise } from './steps.ts'

export type Request = FastifyRequest<{ Params: Record<string, string>; Querystring: Query }>
export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** One call on its way through the cloud. */
export interface Exchange {
  readonly cloud: Cloud
  readonly request: Request
  readonly reply: FastifyReply
  readonly requestId: string
  /** The fault that the cloud's own work shall meet. */
  readonly strike: FaultKind | undefined
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
}

/** Serves a path as one of the cloud's operations, with the delay and the faults of that operation. */
export function serve(
  app: FastifyInstance,
  cloud: () => Cloud,
  [method, url]: readonly [Method, string],
  operation: (body: unknown) => Operation,
  act: (exchange: Exchange) => Stepwise<Answer>
): void {
  const handler = async (request: Request, reply: FastifyReply): Promise<FastifyReply> => {
    const current = cloud()
    const requestId = `req-${current.random.uuid()}`
    reply.header('x-openstack-request-id', requestId)
    const run = (strike?: FaultKind): Stepwise<Answer> => act({ cloud: current, request, reply, requestId, strike })
    const { status, body } = await current.perform(operation(request.body), header(request, 'x-auth-token'), run)
    return send(reply, status, body)
  }
  app.route<{ Params: Record<string, string>; Querystring: Query }>({ method, url, handler })
}

/** Answers errors in the words of one service, which may put one refusal in the place of another. */
export function answerErrors(
  app: FastifyInstance,
  bodyOf: (refusal: Refusal) => object,
  inItsWords: (refusal: Refusal, request: FastifyRequest, reply: FastifyReply) => Refusal = refusal => refusal
): void {
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof ConnectionReset) return cut(request, reply, error)
    const refusal = inItsWords(error instanceof Refusal ? error : refusalFor(error), request, reply)
    if (refusal.status === 401) reply.header('www-authenticate', `Keystone uri="${originOf(request)}/identity"`)
    if (refusal.status === 413) reply.header('retry-after', '0')
    if (refusal instanceof PlainRefusal) return sendText(reply, refusal)
    send(reply, refusal.status, bodyOf(refusal))
  })
}

/** As bytes: what is text already keeps its type. */
const sendText = (reply: FastifyReply, { status, contentType, text }: PlainRefusal): FastifyReply =>
  reply.code(status).header('content-type', contentType).send(Buffer.from(text))

/** As a network fails, without a word. What was injected has no socket that could be reset. */
function cut({ raw: { socket } }: FastifyRequest, reply: FastifyReply, error: ConnectionReset): void {
  reply.hijack()
  if ('resetAndDestroy' in socket) socket.resetAndDestroy()
  else reply.raw.destroy(error)
}

/** An error of the HTTP layer, such as a body that is too large, or our own mistake. */
function refusalFor(error: unknown): Refusal {
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status < 500) return badRequest('Malformed request body')
  console.error(error)
  return new Refusal(500, INTERNAL)
}

/** How the client reached the sandbox: with what a proxy before it would have taken off the path. */
export const originOf = ({ host, url, originalUrl }: FastifyRequest): string =>
  `http://${host}${originalUrl.slice(0, originalUrl.length - url.length)}`

/** The one value of a header. */
export function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

export function send(reply: FastifyReply, status: number, body?: unknown): FastifyReply {
  reply.code(status)
  if (body === undefined) return reply.send()
  // As bytes: to text the server would add a charset, which Cinder does not.
  return reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(body)))
}
