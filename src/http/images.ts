import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { syncImages } from '../operations/images/sync-images.ts'
import type { AppOptions } from './app-options.ts'
import { answers } from './problem.ts'
import { record, type SyncBody } from './schemas.ts'
import { toImageView, toSyncView } from './views.ts'

const listImagesSchema = {
  operationId: 'listImages',
  summary: 'The images',
  tags: ['images'],
  response: answers('Table os', record({ images: Type.Array(Type.Ref('Image')) }))
}

const syncSchema = {
  operationId: 'syncImages',
  summary: 'Read the snapshots again, rebuild table os and retire spares',
  tags: ['images'],
  body: Type.Ref('SyncRequest'),
  response: answers(
    'The images, which snapshots were ignored and why, how many spares were retired',
    Type.Ref('SyncResult'),
    'sync_in_progress',
    'no_images_found'
  )
}

/** Reading all snapshots and their source volumes takes many calls. */
const SYNC_SECONDS = 240

export const imageRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, underWay }) => {
  app.get('/os', { schema: listImagesSchema, config: { roles: ['reader'] } }, (_request, reply) =>
    underWay.inTime({ reply }, async () => ({ images: (await deps.images.list()).map(toImageView) }))
  )

  app.post('/os/sync', { schema: syncSchema, config: { roles: [] } }, ({ body }, reply) =>
    underWay.inTime({ reply, seconds: SYNC_SECONDS }, async call => {
      const { purge = deps.settings.purgeOnSync, dry_run = false, allow_empty = false } = body as SyncBody
      return toSyncView(await syncImages(deps, { purge, dryRun: dry_run, allowEmpty: allow_empty }, call))
    })
  )
}
