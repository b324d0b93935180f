import { join } from 'node:path'
import helmet from '@fastify/helmet'
import serveStatic from '@fastify/static'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import type { Role } from '../config/schema.ts'
import { PACKAGE_ROOT } from '../package-root.ts'
import { stopping } from '../pool/errors.ts'
import { authenticator, type Caller, requireRole } from './access.ts'
import type { AppOptions } from './app-options.ts'
import { claimRoutes } from './claims.ts'
import { healthRoutes } from './health.ts'
import { imageRoutes } from './images.ts'
import { describe } from './openapi.ts'
import { refuseOtherSites } from './origins.ts'
import { poolRoutes } from './pools.ts'
import { answerBadUrl, answerNoHttp, answerProblems } from './problem.ts'
import { createRateLimit } from './rate-limit.ts'
import { SHARED_SCHEMAS } from './schemas.ts'
import { spareRoutes } from './spares.ts'
import { takeOnlyJson, validateStrictly } from './strictness.ts'
import { tickRoutes } from './ticks.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before the handler of each route that names its roles. */
    caller: Caller
  }
  interface FastifyContextConfig {
    /** Who may call the route, besides admin; absent: everybody, without a token. */
    roles?: readonly Role[]
    /** The route needs no token and still costs something: requests count by address. */
    limitsStrangers?: true
  }
}

export type App = FastifyInstance

/** What one client may use, however slow it is. */
const BODY_BYTES_MAX = 64 * 1024
const HEADER_BYTES_MAX = 16 * 1024
const HEAD_MS_MAX = 15_000
/** Head and body together. */
const REQUEST_MS_MAX = 30_000
/** Without a byte in either direction: longer than any request may take. */
const SILENT_MS_MAX = 15 * 60_000
const CHECKED_EACH_MS = 1000

/** The REST interface: schema in, operation, view out. */
export async function createApp(options: AppOptions): Promise<App> {
  const { deps, log } = options
  const { server } = options.config
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: logger => logger, // A logger for each request would cost more than it ever logs.
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    keepAliveTimeout: server.keep_alive_seconds * 1000,
    connectionTimeout: SILENT_MS_MAX,
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEAD_MS_MAX,
      connectionsCheckingInterval: CHECKED_EACH_MS
    },
    // The client is the last address in `X-Forwarded-For` that is none of these proxies. Nobody else may name it.
    trustProxy: server.trusted_proxies.length > 0 && [...server.trusted_proxies],
    requestIdHeader: false,
    genReqId: ({ headers }) => requestId(headers['x-openstack-request-id'], deps.newId),
    return503OnClosing: false,
    frameworkErrors: answerBadUrl,
    clientErrorHandler: (error, socket) => answerNoHttp(error, socket, requestId(undefined, deps.newId)),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 }
  }).withTypeProvider<TypeBoxTypeProvider>()
  validateStrictly(app)
  // The views' types, and a test of every answer, keep answers to their schemas.
  app.setSerializerCompiler(() => JSON.stringify)
  takeOnlyJson(app)
  answerProblems(app)
  await addHooks(app, options)
  for (const schema of SHARED_SCHEMAS) app.addSchema(schema)
  await app.register(helmet, { contentSecurityPolicy: { useDefaults: false, directives: CONTENT_POLICY }, hsts: false })
  await describe(app)
  await app.register(serveStatic, { root: join(PACKAGE_ROOT, 'public'), wildcard: false, maxAge: 0 })
  for (const routes of [claimRoutes, poolRoutes, spareRoutes, tickRoutes, imageRoutes, healthRoutes]) {
    await app.register(routes, options)
  }
  return app
}

const CONTENT_POLICY = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'style-src': ["'self'", "'unsafe-inline'"], // The documentation page sets its own styles.
  'frame-ancestors': ["'none'"]
}

const REQUEST_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** OpenStack's form of a request id. One that comes in is kept, so that a request can be followed through all logs. */
const requestId = (given: string | string[] | undefined, newId: () => string): string =>
  typeof given === 'string' && REQUEST_ID.test(given) ? given : `req-${newId()}`

async function addHooks(app: FastifyInstance, { config, deps, underWay, log }: AppOptions): Promise<void> {
  const authenticate = authenticator(config.access, deps.cloud)
  const refuseIfOtherSites = refuseOtherSites(config)
  const limit = await createRateLimit(app, config.server.rate_limit)
  app.decorateRequest('caller')
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-openstack-request-id', request.id)
    refuseIfOtherSites(request)
    const { roles, limitsStrangers } = request.routeOptions.config
    if (limitsStrangers) await limit?.countByAddress(request)
    if (!roles) return
    if (deps.isStopping()) throw stopping()
    if (!limit?.knows(request)) await limit?.countByAddress(request)
    request.caller = await underWay.run(config.openstack.timeout_seconds * 1000, signal =>
      authenticate(request, { requestId: request.id, signal })
    )
    await limit?.countByCaller(request)
    requireRole(request.caller, roles)
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, url, ip, id } = request
    const fields = { request_id: id, method, url: url.split('?', 1)[0], ip, status: reply.statusCode }
    log.debug({ ...fields, ms: Math.round(reply.elapsedTime) }, 'request answered')
  })
  // Else a connection that is kept alive would hold up the stop.
  app.addHook('onSend', async (_request, reply) => {
    if (deps.isStopping()) void reply.header('connection', 'close')
  })
}
