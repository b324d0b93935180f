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
import { keepDeadlines } from './deadline.ts'
import { healthRoutes } from './health.ts'
import { imageRoutes } from './images.ts'
import { describe } from './openapi.ts'
import { refuseOtherSites } from './origins.ts'
import { poolRoutes } from './pools.ts'
import { answerBadAddress, answerNoHttp, answerProblems } from './problem.ts'
import { createRateLimit, type RateLimit } from './rate-limit.ts'
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
    /** Who may call the route, besides admin; none named: everybody, without a token. */
    roles?: readonly Role[]
    /** Needs no token, and is not free for all that: whoever asks counts as a stranger. */
    limitsStrangers?: true
  }
}

export type App = FastifyInstance

const PUBLIC = join(PACKAGE_ROOT, 'public')

/** What one client may take of us, however slow it is. */
const BODY_BYTES_MAX = 64 * 1024
const HEADER_BYTES_MAX = 16 * 1024
/** A whole request, head and body: from one that sends a byte at a time too. */
const REQUEST_MS_MAX = 30_000
const HEAD_MS_MAX = 15_000
/** Without a byte either way, as from a client that reads no answer: longer than any request may take. */
const STILL_MS_MAX = 15 * 60_000
const CHECKED_EACH_MS = 1000

/** The REST interface: schema in, operation, view out. */
export async function createApp(options: AppOptions): Promise<App> {
  const { deps, log } = options
  const { server } = options.config
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: logger => logger, // One for each request would cost it more than it ever logs.
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    keepAliveTimeout: server.keep_alive_seconds * 1000,
    connectionTimeout: STILL_MS_MAX,
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEAD_MS_MAX,
      connectionsCheckingInterval: CHECKED_EACH_MS
    },
    // The client is then the last address in `X-Forwarded-For` that is none of these proxies; they alone may name it.
    trustProxy: server.trusted_proxies.length > 0 && [...server.trusted_proxies],
    requestIdHeader: false,
    genReqId: ({ headers }) => requestId(headers['x-openstack-request-id'], deps.newId),
    return503OnClosing: false,
    frameworkErrors: answerBadAddress,
    clientErrorHandler: (error, socket) => answerNoHttp(error, socket, requestId(undefined, deps.newId)),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 }
  }).withTypeProvider<TypeBoxTypeProvider>()
  validateStrictly(app)
  // Answers go as the views give them: their types, and a test of every answer, keep them to the schema.
  app.setSerializerCompiler(() => JSON.stringify)
  takeOnlyJson(app)
  answerProblems(app)
  addHooks(app, options, await createRateLimit(app, server.rate_limit))
  keepDeadlines(app, options)
  for (const schema of SHARED_SCHEMAS) app.addSchema(schema)
  await app.register(helmet, { contentSecurityPolicy: { useDefaults: false, directives: CONTENT_POLICY }, hsts: false })
  await describe(app, options.version)
  await app.register(serveStatic, { root: PUBLIC, wildcard: false, maxAge: 0 })
  await app.register(claimRoutes, options)
  await app.register(poolRoutes, options)
  await app.register(spareRoutes, options)
  await app.register(tickRoutes, options)
  await app.register(imageRoutes, options)
  await app.register(healthRoutes, options)
  return app
}

const CONTENT_POLICY = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'style-src': ["'self'", "'unsafe-inline'"], // The documentation page sets styles of its own.
  'frame-ancestors': ["'none'"]
}

const REQUEST_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** OpenStack's form of a request id; one that comes in is kept, so that a request can be followed through the logs. */
const requestId = (given: string | string[] | undefined, newId: () => string): string =>
  typeof given === 'string' && REQUEST_ID.test(given) ? given : `req-${newId()}`

function addHooks(app: FastifyInstance, { config, deps, underWay, log }: AppOptions, limit: RateLimit): void {
  const authenticate = authenticator(config.access, deps.cloud)
  const refuseIfOtherSites = refuseOtherSites(config)
  app.decorateRequest('caller')
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-openstack-request-id', request.id)
    refuseIfOtherSites(request)
    const { roles, limitsStrangers } = request.routeOptions.config
    if (limitsStrangers) await limit.anybody(request)
    if (!roles) return
    if (deps.isStopping()) throw stopping()
    await limit.stranger(request)
    request.caller = await underWay.run(config.openstack.timeout_seconds * 1000, signal =>
      authenticate(request, { requestId: request.id, signal })
    )
    await limit.caller(request)
    requireRole(request.caller, roles)
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, url, ip, id } = request
    const ms = Math.round(reply.elapsedTime)
    const path = url.split('?', 1)[0]
    log.debug({ request_id: id, method, url: path, ip, status: reply.statusCode, ms }, 'request answered')
  })
  // A kept-alive connection would hold up the stop until its client lets go of it.
  app.addHook('onSend', async (_request, reply) => {
    if (deps.isStopping()) void reply.header('connection', 'close')
  })
}
