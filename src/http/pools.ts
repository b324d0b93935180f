import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { pausePools } from '../operations/pools/pause-pools.ts'
import { planNext } from '../operations/pools/plan.ts'
import { showStats } from '../operations/pools/show-stats.ts'
import { PoolError } from '../pool/errors.ts'
import type { AppOptions } from './app-options.ts'
import { answers } from './problem.ts'
import { poolQuery, record, Text, WINDOW } from './schemas.ts'
import { toPlanView, toStatsView } from './views.ts'

const statsSchema = {
  operationId: 'showStats',
  summary: 'Every pool at a glance',
  tags: ['pools'],
  querystring: record({
    window: Type.Optional(
      Type.String({
        pattern: WINDOW,
        default: '24h',
        description:
          'Counts claims and times over this long, up to now. Its start is exact for the latest two thousand claims and ' +
          'creations, beyond them to ten minutes, beyond two days to an hour, beyond two weeks to a day.'
      })
    )
  }),
  response: answers('Levels, claims of the window, ticks', Type.Ref('Stats'))
}

const planSchema = {
  operationId: 'showPlan',
  summary: 'What the next replenish tick would do, and why; changes nothing',
  tags: ['pools'],
  response: answers('One plan a pool', record({ pools: Type.Array(Type.Ref('Plan')) }))
}

const pausedPools = record({ pools: Type.Array(record({ os: Text, type: Text, paused: Type.Boolean() })) })
const pauseSchema = (operationId: string, summary: string) => ({
  operationId,
  summary,
  tags: ['pools'],
  body: record(poolQuery),
  response: answers('The pools that were named', pausedPools, 'not_found')
})

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }
const toSeconds = (window: string): number => Number(window.slice(0, -1)) * (UNITS[window.slice(-1)] ?? 0)

export const poolRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, cloudState, underWay }) => {
  const readers = { roles: ['reader'] as const }
  app.get('/pool/stats', { schema: statsSchema, config: readers }, ({ query }, reply) =>
    underWay.inTime({ reply }, async () =>
      toStatsView(await showStats(deps, toSeconds(query.window ?? '24h')), cloudState())
    )
  )
  app.get('/pool/plan', { schema: planSchema, config: readers }, (_request, reply) =>
    underWay.inTime({ reply }, async call => ({ pools: (await planNext(deps, call)).map(toPlanView) }))
  )

  const setPaused = (path: string, paused: boolean, schema: ReturnType<typeof pauseSchema>) =>
    app.post(path, { schema, config: { roles: [] } }, ({ body: { os, type } }, reply) =>
      underWay.inTime({ reply }, async () => ({
        pools: await pausePools(deps, { os, type: type?.toLowerCase() }, paused)
      }))
    )
  setPaused('/pool/pause', true, pauseSchema('pausePools', 'Stop refilling one pool or all; stock stays and is served'))
  setPaused('/pool/resume', false, pauseSchema('resumePools', 'Refill again, at once and without back-off'))

  const hidden = { schema: { hide: true } }
  app.get('/pool/reservations', hidden, noReservations)
  app.post('/pool/reservations', hidden, noReservations)
  app.delete('/pool/reservations/:id', hidden, noReservations)
}

function noReservations(): never {
  throw new PoolError('not_found', 'Reservations are not available in this version. Raise the target instead.')
}
