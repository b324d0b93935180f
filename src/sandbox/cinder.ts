import type { FastifyInstance } from 'fastify'
import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import { requireToken } from './identity.ts'
import type { Caller } from './model.ts'
import type { Query } from './paging.ts'
import { badRequest, cinderBody, Refusal } from './refusal.ts'
import type { Viewer } from './views.ts'
import { answerErrors, type Exchange, header, type Method, type Request, send, serve } from './wire.ts'

const MINOR_MAX = 70

/** One call to Cinder, after its token, microversion and project were checked. */
export interface Call extends Viewer {
  readonly cloud: Cloud
  readonly query: Query
  readonly body: unknown
  readonly id: string
  readonly key: string
}

/** How a path is served: as which operation, with which status when all is well, and with what body. */
export type Route = (
  method: Method,
  path: string,
  operation: Operation | ((body: unknown) => Operation),
  status: number | ((body: unknown) => number),
  act: (call: Call) => unknown
) => void

/** Cinder's side of each request: ids, microversion, token, project, and errors in its words. */
export function cinderRoutes(
  app: FastifyInstance,
  cloud: () => Cloud,
  parts: readonly ((route: Route) => void)[]
): void {
  const route: Route = (method, path, operation, status, act) => {
    const named = typeof operation === 'string' ? (): Operation => operation : operation
    const statusOf = typeof status === 'number' ? (): number => status : status
    // Since Yoga the project may be left out of the path.
    for (const prefix of ['/v3/:project', '/v3']) {
      serve(app, cloud, [method, prefix + path], named, exchange => {
        const body = act(callOf(exchange))
        return { status: statusOf(exchange.request.body), body }
      })
    }
  }
  answerErrors(app, cinderBody)
  app.setNotFoundHandler((request, reply) => {
    requireToken(cloud(), header(request, 'x-auth-token'))
    send(reply, 404, cinderBody(new Refusal(404, 'The resource could not be found.')))
  })
  versionRoutes(app)
  for (const define of parts) define(route)
}

/** The token is checked first, by the middleware before Cinder, then the microversion, then the path. */
function callOf({ cloud, request, reply, requestId, strike }: Exchange): Call {
  const { user, project, roles } = requireToken(cloud, header(request, 'x-auth-token'))
  const projectId = project?.id ?? ''
  const caller: Caller = { userId: user.id, projectId, roles, requestId, globalRequestId: globalId(request), strike }
  reply.headers({ 'x-compute-request-id': requestId, vary: 'OpenStack-API-Version' })
  const minor = microversion(header(request, 'openstack-api-version'))
  reply.header('openstack-api-version', `volume 3.${minor}`)
  const { project: wanted = projectId, id = '', key = '' } = request.params
  if (wanted !== projectId) throw badRequest('Malformed request url')
  return {
    cloud,
    caller,
    minor,
    query: request.query,
    body: request.body,
    id,
    key,
    base: `http://${request.host}/volume`
  }
}

/** A client's own id for what it does, kept beside Cinder's. */
function globalId(request: Request): string | undefined {
  const id = header(request, 'x-openstack-request-id')
  return id && /^req-[0-9a-f-]{36}$/i.test(id) ? id : undefined
}

/** The N of `OpenStack-API-Version: volume 3.N`; without the header 0. */
function microversion(text = ''): number {
  const versions = text.split(',').map(part => part.trim().split(/\s+/))
  const version = versions.find(([service]) => service === 'volume')?.[1]
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
  const body = (host: string): object => ({
    versions: [
      {
        id: 'v3.0',
        status: 'CURRENT',
        version: `3.${MINOR_MAX}`,
        min_version: '3.0',
        updated: '2022-08-31T00:00:00Z',
        links: [{ rel: 'self', href: `http://${host}/volume/v3/` }],
        'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }]
      }
    ]
  })
  app.get('/', (request, reply) => send(reply, 300, body(request.host)))
  for (const path of ['/v3/', '/v3']) app.get(path, (request, reply) => send(reply, 200, body(request.host)))
}
