import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PoolError } from '../pool/errors.ts'
import type { Call, Clock, Priority } from '../pool/ports.ts'
import type { AppOptions } from './app-options.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the handler hands to operations: the request's id and its deadline. */
    call: Call
  }
  interface FastifyContextConfig {
    /** How long a request may take, with its authentication; default: as long as a call to the cloud. */
    seconds?: number | ((body: unknown) => number)
    /** The answer when the time is up and the work has not ended. */
    whenLate?: () => PoolError
    /** Of its calls to the cloud; default: background. */
    priority?: Priority
  }
}

/** Calls to the cloud end by the deadline. This much time is left to record the outcome and to answer. */
const MARGIN_MS = 5_000

/**
 * Gives the handler of every route that does I/O a call with a deadline, and answers in time even if the handler hangs. The
 * handler's work then goes on to its own end. Fastify has no hook around a handler, so it is replaced when it is registered.
 */
export function keepDeadlines(app: FastifyInstance, { deps, config, underWay }: AppOptions): void {
  app.decorateRequest('call')
  app.addHook('onRoute', route => {
    const { roles, seconds, whenLate = databaseLate, priority = 'background' } = route.config ?? {}
    if (!roles && !seconds) return // A file, or an answer without I/O.
    const { handler } = route
    const limitSeconds = typeof seconds === 'function' ? seconds : () => seconds ?? config.openstack.timeout_seconds
    route.handler = async function (request: FastifyRequest, reply: FastifyReply) {
      const leftMs = Math.max(0, Math.ceil(limitSeconds(request.body) * 1000 - reply.elapsedTime))
      const work = underWay.run(leftMs, async signal => {
        request.call = { requestId: request.id, signal, priority }
        return await handler.call(this, request, reply)
      })
      return await inTime(deps.clock, work, leftMs + MARGIN_MS, whenLate)
    }
  })
}

function inTime<T>(clock: Clock, work: Promise<T>, ms: number, whenLate: () => PoolError): Promise<T> {
  return new Promise((resolve, reject) => {
    const takeBack = clock.limit(ms, () => reject(whenLate()))
    work.then(resolve, reject).finally(takeBack)
  })
}

/** Calls to the cloud have ended by then: only the database can be that slow. */
const databaseLate = (): PoolError =>
  new PoolError(
    'database_unavailable',
    'The database did not answer in time. The request may be carried out all the same: repeat it.'
  )
