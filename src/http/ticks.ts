import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { RUN_SECONDS, type TickName } from '../operations/deps.ts'
import type { AppOptions } from './app-options.ts'
import { problems } from './problem.ts'
import { Count, Left, strict } from './schemas.ts'
import { toPlanView } from './views.ts'

const tickSchema = (operationId: string, summary: string, answer: Record<string, ReturnType<typeof Type.Integer>>) => ({
  operationId,
  summary,
  tags: ['ticks'],
  body: Type.Union([Type.Object({}, strict), Type.Null()]),
  response: {
    200: { description: 'What it did', ...Type.Object(answer, strict) },
    ...problems()
  }
})

const replenishSchema = {
  ...tickSchema('replenish', 'Ask Cinder for what the pools miss', {}),
  response: {
    200: {
      description: 'How many volumes were asked for, and the plan of each pool that misses something',
      ...Type.Object({ requested: Count, pools: Type.Array(Type.Ref('Plan')) }, strict)
    },
    ...problems()
  }
}

export const tickRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { tickRuns }) => {
  const admins = (tick: TickName) => ({ roles: [], seconds: RUN_SECONDS[tick] })

  app.post('/pool/replenish', { schema: replenishSchema, config: admins('replenish') }, async () => {
    const { requested, pools } = await tickRuns.replenish()
    return { requested, pools: pools.map(toPlanView) }
  })

  const check = tickSchema('checkState', 'Look at the volumes on their way', {
    checked: Count,
    available: Count,
    dropped: Count,
    left: Left
  })
  app.post('/pool/check', { schema: check, config: admins('check_state') }, async () => ({
    ...(await tickRuns.checkState())
  }))

  const reconcile = tickSchema('reconcile', 'Make the database and the cloud agree', {
    settled: Count,
    adopted: Count,
    removed: Count,
    dropped: Count,
    left: Left
  })
  app.post('/pool/reconcile', { schema: reconcile, config: admins('reconcile') }, async () => ({
    ...(await tickRuns.reconcile())
  }))
}
