import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type TProperties, Type } from 'typebox'
import { RUN_SECONDS } from '../operations/deps.ts'
import type { AppOptions } from './app-options.ts'
import { answers } from './problem.ts'
import { Count, record } from './schemas.ts'
import { toPlanView } from './views.ts'

const tickSchema = <T extends TProperties>(operationId: string, summary: string, description: string, result: T) => ({
  operationId,
  summary,
  tags: ['ticks'],
  body: record({}),
  response: answers(description, record(result))
})

const left = { ...Count, description: 'Volumes, transfers or claims that failed: the next run tries them again' }
const counted = <Name extends string>(...names: readonly Name[]) =>
  ({ ...Object.fromEntries(names.map(name => [name, Count])), left }) as Record<Name | 'left', typeof Count>

const replenishSchema = tickSchema(
  'replenish',
  'Ask Cinder for what the pools miss',
  'How many volumes were requested, and the plan of each pool that misses some',
  { requested: Count, pools: Type.Array(Type.Ref('Plan')) }
)
const checkSchema = tickSchema(
  'checkState',
  'Look at the volumes that are being made',
  'What it did',
  counted('checked', 'available', 'dropped')
)
const reconcileSchema = tickSchema(
  'reconcile',
  'Make the database and the cloud agree',
  'What it did',
  counted('settled', 'adopted', 'removed', 'dropped')
)

export const tickRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { tickers, underWay }) => {
  const admins = { roles: [] }
  app.post('/pool/replenish', { schema: replenishSchema, config: admins }, (_request, reply) =>
    underWay.inTime({ reply, seconds: RUN_SECONDS.replenish }, async () => {
      const { requested, pools } = await tickers.replenish.now()
      return { requested, pools: pools.map(toPlanView) }
    })
  )
  app.post('/pool/check', { schema: checkSchema, config: admins }, (_request, reply) =>
    underWay.inTime({ reply, seconds: RUN_SECONDS.check_state }, () => tickers.check_state.now())
  )
  app.post('/pool/reconcile', { schema: reconcileSchema, config: admins }, (_request, reply) =>
    underWay.inTime({ reply, seconds: RUN_SECONDS.reconcile }, () => tickers.reconcile.now())
  )
}
