import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { PoolError } from '../pool/errors.ts'
import type { AppOptions } from './app.ts'
import { openProblems } from './problem.ts'
import { strict, Text } from './schemas.ts'

const healthSchema = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ['operating'],
  security: [],
  response: {
    200: { description: 'Yes', ...Type.Object({ status: Text }, strict) },
    ...openProblems('database_unavailable')
  }
})

const metricsSchema = {
  operationId: 'readMetrics',
  summary: "Metrics in Prometheus's text format",
  tags: ['operating'],
  security: [],
  response: {
    200: { description: 'Metrics', content: { 'text/plain': { schema: Text } } },
    ...openProblems('database_unavailable')
  }
}

/** Whoever asks whether we live does not wait for long. */
const inTime = { seconds: 5 }

export const healthRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, metrics, unready }) => {
  app.get('/healthz', { schema: healthSchema('isAlive', 'Whether the process is alive') }, async () => ({
    status: 'ok'
  }))

  app.get('/readyz', { schema: healthSchema('isReady', 'Whether it can serve'), config: inTime }, async () => {
    const why = await unready()
    if (why) throw new PoolError('database_unavailable', why)
    return { status: 'ready' }
  })

  app.get('/metrics', { schema: metricsSchema, config: inTime }, async (_request, reply) => {
    const text = await metrics.read({
      targets: deps.settings.targets,
      stock: () => deps.spares.stock(),
      orphans: () => deps.orphans.count()
    })
    return await reply.type(metrics.contentType).send(text)
  })
}
