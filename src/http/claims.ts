import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Config } from '../config/schema.ts'
import { claimDisk } from '../operations/claim/claim-disk.ts'
import { outcomeUnknown } from '../operations/claim/refusals.ts'
import { volumeName } from '../pool/claim.ts'
import { PoolError } from '../pool/errors.ts'
import { projectFor } from './access.ts'
import type { AppOptions } from './app-options.ts'
import { places } from './places.ts'
import { answers } from './problem.ts'
import { aPage, type ClaimBody, pageQuery, record, VISIBLE, Word } from './schemas.ts'
import { toClaimRecord, toClaimView } from './views.ts'

const claimDiskSchema = {
  operationId: 'claimDisk',
  summary: 'Hand over one system disk',
  description:
    'The existing volume of that name, else a spare, renamed and handed to the project, else a new volume. Safe to repeat: ' +
    'the same claim always gets the same disk.',
  tags: ['claims'],
  headers: Type.Object({
    'idempotency-key': Type.Optional(Type.String({ minLength: 1, maxLength: 255, pattern: VISIBLE }))
  }),
  body: Type.Ref('ClaimRequest'),
  response: {
    202: { description: 'The disk is on its way: repeat the claim', ...Type.Ref('Claim') },
    ...answers(
      'The disk is in the project and usable',
      Type.Ref('Claim'),
      'quota_exceeded',
      'project_not_accessible',
      'image_not_found',
      'existing_volume_unusable',
      'claim_differs',
      'not_a_system_disk',
      'image_gone',
      'idempotency_key_reused',
      'volume_type_hidden',
      'pool_empty',
      'claim_unsettled'
    )
  }
}

const findClaimSchema = {
  operationId: 'findClaim',
  summary: 'What one claim was given',
  tags: ['claims'],
  params: Type.Object({ claim_id: Type.String({ format: 'uuid' }) }),
  response: answers('The claim', Type.Ref('ClaimRecord'), 'claim_not_found')
}

const listClaimsSchema = {
  operationId: 'listClaims',
  summary: 'What was given to whom, the newest first',
  tags: ['claims'],
  querystring: record({
    project_id: Type.Optional(Word),
    hostname: Type.Optional(Word),
    volume_id: Type.Optional(Word),
    ...pageQuery
  }),
  response: answers('One page', aPage('claims', 'ClaimRecord'))
}

/** A claim makes a few calls, one after the other: it may take this much longer than the limit of one. */
const CLAIM_MARGIN_SECONDS = 10

export const claimRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, config, underWay }) => {
  const { claims_in_flight_max: max } = config.server
  const [ofAll, ofProject] = [places(max, overloaded), places(Math.max(1, Math.floor(max / 2)), tooManyOfProject)]

  // Callers are programs: helmet's headers are for browsers.
  const options = { schema: claimDiskSchema, config: { roles: ['claimer', 'service'] }, helmet: false } as const
  app.post('/pool/claim', options, ({ caller, body, headers }, reply) => {
    const { wait_seconds = 0 } = body as ClaimBody
    const seconds = config.openstack.timeout_seconds + wait_seconds + CLAIM_MARGIN_SECONDS
    return underWay.inTime({ reply, seconds, whenLate, priority: 'claim' }, call =>
      ofAll('', async () => {
        const wish = toWish(body as ClaimBody, config.claims)
        const named = projectFor(caller, wish.projectId, ['service']) ?? caller.projectId
        const projectId = named ?? (await deps.cloud.poolProject(call)).id
        const claim = { ...wish, projectId, idempotencyKey: headers['idempotency-key'], caller: caller.identity }
        const result = await ofProject(projectId, () => claimDisk(deps, claim, call))
        void reply.code(result.usable ? 200 : 202)
        return toClaimView(result)
      })
    )
  })

  const readers = { roles: ['claimer', 'service', 'reader'] } as const
  app.get('/pool/claims/:claim_id', { schema: findClaimSchema, config: readers }, ({ params, caller }, reply) =>
    underWay.inTime({ reply }, async () => {
      const claim = await deps.claims.find(params.claim_id)
      const own = projectFor(caller, undefined, ['service', 'reader'])
      if (!claim || (own !== undefined && claim.projectId !== own)) {
        throw new PoolError('claim_not_found', `There is no claim ${params.claim_id}. Claims are kept for a time only.`)
      }
      return toClaimRecord(claim)
    })
  )

  app.get('/pool/claims', { schema: listClaimsSchema, config: readers }, ({ query, caller }, reply) =>
    underWay.inTime({ reply }, async () => {
      const { hostname, volume_id, limit = 100, marker } = query
      const projectId = projectFor(caller, query.project_id, ['service', 'reader'])
      const { rows, nextMarker } = await deps.claims.list({ projectId, hostname, volumeId: volume_id, limit, marker })
      // Else the list would end early, and nobody would notice.
      if (marker && rows.length === 0 && !(await deps.claims.find(marker))) throw markerGone(marker)
      return { claims: rows.map(toClaimRecord), next_marker: nextMarker ?? null }
    })
  )
}

function toWish(body: ClaimBody, { volume_name, on_empty }: Config['claims']) {
  const { hostname, os, category = 'sys', wait_seconds = 0, size, project_id } = body
  const type = body.type.toLowerCase()
  return {
    hostname,
    category,
    os,
    type,
    name: volumeName(volume_name, { hostname, category, os, type }),
    sizeGib: size,
    projectId: project_id,
    onEmpty: body.on_empty ?? on_empty,
    waitSeconds: wait_seconds
  }
}

const whenLate = (): PoolError => outcomeUnknown('the database did not answer in time')

const markerGone = (marker: string): PoolError =>
  new PoolError('invalid_request', `"marker" ${marker} is no claim, or no longer one: start again with the first page.`)

const overloaded = (underWay: number): PoolError =>
  new PoolError(
    'claim_unsettled',
    `${underWay} claims are under way, as many as server.claims_in_flight_max allows. Nothing was done: repeat the claim.`,
    { retryAfterSeconds: 1 }
  )

const tooManyOfProject = (underWay: number, projectId: string): PoolError =>
  new PoolError(
    'rate_limited',
    `Project ${projectId} has ${underWay} claims under way. One project may have half of server.claims_in_flight_max. ` +
      'Nothing was done: repeat the claim.',
    { retryAfterSeconds: 1 }
  )
