import fastify, { type FastifyInstance, type FastifyPluginCallback, type FastifyRequest } from 'fastify'
import { cinderRoutes } from './cinder.ts'
import type { CloudOptions } from './cloud.ts'
import { keystoneRoutes } from './keystone-routes.ts'
import { messageRoutes, quotaRoutes, typeRoutes } from './project-routes.ts'
import { badRequest, INTERNAL, notExpected, Refusal } from './refusal.ts'
import { sandboxRoutes } from './sandbox-routes.ts'
import { PASSWORD, SeededCloud } from './seed.ts'
import { snapshotRoutes } from './snapshot-routes.ts'
import { transferRoutes } from './transfer-routes.ts'
import { volumeRoutes } from './volume-routes.ts'
import { originOf, send } from './wire.ts'

export interface SandboxOptions extends CloudOptions {
  readonly host?: string
  /** 0, the default: any free one. */
  readonly port?: number
  /** What the path begins with, as behind a proxy: `/srv1`. */
  readonly pathPrefix?: string
}

export interface Sandbox {
  readonly url: string
  /** Keystone's, as clouds.yaml wants it. */
  readonly authUrl: string
  /** The cloud behind it, to look into and to drive; another one after a reset. */
  readonly cloud: SeededCloud
  /** Back to how it started: the same projects, users and golden snapshots, and nothing else. */
  reset(): void
  close(): Promise<void>
}

/** A Keystone and a Cinder over HTTP, with a cloud of their own behind them. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { host = '127.0.0.1', port = 0, pathPrefix = '', ...rest } = options
  const newCloud = (): SeededCloud => new SeededCloud(rest)
  let cloud = newCloud()
  const reset = (): void => {
    cloud.close()
    cloud = newCloud()
  }
  const app = sandboxApp(() => cloud, reset, pathPrefix)
  const url = (await app.listen({ host, port })) + pathPrefix
  return {
    url,
    authUrl: `${url}/identity/v3`,
    get cloud() {
      return cloud
    },
    reset,
    close: async () => {
      cloud.close()
      await app.close()
    }
  }
}

/** What answers for a cloud, whether it listens somewhere or requests are injected. */
export function sandboxApp(cloud: () => SeededCloud, reset: () => void, pathPrefix = ''): FastifyInstance {
  // A call that hangs must not keep the server from closing.
  const app = fastify({
    forceCloseConnections: true,
    rewriteUrl: ({ url = '/' }) => (url.startsWith(`${pathPrefix}/`) ? url.slice(pathPrefix.length) : url),
    routerOptions: { querystringParser: text => Object.fromEntries(new URLSearchParams(text)) }
  })
  const mount = (prefix: string, define: (scope: FastifyInstance) => void): void => {
    const plugin: FastifyPluginCallback = (scope, _options, done) => {
      scope.removeAllContentTypeParsers()
      scope.addContentTypeParser('*', { parseAs: 'string' }, async (request: FastifyRequest, text: string) =>
        parseBody(prefix === '/volume' ? cloud() : undefined, request.headers['content-type'], text)
      )
      define(scope)
      done()
    }
    void app.register(plugin, { prefix })
  }
  mount('/identity', scope => keystoneRoutes(scope, cloud))
  mount('/volume', scope => cinderRoutes(scope, cloud, CINDER))
  mount('', commandLineRoutes)
  mount('/sandbox', scope => sandboxRoutes(scope, cloud, reset))
  return app
}

const CINDER = [volumeRoutes, transferRoutes, snapshotRoutes, typeRoutes, quotaRoutes, messageRoutes]

/** `openstack` asks for images before it makes a volume, and Nova before it shows a quota: both are here, and empty. */
function commandLineRoutes(app: FastifyInstance): void {
  app.get('/image', (request, reply) => {
    const links = [{ rel: 'self', href: `${originOf(request)}/image/v2/` }]
    return send(reply, 300, { versions: [{ id: 'v2.9', status: 'CURRENT', links }] })
  })
  app.get('/compute/v2.1/os-quota-sets/*', (_request, reply) => send(reply, 200, { quota_set: {} }))
  app.get('/compute/v2.1/servers/detail', (_request, reply) => send(reply, 200, { servers: [] }))
}

/** Each service refuses what is not JSON. Where the header is missing Cinder stumbles, and Keystone takes it for JSON. */
function parseBody(cinder: SeededCloud | undefined, type = '', text = ''): unknown {
  if (text === '') return undefined
  if (type === '' && cinder) throw new Refusal(500, INTERNAL)
  if (type !== '' && !type.includes('json')) {
    throw cinder
      ? new Refusal(cinder.traits.mediaTypeStatus, 'Unsupported Content-Type')
      : notExpected('application/json in Content-Type header')
  }
  try {
    return JSON.parse(text)
  } catch {
    throw cinder ? badRequest('Malformed request body') : notExpected('valid JSON in request body')
  }
}

/** A clouds.yaml with one entry a user, named after it. */
export function cloudsYaml({ authUrl }: Pick<Sandbox, 'authUrl'>): string {
  const entry = (user: string, project: string): string => `  ${user}:
    auth:
      auth_url: ${authUrl}
      username: ${user}
      password: ${PASSWORD}
      project_name: ${project}
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    interface: public
    identity_api_version: 3
    volume_api_version: 3
`
  return `clouds:\n${[
    entry('pool-svc', 'pool'),
    entry('tenant-a-user', 'tenant-a'),
    entry('tenant-b-user', 'tenant-b'),
    entry('admin', 'pool')
  ].join('')}`
}
