import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import { requireToken } from './identity.ts'
import { translated } from './languages.ts'
import type { Caller } from './model.ts'
import type { Query } from './paging.ts'
import { badRequest, cinderBody, noSuchPath, PlainRefusal, type Refusal } from './refusal.ts'
import { once, type Stepwise } from './steps.ts'
import { versionOf, versionRoutes } from './versions.ts'
import type { Viewer } from './views.ts'
import { answerErrors, type Exchange, header, type Method, originOf, type Request, serve } from './wire.ts'

/** One call to Cinder, after its token, microversion and project were checked. */
export interface Call extends Viewer {
  readonly cloud: Cloud
  readonly query: Query
  readonly acceptLanguage: string | undefined
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
    const mounts = [
      ['v3', '/v3/:project'],
      ['v3', '/v3'],
      ['v2', '/v2/:project']
    ] as const
    for (const [version, prefix] of mounts) {
      serve(app, cloud, [method, prefix + path], named, exchange => {
        const result: Stepwise<unknown> = act(callOf(exchange, version))
        return once(result, body => ({ status: statusOf(exchange.request.body), body }))
      })
    }
  }
  answerErrors(app, cinderBody, (refusal, request, reply) => inItsWords(cloud(), refusal, request, reply))
  app.setNotFoundHandler(request => {
    requireToken(cloud(), header(request, 'x-auth-token'))
    throw noSuchPath()
  })
  versionRoutes(app, cloud)
  for (const define of parts) define(route)
}

/** Releases differ in more than the words. */
function inItsWords(cloud: Cloud, refusal: Refusal, request: FastifyRequest, reply: FastifyReply): Refusal {
  const { traits } = cloud
  const said = reply.getHeader(MICROVERSION)
  if (typeof said === 'string' && !traits.namesServiceInErrors) reply.header(MICROVERSION, said.replace('volume ', ''))
  if (refusal.status !== 401 || !traits.refusesTokensInPlainText) return translated(cloud, refusal, request)
  return new PlainRefusal(401, 'text/plain; charset=UTF-8', 'Authentication required')
}

const MICROVERSION = 'openstack-api-version'

/** The token is checked first, by the middleware before Cinder, then the microversion, then the path. */
function callOf({ cloud, request, reply, requestId, strike }: Exchange, version: 'v2' | 'v3'): Call {
  const { user, project, roles } = requireToken(cloud, header(request, 'x-auth-token'))
  const projectId = project?.id ?? ''
  const caller: Caller = {
    userId: user.id,
    projectId,
    roles,
    requestId,
    globalRequestId: cloud.traits.takesRequestIds ? globalId(request) : undefined,
    strike
  }
  reply.headers({ 'x-compute-request-id': requestId, vary: 'OpenStack-API-Version' })
  const { minor, said } = versionOf(cloud, request)
  reply.header(MICROVERSION, `volume ${said}`)
  const { project: named, id = '', key = '' } = request.params
  if (named === undefined && !cloud.traits.projectMayBeLeftOut) throw noSuchPath()
  const wanted = named ?? projectId
  if (wanted !== projectId) throw badRequest('Malformed request url')
  return {
    cloud,
    caller,
    minor,
    query: request.query,
    acceptLanguage: header(request, 'accept-language'),
    body: request.body,
    id,
    key,
    base: `${originOf(request)}/volume`,
    version
  }
}

/** A client's own id for what it does, kept beside Cinder's. */
function globalId(request: Request): string | undefined {
  const id = header(request, 'x-openstack-request-id')
  return id && /^req-[0-9a-f-]{36}$/i.test(id) ? id : undefined
}
