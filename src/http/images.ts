import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import { syncImages } from '../operations/images/sync-images.ts'
import type { AppOptions } from './app-options.ts'
import { problems } from './problem.ts'
import { type SyncBody, strict } from './schemas.ts'
import { toImageView, toSyncView } from './views.ts'

const listImagesSchema = {
  operationId: 'listImages',
  summary: 'The images',
  tags: ['images'],
  response: {
    200: { description: 'Table os', ...Type.Object({ images: Type.Array(Type.Ref('Image')) }, strict) },
    ...problems()
  }
}

const syncSchema = {
  operationId: 'syncImages',
  summary: 'Read the snapshots again, rebuild table os and retire spares',
  tags: ['images'],
  body: Type.Union([Type.Ref('SyncRequest'), Type.Null()]),
  response: {
    200: {
      description: 'The images, what was ignored and why, how many spares were retired',
      ...Type.Ref('SyncResult')
    },
    ...problems('sync_in_progress', 'no_images_found')
  }
}

/** Reading all snapshots and their source volumes is many calls. */
const SYNC_SECONDS = 240

export const imageRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps }) => {
  app.get('/os', { schema: listImagesSchema, config: { roles: ['reader'] } }, async () => ({
    images: (await deps.images.list()).map(toImageView)
  }))

  app.post('/os/sync', { schema: syncSchema, config: { roles: [], seconds: SYNC_SECONDS } }, async request => {
    const body = request.body as Static<typeof SyncBody> | null | undefined
    const { purge = deps.settings.purgeOnSync, dry_run = false, allow_empty = false } = body ?? {}
    const wish = { purge, dryRun: dry_run, allowEmpty: allow_empty }
    return toSyncView(await syncImages(deps, wish, request.call))
  })
}
