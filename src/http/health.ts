import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { PoolError, type PoolErrorCode, stopping } from '../pool/errors.ts'
import type { AppOptions } from './app-options.ts'
import { openProblems } from './problem.ts'
import { record, Text } from './schemas.ts'
import { shared } from './shared-read.ts'

const healthSchema = (operationId: string, summary: string, ...codes: readonly PoolErrorCode[]) => ({
  operationId,
  summary,
  tags: ['operating'],
  security: [],
  response: {
    200: { description: 'Yes', ...record({ status: Text }) },
    ...openProblems('database_unavailable', ...codes)
  }
})

const metricsSchema = {
  operationId: 'readMetrics',
  summary: "Metrics in Prometheus's text format",
  tags: ['operating'],
  security: [],
  response: {
    200: { description: 'Metrics', content: { 'text/plain': { schema: Text } } },
    ...openProblems('rate_limited', 'database_unavailable')
  }
}

/** Probes and scrapes read the database, so that strangers have a limit. */
const looking = { limitsStrangers: true } as const
/** They need an answer soon. */
const LOOK_SECONDS = 5

export const healthRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, options) => {
  const { deps, metrics, levels, unready, underWay } = options
  const whyUnready = shared(deps.clock, unready)
  const sharedLevels = shared(deps.clock, levels)

  const aliveSchema = healthSchema('isAlive', 'Whether the process is alive')
  app.get('/healthz', { schema: aliveSchema }, async () => ({ status: 'ok' }))

  const readySchema = healthSchema('isReady', 'Whether it can serve', 'rate_limited')
  app.get('/readyz', { schema: readySchema, config: looking }, (_request, reply) =>
    underWay.inTime({ reply, seconds: LOOK_SECONDS }, async () => {
      if (deps.isStopping()) throw stopping()
      const why = await whyUnready()
      if (why) throw new PoolError('database_unavailable', why)
      return { status: 'ready' }
    })
  )

  app.get('/metrics', { schema: metricsSchema, config: looking }, (_request, reply) =>
    underWay.inTime({ reply, seconds: LOOK_SECONDS }, async () => {
      void reply.type(metrics.contentType)
      return await metrics.read(sharedLevels)
    })
  )
}
