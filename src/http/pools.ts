import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { pausePools } from '../operations/pools/pause-pools.ts'
import { planNext } from '../operations/pools/plan.ts'
import { showStats } from '../operations/pools/show-stats.ts'
import { PoolError } from '../pool/errors.ts'
import type { AppOptions } from './app-options.ts'
import { problems } from './problem.ts'
import { PoolFilter, strict, Text, WINDOW } from './schemas.ts'
import { toPlanView, toStatsView } from './views.ts'

const statsSchema = {
  operationId: 'showStats',
  summary: 'Every pool at a glance',
  tags: ['pools'],
  querystring: Type.Object(
    {
      window: Type.Optional(
        Type.String({
          pattern: WINDOW,
          default: '24h',
          description:
            'Counts claims and times over this long, up to now. Its start is exact for the latest two thousand claims and ' +
            'creations, beyond them to ten minutes, beyond two days to an hour, beyond two weeks to a day.'
        })
      )
    },
    strict
  ),
  response: { 200: { description: 'Levels, claims of the window, ticks', ...Type.Ref('Stats') }, ...problems() }
}

const planSchema = {
  operationId: 'showPlan',
  summary: 'What the next replenish tick would do, and why; changes nothing',
  tags: ['pools'],
  response: {
    200: { description: 'One plan a pool', ...Type.Object({ pools: Type.Array(Type.Ref('Plan')) }, strict) },
    ...problems()
  }
}

const pauseSchema = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ['pools'],
  body: Type.Union([PoolFilter, Type.Null()]),
  response: {
    200: {
      description: 'The pools that were named',
      ...Type.Object(
        { pools: Type.Array(Type.Object({ os: Text, type: Text, paused: Type.Boolean() }, strict)) },
        strict
      )
    },
    ...problems('not_found')
  }
})

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

const toSeconds = (window: string): number => Number(window.slice(0, -1)) * (UNITS[window.slice(-1)] ?? 0)

export const poolRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, cloudState }) => {
  const readers = { roles: ['reader'] as const }
  const admins = { roles: [] }

  app.get('/pool/stats', { schema: statsSchema, config: readers }, async ({ query }) =>
    toStatsView(await showStats(deps, toSeconds(query.window ?? '24h')), cloudState())
  )

  app.get('/pool/plan', { schema: planSchema, config: readers }, async request => {
    const plans = await planNext(deps, request.call)
    return { pools: plans.map(toPlanView) }
  })

  for (const paused of [true, false]) {
    const schema = paused
      ? pauseSchema('pausePools', 'Stop the refilling of one pool or all; stock stays and is served')
      : pauseSchema('resumePools', 'Refill again, at once and without back-off')
    app.post(paused ? '/pool/pause' : '/pool/resume', { schema, config: admins }, async ({ body }) => {
      const filter = { os: body?.os, type: body?.type?.toLowerCase() }
      return { pools: await pausePools(deps, filter, paused) }
    })
  }

  for (const path of ['/pool/reservations', '/pool/reservations/:id']) {
    app.route({
      method: path.endsWith('id') ? ['DELETE'] : ['GET', 'POST'],
      url: path,
      schema: { hide: true },
      handler: () => {
        throw new PoolError('not_found', 'Reservations are not available in this version: raise the target instead.')
      }
    })
  }
}
