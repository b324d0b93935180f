import type { FastifyReply, FastifyRequest } from 'fastify'
import { badRequest, ConnectionReset, Refusal } from './refusal.ts'

/** The one value of a header. */
export function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

export function send(reply: FastifyReply, status: number, body?: object): FastifyReply {
  reply.code(status)
  if (body === undefined) return reply.send()
  return reply.header('content-type', 'application/json').send(JSON.stringify(body))
}

/** What an error means on the wire; undefined where the connection is cut without an answer. */
export function failure(error: unknown, request: FastifyRequest): Refusal | undefined {
  if (error instanceof Refusal) return error
  if (error instanceof ConnectionReset) {
    request.raw.socket.resetAndDestroy()
    return undefined
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status === 415) return new Refusal(415, 'Unsupported Content-Type')
  if (status >= 400 && status < 500) return badRequest('Malformed request body')
  return new Refusal(500, 'The server has either erred or is incapable of performing the requested operation.')
}
