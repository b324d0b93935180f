import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { claimDisk } from '../operations/claim/claim-disk.ts'
import { outcomeUnknown } from '../operations/claim/refusals.ts'
import { type ClaimRequest, volumeName } from '../pool/claim.ts'
import { PoolError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import type { Caller } from './access.ts'
import { projectFor } from './access.ts'
import type { AppOptions } from './app-options.ts'
import { problems } from './problem.ts'
import { ProjectShare } from './project-share.ts'
import { type ClaimBody, next_marker, Page, strict, VISIBLE, Word } from './schemas.ts'
import { toClaimRecord, toClaimView } from './views.ts'

const EVERY_PROJECT = ['service'] as const

const claimDiskSchema = {
  operationId: 'claimDisk',
  summary: 'Hand over one system disk',
  description:
    'An existing volume of that name, else a spare renamed and handed to the project, else a new one. Safe to repeat: ' +
    'the same claim always gets the same disk.',
  tags: ['claims'],
  headers: Type.Object({
    'idempotency-key': Type.Optional(Type.String({ minLength: 1, maxLength: 255, pattern: VISIBLE }))
  }),
  body: Type.Ref('ClaimRequest'),
  response: {
    200: { description: 'The disk is in the project and usable', ...Type.Ref('Claim') },
    202: { description: 'The disk is on its way: repeat the claim', ...Type.Ref('Claim') },
    ...problems(
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
  response: { 200: { description: 'The claim', ...Type.Ref('ClaimRecord') }, ...problems('claim_not_found') }
}

const listClaimsSchema = {
  operationId: 'listClaims',
  summary: 'What was given to whom, the newest first',
  tags: ['claims'],
  querystring: Type.Object(
    {
      project_id: Type.Optional(Word),
      hostname: Type.Optional(Word),
      volume_id: Type.Optional(Word),
      ...Page
    },
    strict
  ),
  response: {
    200: {
      description: 'One page',
      ...Type.Object({ claims: Type.Array(Type.Ref('ClaimRecord')), next_marker }, strict)
    },
    ...problems()
  }
}

/** Beyond the cloud's own limit: a few calls one after the other. */
const CLAIM_MARGIN_SECONDS = 10

const claiming = ({ openstack }: AppOptions['config']) => ({
  roles: ['claimer', 'service'] as const,
  priority: 'claim' as const,
  seconds: (body: unknown) =>
    openstack.timeout_seconds + ((body as ClaimBody).wait_seconds ?? 0) + CLAIM_MARGIN_SECONDS,
  whenLate: () => outcomeUnknown('the database did not answer in time')
})

export const claimRoutes: FastifyPluginAsyncTypebox<AppOptions> = async (app, { deps, config }) => {
  let inFlight = 0
  const share = new ProjectShare(config.server.claims_in_flight_max)
  // Its callers are programs: what helmet says is for browsers.
  const options = { schema: claimDiskSchema, config: claiming(config), helmet: false } as const
  app.post('/pool/claim', options, async (request, reply) => {
    if (inFlight >= config.server.claims_in_flight_max) throw overloaded(inFlight)
    inFlight += 1
    try {
      const { caller, body, headers, call } = request
      const claim = await toClaimRequest(caller, body as ClaimBody, headers['idempotency-key'], call)
      const result = await share.run(claim.projectId, () => claimDisk(deps, claim, call))
      void reply.code(result.usable ? 200 : 202)
      return toClaimView(result)
    } finally {
      inFlight -= 1
    }
  })

  const toClaimRequest = async (
    caller: Caller,
    body: ClaimBody,
    idempotencyKey: string | undefined,
    call: Call
  ): Promise<ClaimRequest> => {
    const { hostname, os, category = 'sys', on_empty, wait_seconds = 0, size } = body
    const type = body.type.toLowerCase()
    const name = volumeName(config.claims.volume_name, { hostname, category, os, type })
    const projectId = projectFor(caller, body.project_id, EVERY_PROJECT) ?? caller.projectId
    return {
      hostname,
      category,
      os,
      type,
      name,
      sizeGib: size,
      projectId: projectId ?? (await deps.cloud.poolProject(call)).id,
      onEmpty: on_empty ?? config.claims.on_empty,
      waitSeconds: wait_seconds,
      idempotencyKey,
      caller: caller.identity
    }
  }

  const readers = { roles: ['claimer', 'service', 'reader'] as const }
  app.get('/pool/claims/:claim_id', { schema: findClaimSchema, config: readers }, async ({ params, caller }) => {
    const claim = await deps.claims.find(params.claim_id)
    const own = projectFor(caller, undefined, ['service', 'reader'])
    if (!claim || (own !== undefined && claim.projectId !== own)) {
      throw new PoolError('claim_not_found', `There is no claim ${params.claim_id}. Claims are kept for a time only.`)
    }
    return toClaimRecord(claim)
  })

  app.get('/pool/claims', { schema: listClaimsSchema, config: readers }, async ({ query, caller }) => {
    const { rows, nextMarker } = await deps.claims.list({
      projectId: projectFor(caller, query.project_id, ['service', 'reader']),
      hostname: query.hostname,
      volumeId: query.volume_id,
      limit: query.limit ?? 100,
      marker: query.marker
    })
    if (query.marker && rows.length === 0 && !(await deps.claims.find(query.marker))) throw markerGone(query.marker)
    return { claims: rows.map(toClaimRecord), next_marker: nextMarker ?? null }
  })
}

/** Else a list would end early, and nobody would know. */
const markerGone = (marker: string): PoolError =>
  new PoolError('invalid_request', `"marker" ${marker} is no claim, or no longer: begin with the first page again.`)

const overloaded = (inFlight: number): PoolError =>
  new PoolError(
    'claim_unsettled',
    `${inFlight} claims are under way, as many as server.claims_in_flight_max allows. Nothing was done: repeat the claim.`,
    { retryAfterSeconds: 1 }
  )
