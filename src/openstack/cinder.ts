import { CloudError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import type { Endpoint, Endpoints } from './endpoint.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import type { Http, LimitedCall, Request } from './http.ts'

/** With which token requests are made, and whether there is another one when it is refused. */
export type Authorised = <T>(call: LimitedCall, work: (token: string) => Promise<T>) => Promise<T>

export interface CinderRequest {
  readonly operation: string
  readonly method: Request['method']
  /** Below the project, with its slash. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  readonly secrets?: readonly string[]
}

export interface Listing<T> {
  readonly operation: string
  readonly path: string
  /** The name of the list in the answer. */
  readonly key: string
  readonly query: Readonly<Record<string, string | undefined>>
  readonly read: (item: Fields) => T
  /** What the query sorts by, ascending; no two items have the same. */
  readonly orderOf: (item: T) => string
}

const PAGES_MAX = 1_000
const RESTARTS_MAX = 5

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
  async order(request: CinderRequest, call: Call): Promise<void> {
    await this.#run(request, call, (wire, limited) => this.#http.send(wire, limited))
  }

  async ask<T>(request: CinderRequest, call: Call, read: (body: Fields) => T): Promise<T> {
    return await this.#run(request, call, (wire, limited) => this.#http.ask(wire, limited, read))
  }

  /** The microversion's second number. */
  async minor(call: Call): Promise<number> {
    return await this.#http.within(call, async limited => (await this.#endpoints.endpoint(limited)).minor)
  }

  /** Page after page in order, nothing twice. Each page has the time limit to itself, and none is kept. */
  async *pages<T extends { readonly id: string }>(
    { operation, path, key, query, read, orderOf }: Listing<T>,
    call: Call
  ): AsyncGenerator<T[]> {
    let given = '' // As far as this.
    let marker: string | undefined
    for (let page = 0, restarts = 0; page < PAGES_MAX; page++) {
      const request: CinderRequest = { operation, method: 'GET', path, query: { ...query, marker } }
      const readPage = (body: Fields) => ({ items: body.list(key).map(read), isLast: !hasNext(body, key) })
      let answer: { items: T[]; isLast: boolean }
      try {
        answer = await this.ask(request, call, readPage)
      } catch (error) {
        // What the page should start after was deleted meanwhile: from the beginning, without those given.
        if (marker === undefined || !isCloudError(error, 'not_found')) throw error
        if (++restarts > RESTARTS_MAX) throw listFailure(operation, 'changes faster than it can be read', error)
        marker = undefined
        continue
      }
      const fresh = answer.items.filter(item => orderOf(item) > given)
      if (!isAscending(fresh.map(orderOf))) throw listFailure(operation, 'is not in the order that was asked for')
      const last = fresh.at(-1)
      if (last) {
        given = orderOf(last)
        yield fresh
      }
      marker = answer.items.at(-1)?.id
      if (answer.isLast || marker === undefined) return
    }
    throw listFailure(operation, `has more than ${PAGES_MAX} pages`)
  }

  async #run<T>(
    request: CinderRequest,
    call: Call,
    send: (request: Request, call: LimitedCall) => Promise<T>
  ): Promise<T> {
    return await this.#http.within(call, async limited => {
      const endpoint = await this.#endpoints.endpoint(limited)
      try {
        return await this.#authorised(limited, token => send(this.#wire(request, endpoint, token), limited))
      } catch (error) {
        if (error instanceof CloudError && error.status === 406) this.#endpoints.forget(endpoint.root)
        throw error
      }
    })
  }

  #wire({ path, query, ...request }: CinderRequest, { root, minor }: Endpoint, token: string): Request {
    return {
      ...request,
      service: 'cinder',
      url: `${root}/v3/${this.projectId}${path}${query ? searchOf(query) : ''}`,
      headers: { 'x-auth-token': token, 'openstack-api-version': `volume 3.${minor}` },
      idempotent: request.method !== 'POST'
    }
  }
}

function searchOf(query: Readonly<Record<string, string | undefined>>): string {
  let search = ''
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search += `${search === '' ? '?' : '&'}${key}=${encodeURIComponent(value)}`
  }
  return search
}

function hasNext(body: Fields, key: string): boolean {
  const links = `${key}_links`
  return body.has(links) && body.list(links).some(link => link.optionalText('rel') === 'next')
}

const isAscending = (keys: readonly string[]): boolean => keys.every((key, index) => (keys[index - 1] ?? '') < key)

const listFailure = (operation: string, what: string, cause?: unknown): CloudError =>
  new CloudError('failed', `Cinder: the list ${what} (${operation})`, { cause })
