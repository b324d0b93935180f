import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import { requireToken } from './identity.ts'
import type { Caller } from './model.ts'
import type { Query } from './paging.ts'
import { badRequest, cinderBody, Refusal } from './refusal.ts'
import type { Viewer } from './views.ts'
import { failure, header, send } from './wire.ts'

const MINOR_MAX = 70

/** One call to Cinder, after its token and microversion were checked. */
export interface Call extends Viewer {
  readonly cloud: Cloud
  readonly caller: Caller
  readonly query: Query
  readonly body: unknown
  readonly id: string
  readonly key: string
}

/** Says how a path is served: as which operation, with which status when all is well, and with what body. */
export type Route = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  operation: Operation | ((body: unknown) => Operation),
  status: number | ((body: unknown) => number),
  act: (call: Call) => object | undefined
) => void

/** Cinder's side of each request: ids, microversion, token, project, and errors in its words. */
export function cinderRoutes(app: FastifyInstance, cloud: () => Cloud, define: (route: Route) => void): void {
  const route: Route = (method, path, operation, status, act) => {
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const current = cloud()
      const requestId = `req-${current.random.uuid()}`
      reply.header('x-openstack-request-id', requestId)
      const token = header(request, 'x-auth-token')
      const run = (strike?: string): object | undefined => {
        const caller = { ...callerOf(current, token), requestId, strike, globalRequestId: globalId(request) }
        return act(callOf(current, request, reply, caller))
      }
      const named = typeof operation === 'string' ? operation : operation(request.body)
      const body = await current.perform(named, token, run)
      return send(reply, typeof status === 'number' ? status : status(request.body), body)
    }
    // Since Yoga the project may be left out of the path.
    for (const prefix of ['/v3/:project', '/v3']) app.route({ method, url: prefix + path, handler })
  }
  app.setErrorHandler((error, request, reply) => {
    const refusal = failure(error, request)
    if (!refusal) return
    if (refusal.status === 401) reply.header('www-authenticate', `Keystone uri="http://${request.host}/identity"`)
    if (refusal.status === 413) reply.header('retry-after', '0')
    return send(reply, refusal.status, cinderBody(refusal))
  })
  app.setNotFoundHandler((request, reply) => {
    requireToken(cloud(), header(request, 'x-auth-token'))
    return send(reply, 404, cinderBody(new Refusal(404, 'The resource could not be found.')))
  })
  versionRoutes(app)
  define(route)
}

function callerOf(cloud: Cloud, tokenId: string | undefined): Omit<Caller, 'requestId'> {
  const { user, project, roles } = requireToken(cloud, tokenId)
  return { userId: user.id, projectId: project?.id ?? '', roles }
}

/** A client's own id for what it does, which Cinder keeps next to its own. */
function globalId(request: FastifyRequest): string | undefined {
  const id = header(request, 'x-openstack-request-id')
  return id && /^req-[0-9a-f-]{36}$/i.test(id) ? id : undefined
}

function callOf(cloud: Cloud, request: FastifyRequest, reply: FastifyReply, caller: Caller): Call {
  const { project, id = '', key = '' } = request.params as Record<string, string>
  reply.header('x-compute-request-id', caller.requestId)
  const minor = microversion(header(request, 'openstack-api-version'))
  reply.headers({ 'openstack-api-version': `volume 3.${minor}`, vary: 'OpenStack-API-Version' })
  if (project !== undefined && project !== caller.projectId) throw badRequest('Malformed request url')
  const query = request.query as Query
  return { cloud, caller, minor, query, body: request.body, id, key, base: `http://${request.host}/volume` }
}

/** The N of `OpenStack-API-Version: volume 3.N`; without the header 3.0. */
function microversion(text = ''): number {
  const version = text
    .split(',')
    .map(part => part.trim().split(/\s+/))
    .find(([service]) => service === 'volume')?.[1]
  if (version === undefined) return 0
  if (version === 'latest') return MINOR_MAX
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(version) ?? []
  if (major === undefined) {
    throw badRequest(`API Version String ${version} is of invalid format. Must be of format MajorNum.MinorNum.`)
  }
  if (major === '3' && Number(minor) <= MINOR_MAX) return Number(minor)
  throw new Refusal(
    406,
    `Version ${version} is not supported by the API. Minimum is 3.0 and maximum is 3.${MINOR_MAX}.`
  )
}

function versionRoutes(app: FastifyInstance): void {
  const body = (request: FastifyRequest): object => ({
    versions: [
      {
        id: 'v3.0',
        status: 'CURRENT',
        version: `3.${MINOR_MAX}`,
        min_version: '3.0',
        updated: '2022-08-31T00:00:00Z',
        links: [
          { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
          { rel: 'self', href: `http://${request.host}/volume/v3/` }
        ],
        'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }]
      }
    ]
  })
  app.get('/', async (request, reply) => send(reply, 300, body(request)))
  for (const path of ['/v3/', '/v3']) app.get(path, async (request, reply) => send(reply, 200, body(request)))
}
