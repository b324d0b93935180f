import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse
} from 'node:http'
import { createServer as createSecureServer, type ServerOptions } from 'node:https'
import type { RequestReport } from '../../src/openstack/exchange.ts'
import { type ConnectOptions, connect, type OpenStack } from '../../src/openstack/openstack.ts'
import { type CloudSettings, cloudSettings, type OpenStackConfig } from '../../src/openstack/settings.ts'
import type { Call } from '../../src/pool/ports.ts'
import { ManualClock } from './manual-clock.ts'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
}

export interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Text goes out as it is, anything else as JSON. */
  readonly body?: unknown
}

/** As much of a test's context as is needed here. */
export interface Test {
  onTestFinished: (end: () => Promise<void>) => void
}

/** `hang` never answers, `reset` cuts the connection. */
export type Script = Reply | 'hang' | 'reset' | ((seen: Seen) => Reply | Promise<Reply>)

export const CALL: Call = { requestId: 'req-00000000-0000-4000-8000-000000000001' }
export const POOL = 'aaaa0000000000000000000000000001'
export const TENANT = 'bbbb0000000000000000000000000002'

/** What a web server says of an address that it does not know. */
export const PAGE = '<html><title>404 Not Found</title><h1>Not Found</h1></html>'
const PROJECT = /^\/volume\/v[23]\/[0-9a-f]+(?=\/)/

/** Keystone and Cinder that say what the test tells them to, word for word. */
export class ScriptedCloud {
  readonly seen: Seen[] = []
  readonly clock = new ManualClock()
  readonly reports: RequestReport[] = []
  readonly #server: Server
  readonly #scheme: 'http' | 'https'
  readonly #scripts = new Map<string, Script[]>()
  readonly #clients: OpenStack[] = []
  /** In seconds. */
  tokenLife = 3600
  #logins = 0

  constructor(tls?: ServerOptions) {
    const serve = (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response)
    this.#server = tls ? createSecureServer(tls, serve) : createServer(serve)
    this.#scheme = tls ? 'https' : 'http'
    this.on('POST /identity/v3/auth/tokens', seen => this.login(seen))
    this.offers('3.70')
  }

