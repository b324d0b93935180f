import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { oneOf } from '../config/one-of.ts'
import { retireSpare } from '../operations/spare/retire-spare.ts'
import { SPARE_STATUSES } from '../pool/spare.ts'
import type { AppOptions } from './app-options.ts'
import { answers, problems } from './problem.ts'
import { aPage, pageQuery, poolQuery, record, Text, Word } from './schemas.ts'
import { toSpareView } from './views.ts'

const listSparesSchema = {
  operationId: 'listSpares',
  summary: 'The spares',
  tags: ['spares'],
  querystring: record({ ...poolQuery, status: Type.Optional(oneOf(SPARE_STATUSES)), ...pageQuery }),
  response: answers('One page', aPage('volumes', 'Spare'))
}

const retireSpareSchema = {
  operationId: 'retireSpare',
  summary: 'Retire one spare: it is never handed out again, and deleted in Cinder',
  tags: ['spares'],
  params: Type.Object({ volume_id: Word }),
  response: {
    202: { description: 'It will be deleted', ...record({ volume_id: Text, status: oneOf(['retiring']) }) },
    ...problems('volume_not_found', 'spare_reserved')
  }
}

export const spareRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, underWay }) => {
  app.get('/pool/volumes', { schema: listSparesSchema, config: { roles: ['reader'] } }, ({ query }, reply) =>
    underWay.inTime({ reply }, async () => {
      const { limit = 100, type, ...filter } = query
      const { rows, nextMarker } = await deps.spares.list({ ...filter, type: type?.toLowerCase(), limit })
      return { volumes: rows.map(toSpareView), next_marker: nextMarker ?? null }
    })
  )

  const retiring = { schema: retireSpareSchema, config: { roles: [] } }
  app.delete('/pool/volumes/:volume_id', retiring, ({ params: { volume_id } }, reply) =>
    underWay.inTime({ reply }, async () => {
      await retireSpare(deps, volume_id)
      void reply.code(202)
      return { volume_id, status: 'retiring' }
    })
  )
}
