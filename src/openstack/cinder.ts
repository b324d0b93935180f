import { CloudError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import { type Endpoint, type Endpoints, versionHeader } from './endpoint.ts'
import type { Request } from './exchange.ts'
import type { Fields } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'

/** With which token requests are made, and whether there is another one when it is refused. */
export type Authorised = <T>(call: LimitedCall, work: (token: string) => Promise<T>) => Promise<T>

export interface CinderRequest {
  readonly operation: string
  readonly method: Request['method']
  /** Below the project, with its slash. */
  readonly path: string
  readonly query?: Query
  readonly body?: unknown
  readonly secrets?: readonly string[]
  readonly mayBeMissing?: boolean
  /** N of the microversion 3.N to ask for, where it is to be a lower one than for all else. */
  readonly minor?: number
}

export type Query = Readonly<Record<string, string | undefined>>

/** What differs from one release to another is asked for by what this Cinder speaks. */
type Asked = CinderRequest | ((endpoint: Endpoint) => CinderRequest)

/**
 * Roles that Cinder keeps to their project. Any other may be one that its policy takes for an admin's, whose tokens reach every
 * project's volumes by id (context_is_admin, by default the role admin).
 */
const CONFINED_ROLES: readonly string[] = ['reader', 'member', 'manager', '_member_', 'user']

export const isConfined = (roles: readonly string[]): boolean =>
  roles.every(role => CONFINED_ROLES.includes(role.toLowerCase()))

/** Cinder in one project. */
export class Cinder {
  readonly projectId: string
  /** Cinder itself shows and changes nothing of other projects with this token. */
  readonly isConfined: boolean
  readonly #http: Http
  readonly #endpoints: Endpoints
  readonly #authorised: Authorised

  constructor(
    { id, roles }: { id: string; roles: readonly string[] },
    http: Http,
    endpoints: Endpoints,
    authorised: Authorised
  ) {
    this.projectId = id
    this.isConfined = isConfined(roles)
    this.#http = http
    this.#endpoints = endpoints
    this.#authorised = authorised
  }

  /** Asks for something to be done; what the answer says does not matter. */
  async order(asked: Asked, call: Call): Promise<void> {
    await this.#run(asked, call, (wire, limited) => this.#http.send(wire, limited))
  }

  async ask<T>(asked: Asked, call: Call, read: (body: Fields) => T): Promise<T> {
    return await this.#run(asked, call, (wire, limited) => this.#http.ask(wire, limited, read))
  }

  /** How it is spoken to. */
  async endpoint(call: Call): Promise<Endpoint> {
    return await this.within(call, limited => this.#endpoints.endpoint(limited))
  }

  /** Under the time limit of one call. */
  async within<T>(call: Call, work: (call: LimitedCall) => Promise<T>): Promise<T> {
    return await this.#http.within(call, work)
  }

  keepToBuiltInFilters({ root }: Endpoint): void {
    this.#endpoints.keepToBuiltInFilters(root)
  }

  async #run<T>(asked: Asked, call: Call, send: (request: Request, call: LimitedCall) => Promise<T>): Promise<T> {
    return await this.within(call, async limited => {
      const ask = async (endpoint: Endpoint): Promise<T> =>
        await this.#authorised(limited, token => send(this.#wire(asked, endpoint, token), limited))
      const endpoint = await this.#endpoints.endpoint(limited)
      try {
        return await ask(endpoint)
      } catch (error) {
        if (!(error instanceof CloudError && error.status === 406)) throw error
      }
      // It speaks this microversion no more, and said so before it did anything: whatever was asked for may be asked again.
      this.#endpoints.forget(endpoint)
      return await ask(await this.#endpoints.endpoint(limited))
    })
  }

  #wire(asked: Asked, endpoint: Endpoint, token: string): Request {
    const { path, query, minor = endpoint.minor, ...request } = typeof asked === 'function' ? asked(endpoint) : asked
    const { root, version } = endpoint
    return {
      ...request,
      service: 'cinder',
      url: `${root}/${version}/${this.projectId}${path}${query ? searchOf(query) : ''}`,
      headers: { 'x-auth-token': token, ...versionHeader(version, Math.min(minor, endpoint.minor)) },
      idempotent: request.method !== 'POST'
    }
  }
}

function searchOf(query: Query): string {
  let search = ''
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search += `${search === '' ? '?' : '&'}${key}=${encodeURIComponent(value)}`
  }
  return search
}
