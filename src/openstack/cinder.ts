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
export type Cinder = ReturnType<typeof cinderIn>

export function cinderIn(
  { projectId, roles }: Pick<Identity, 'projectId' | 'roles'>,
  http: Http,
  endpoints: Endpoints,
  authorised: Authorised
) {
  const toRequest = (asked: Asked, endpoint: Endpoint, token: string): Request => {
    const given = typeof asked === 'function' ? asked(endpoint) : asked
    const { path, query = {}, minor = endpoint.minor, method = 'GET', ...request } = given
    const { root, version } = endpoint
    return {
      ...request,
      method,
      service: 'cinder',
      url: `${root}/${version}/${projectId}${path}${searchOf(query)}`,
      headers: { 'x-auth-token': token, ...versionHeader(version, Math.min(minor, endpoint.minor)) },
      idempotent: method !== 'POST'
    }
  }

  const run = <T>(asked: Asked, call: Call, send: (request: Request, call: LimitedCall) => Promise<T>): Promise<T> =>
    http.within(call, async limited => {
      const sendTo = (endpoint: Endpoint): Promise<T> =>
        authorised(limited, token => send(toRequest(asked, endpoint, token), limited))
      const endpoint = await endpoints.endpoint(limited)
      return await sendTo(endpoint).catch(async (error: unknown) => {
        if (!(error instanceof CloudError && error.status === 406)) throw error
        // It no longer speaks this microversion, and said so before it did anything: any request may be repeated.
        endpoints.forget(endpoint)
        return await sendTo(await endpoints.endpoint(limited))
      })
    })

  const ask = <T>(asked: Asked, call: Call, read: (body: Fields) => T): Promise<T> =>
    run(asked, call, (request, limited) => http.ask(request, limited, read))

  return {
    projectId,
    roles,
    /** Cinder itself shows and changes nothing of other projects with this token. */
    isConfined: roles.every(role => CONFINED_ROLES.includes(role.toLowerCase())),
    http,
    endpoints,
    ask,
    /** Undefined: it is not there. */
    find: <T>(asked: Asked, call: Call, read: (body: Fields) => T): Promise<T | undefined> =>
      ask(asked, call, read).catch(undefinedAfter('not_found')),
    /** Asks for something to be done. The answer's body does not matter. */
    async order(asked: Asked, call: Call): Promise<void> {
      await run(asked, call, (request, limited) => http.send(request, limited))
    },
    endpoint: (call: Call): Promise<Endpoint> => http.within(call, limited => endpoints.endpoint(limited))
  }
}

function searchOf(query: Query): string {
  const given = Object.entries(query).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]
  )
  return given.length === 0 ? '' : `?${given.join('&')}`
}
