import { setTimeout as pause } from 'node:timers/promises'
import fastify, { type FastifyInstance } from 'fastify'
import { cinderRoutes } from './cinder.ts'
import { type Clock, Cloud, type CloudOptions } from './cloud.ts'
import { keystoneRoutes } from './keystone-routes.ts'
import { messageRoutes, quotaRoutes, snapshotRoutes, transferRoutes, typeRoutes } from './project-routes.ts'
import { badRequest, Refusal } from './refusal.ts'
import { sandboxRoutes } from './sandbox-routes.ts'
import { PASSWORD } from './seed.ts'
import { volumeRoutes } from './volume-routes.ts'

export interface SandboxOptions extends Partial<CloudOptions> {
  readonly host?: string
  /** 0, the default: any free one. */
  readonly port?: number
}

export interface Sandbox {
  readonly url: string
  /** Keystone's, as clouds.yaml wants it. */
  readonly authUrl: string
  /** The cloud behind it, to look into and to drive; another one after a reset. */
  readonly cloud: Cloud
  /** Back to how it started: the same projects, users and golden snapshots, and nothing else. */
  reset(): void
  close(): Promise<void>
}

/** The machine's own time. */
const systemClock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => await pause(ms, undefined, { signal })
}

/** A Keystone and a Cinder over HTTP, with a cloud of their own behind them. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { host = '127.0.0.1', port = 0, ...rest } = options
  const newCloud = (): Cloud => new Cloud({ clock: systemClock, ...rest })
  let cloud = newCloud()
  const reset = (): void => {
    cloud.close()
    cloud = newCloud()
  }
  const app = serve(() => cloud, reset)
  const url = await app.listen({ host, port })
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

function serve(cloud: () => Cloud, reset: () => void): FastifyInstance {
  // A call that hangs must not keep the server from closing.
  const app = fastify({ forceCloseConnections: true, bodyLimit: 1 << 20 })
  app.removeAllContentTypeParsers()
  const open = (prefix: string, onOther: (type: string) => undefined, define: (app: FastifyInstance) => void): void => {
    void app.register(
      async scope => {
        scope.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
          const type = request.headers['content-type'] ?? ''
          try {
            done(null, /json/.test(type) ? parse(String(body)) : body === '' ? undefined : onOther(type))
          } catch (error) {
            done(error instanceof Error ? error : new Error(String(error)))
          }
        })
        define(scope)
      },
      { prefix }
    )
  }
  open(
    '/identity',
    () => undefined,
    scope => keystoneRoutes(scope, cloud)
  )
  open('/volume', refuseType, scope =>
    cinderRoutes(scope, cloud, route => {
      for (const define of [volumeRoutes, transferRoutes, snapshotRoutes, typeRoutes, quotaRoutes, messageRoutes])
        define(route)
    })
  )
  open(
    '/sandbox',
    () => undefined,
    scope => sandboxRoutes(scope, cloud, reset)
  )
  return app
}

/** As a real Cinder does: it stumbles where the header is missing. */
function refuseType(type: string): undefined {
  throw type === ''
    ? new Refusal(500, 'The server has either erred or is incapable of performing the requested operation.')
    : new Refusal(415, 'Unsupported Content-Type')
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    throw badRequest('Malformed request body')
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