  static async start(test: Test, tls?: ServerOptions): Promise<ScriptedCloud> {
    const cloud = new ScriptedCloud(tls)
    await new Promise<void>(resolve => cloud.#server.listen(0, '127.0.0.1', resolve))
    test.onTestFinished(() => cloud.stop())
    return cloud
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the scripted cloud does not listen')
    return `${this.#scheme}://127.0.0.1:${address.port}`
  }

  /** What a route answers, in turn; the last answer stays. */
  on(route: string, ...scripts: Script[]): void {
    this.#scripts.set(route, scripts)
  }

  onCinder(route: string, ...scripts: Script[]): void {
    const [method, path] = route.split(' ')
    for (const version of ['v3', 'v2'])
      for (const project of [POOL, TENANT]) this.on(`${method} /volume/${version}/${project}${path}`, ...scripts)
  }

  /** The highest microversion of its Cinder; undefined: it has /v2 only. */
  offers(version: string | undefined): void {
    this.on('GET /volume/v3/', version === undefined ? { status: 404, body: PAGE } : { body: versions(version) })
    this.on('GET /volume/v2/', { body: { versions: [{ id: 'v2.0', status: 'DEPRECATED', version: '' }] } })
  }

  /** What was asked of Cinder since its version was, without the project's address. */
  get asked(): readonly (Seen & { route: string })[] {
    return this.seen
      .map(seen => ({ ...seen, route: `${seen.method} ${seen.path.replace(PROJECT, '')}` }))
      .filter(({ path }) => PROJECT.test(path))
  }

  count(route: string): number {
    return this.seen.filter(({ method, path }) => `${method} ${path}` === route).length
  }

  /** How often a route of Cinder was asked, in any project. */
  countCinder(route: string): number {
    return this.asked.filter(asked => asked.route === route).length
  }

  get logins(): number {
    return this.count('POST /identity/v3/auth/tokens')
  }

  /** Keystone's answer to a login that it likes. */
  login(seen: Seen, catalog: unknown = this.catalog()): Reply {
    const scoped = JSON.stringify(seen.body).includes(TENANT) ? TENANT : POOL
    return {
      status: 201,
      headers: { 'x-subject-token': `token-${++this.#logins}` },
      body: { token: { ...this.token(scoped), catalog } }
    }
  }

  token(projectId: string): Record<string, unknown> {
    const now = this.clock.now().getTime()
    return {
      user: { id: 'cccc', name: 'pool-svc' },
      project: { id: projectId, name: 'pool' },
      roles: [{ id: 'dddd', name: 'member' }],
      issued_at: new Date(now).toISOString(),
      expires_at: new Date(now + this.tokenLife * 1000).toISOString()
    }
  }

  catalog(): unknown[] {
    return [
      service('block-storage', endpoint(`${this.url}/volume/v3/${POOL}`)),
      service('identity', endpoint(this.url))
    ]
  }

  settings(more: Omit<OpenStackConfig, 'auth'> = {}): CloudSettings {
    const auth = {
      auth_url: `${this.url}/identity`,
      username: 'pool-svc',
      password: 'top-secret',
      user_domain_name: 'Default',
      project_id: POOL
    }
    return cloudSettings({ auth, ...more }, {})
  }

  connect(options: Partial<ConnectOptions> = {}): OpenStack {
    const { clock } = this
    const onRequest = (report: RequestReport) => void this.reports.push(report)
    const client = connect({ settings: this.settings(), clock, timeoutSeconds: 5, onRequest, ...options })
    this.#clients.push(client)
    return client
  }

  async stop(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await Promise.all([closed, ...this.#clients.map(client => client.close())])
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const { pathname: path, searchParams: query } = new URL(request.url ?? '/', this.url)
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    const seen: Seen = { method: request.method ?? '', path, query, headers: request.headers, body }
    this.seen.push(seen)
    const scripts = this.#scripts.get(`${seen.method} ${path}`) ?? [notFound(path)]
    const script = scripts.length > 1 ? scripts.shift() : scripts[0]
    if (script === 'hang') return
    if (script === 'reset' || script === undefined) {
      request.socket.destroy()
      return
    }
    const reply = typeof script === 'function' ? await script(seen) : script
    const isText = typeof reply.body === 'string'
    // As Cinder in Debian does it: no length, and a new connection for each request.
    response.writeHead(reply.status ?? 200, {
      'content-type': isText ? 'text/html' : 'application/json',
      connection: 'close',
      ...reply.headers
    })
    if (reply.body !== undefined) response.write(isText ? reply.body : JSON.stringify(reply.body))
    response.end()
  }
}

export const service = (type: string, ...endpoints: unknown[]): unknown => ({ type, name: type, endpoints })

export const endpoint = (url: string, name = 'public', region = 'RegionOne'): unknown => ({
  url,
  interface: name,
  region,
  region_id: region
})

export const versions = (version: string): unknown => ({
  versions: [{ id: 'v3.0', status: 'CURRENT', version, min_version: '3.0' }]
})

export const fault = (status: number, kind: string, message: string, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: { 'x-compute-request-id': 'req-cinder-1', 'x-openstack-request-id': 'req-cinder-1', ...headers },
  body: { [kind]: { code: status, message } }
})

const notFound = (path: string): Reply => fault(404, 'itemNotFound', `The resource ${path} could not be found.`)

/** A volume as Cinder writes it. */
export const volumeBody = (id: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  id,
  name: `spare-${id}`,
  status: 'available',
  size: 20,
  volume_type: 'ceph-ssd',
  snapshot_id: 'snapshot-1',
  metadata: {},
  attachments: [],
  created_at: '2026-11-22T11:27:53.000000',
  'os-vol-tenant-attr:tenant_id': POOL,
  ...more
})
