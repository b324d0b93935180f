import { CloudError } from '../pool/errors.ts'
import type { Call, Identity } from '../pool/ports.ts'
import { type Endpoint, type Endpoints, versionHeader } from './endpoint.ts'
import type { Request } from './exchange.ts'
import { undefinedAfter } from './failures.ts'
import type { Fields } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'

/** Runs work with a token, and again with another token where there is one and the first is refused. */
export type Authorised = <T>(call: LimitedCall, work: (token: string) => Promise<T>) => Promise<T>

export interface CinderRequest {
  readonly operation: string
  /** Default: GET. */
  readonly method?: Request['method']
  /** Below the project, with its slash. */
  readonly path: string
  readonly query?: Query
  readonly body?: unknown
  readonly secrets?: readonly string[]
  readonly mayBeMissing?: boolean
  /** N of the microversion 3.N to ask for, where it is a lower one than for all else. */
  readonly minor?: number
}

export type Query = Readonly<Record<string, string | undefined>>

/** What differs between releases depends on what this Cinder speaks. */
type Asked = CinderRequest | ((endpoint: Endpoint) => CinderRequest)

/**
 * Roles that Cinder keeps to their project. Its policy may take any other for an admin's, whose tokens reach every project's volumes
 * by id (context_is_admin, by default the role admin).
 */
const CONFINED_ROLES: readonly string[] = ['reader', 'member', 'manager', '_member_', 'user']

/** Cinder in one project. */
export class Cinder {
  readonly projectId: string
  readonly roles: readonly string[]
  /** Cinder itself shows and changes nothing of other projects with this token. */
  readonly isConfined: boolean
  readonly http: Http
  readonly endpoints: Endpoints
  readonly #authorised: Authorised

  constructor(token: Pick<Identity, 'projectId' | 'roles'>, http: Http, endpoints: Endpoints, as: Authorised) {
    this.projectId = token.projectId
    this.roles = token.roles
    this.isConfined = token.roles.every(role => CONFINED_ROLES.includes(role.toLowerCase()))
    this.http = http
    this.endpoints = endpoints
    this.#authorised = as
  }

  /** Asks for something to be done. The answer's body does not matter. */
  async order(asked: Asked, call: Call): Promise<void> {
    await this.#run(asked, call, (request, limited) => this.http.send(request, limited))
  }

  async ask<T>(asked: Asked, call: Call, read: (body: Fields) => T): Promise<T> {
    return await this.#run(asked, call, (request, limited) => this.http.ask(request, limited, read))
  }

  /** Undefined: it is not there. */
  async find<T>(asked: Asked, call: Call, read: (body: Fields) => T): Promise<T | undefined> {
    return await this.ask(asked, call, read).catch(undefinedAfter('not_found'))
  }

  async endpoint(call: Call): Promise<Endpoint> {
    return await this.http.within(call, limited => this.endpoints.endpoint(limited))
  }

  async #run<T>(asked: Asked, call: Call, send: (request: Request, call: LimitedCall) => Promise<T>): Promise<T> {
    return await this.http.within(call, async limited => {
      const ask = (endpoint: Endpoint): Promise<T> =>
        this.#authorised(limited, token => send(this.#toRequest(asked, endpoint, token), limited))
      const endpoint = await this.endpoints.endpoint(limited)
      try {
        return await ask(endpoint)
      } catch (error) {
        if (!(error instanceof CloudError && error.status === 406)) throw error
      }
      // It no longer speaks this microversion, and said so before it did anything: any request may be repeated.
      this.endpoints.forget(endpoint)
      return await ask(await this.endpoints.endpoint(limited))
    })
  }

  #toRequest(asked: Asked, endpoint: Endpoint, token: string): Request {
    const {
      path,
      query = {},
      minor = endpoint.minor,
      method = 'GET',
      ...request
    } = typeof asked === 'function' ? asked(endpoint) : asked
    const { root, version } = endpoint
    return {
      ...request,
      method,
      service: 'cinder',
      url: `${root}/${version}/${this.projectId}${path}${searchOf(query)}`,
      headers: { 'x-auth-token': token, ...versionHeader(version, Math.min(minor, endpoint.minor)) },
      idempotent: method !== 'POST'
    }
  }
}

function searchOf(query: Query): string {
  const given = Object.entries(query).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]
  )
  return given.length === 0 ? '' : `?${given.join('&')}`
}
