import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PoolError } from '../pool/errors.ts'
import type { Call, Clock, Priority } from '../pool/ports.ts'
import type { AppOptions } from './app-options.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Under which id the handler calls the cloud, and until when. */
    call: Call
  }
  interface FastifyContextConfig {
    /** How long a request may take, authentication and all; default: as long as a call to the cloud. */
    seconds?: number | ((body: unknown) => number)
    /** What a caller is told when that is over, and the work is not. */
    whenLate?: () => PoolError
    /** Whether its calls to the cloud outrank others; default: they do not. */
    priority?: Priority
  }
}

/** Calls to the cloud have ended by the deadline; then there is this much to record and to say what became of it. */
const MARGIN_MS = 5_000

/** Every route of ours answers in its time, whatever hangs; its work goes on to its own end. */
export function keepDeadlines(app: FastifyInstance, { deps, config, underWay }: AppOptions): void {
  app.decorateRequest('call')
  app.addHook('onRoute', route => {
    const { roles, seconds, whenLate = databaseLate, priority = 'background' } = route.config ?? {}
    if (!roles && !seconds) return // A file, or what is known anyway.
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

/** The cloud was not waited for any more: only the database can be that slow. */
const databaseLate = (): PoolError =>
  new PoolError(
    'database_unavailable',
    'The database did not answer in time. What was asked for may be done all the same: repeat the request.'
  )
