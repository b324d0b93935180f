import { CloudError } from '../pool/errors.ts'
import type { Clock } from '../pool/ports.ts'
import { type CatalogEndpoint, toCatalog } from './catalog.ts'
import type { Request } from './exchange.ts'
import { isCloudError } from './failures.ts'
import { type Fields, ShapeError } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'
import { endOf, type Login, loginBody, secretOf } from './login.ts'
import type { CloudSettings } from './settings.ts'
import { orAborted, Shared } from './waiting.ts'

export interface Token {
  readonly value: string
  readonly projectId: string
  readonly roles: readonly string[]
  readonly catalog: readonly CatalogEndpoint[]
}

/** What a login is for: the service's own project, or another one by its id. */
export type Scope = 'own' | { projectId: string }

/** A token, how long it is used, and from when on another one is fetched behind its back, by the clock that only goes forward. */
interface Held {
  readonly scope: Scope
  readonly token: Token
  readonly goodUntil: number
  readonly renewFrom: number
  isUsed: boolean
}

const EARLY_MS = 60_000
const AHEAD_MS = 300_000
const PAUSE_AFTER_FAILURE_MS = 15_000
const TOKENS_MAX = 1_000
const SECOND_OF_A_REVOCATION_MS = 1_000

const keyOf = (scope: Scope): string => (scope === 'own' ? 'own' : `project ${scope.projectId}`)

/** The service's logins: one token for each project, fetched once for all who wait, and renewed before it runs out. */
export class Keystone {
  readonly #settings: CloudSettings
  readonly #http: Http
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  readonly #logins = new Shared<Token>()
  #isRenewing = false
  #renewNotBefore = 0

  constructor(settings: CloudSettings, http: Http, clock: Clock) {
    this.#settings = settings
    this.#http = http
    this.#clock = clock
  }

  async token(scope: Scope, call: LimitedCall): Promise<Token> {
    return this.held(scope, call.requestId) ?? (await orAborted(this.#login(scope, call.requestId), call.signal))
  }

  /** The token that is there and good; undefined: `token` fetches one. */
  held(scope: Scope, requestId: string): Token | undefined {
    const now = this.#clock.monotonicMs()
    const held = this.#held.get(keyOf(scope))
    if (!held || now >= held.goodUntil) return undefined
    held.isUsed = true
    this.#renewAhead(now, requestId)
    return held.token
  }

  /**
   * Runs work with a token, and again with another one where it is refused: at once, and then after a second. Keystone revokes by the
   * second, so a token that it issues within the second of a revocation is never valid.
   */
  async withToken<T>(scope: Scope, call: LimitedCall, work: (token: Token) => Promise<T>): Promise<T> {
    let token = await this.token(scope, call)
    for (const pauseMs of [0, SECOND_OF_A_REVOCATION_MS]) {
      try {
        return await work(token)
      } catch (error) {
        if (!isCloudError(error, 'unauthenticated')) throw error
      }
      if (pauseMs > 0) await this.#clock.sleep(pauseMs, call.signal)
      if (this.#held.get(keyOf(scope))?.token.value === token.value) this.#held.delete(keyOf(scope))
      token = await this.token(scope, call)
    }
    return await work(token).catch(freshTokenRefused)
  }

  /** The projects in which our user has a role. */
  async projects(call: LimitedCall): Promise<{ id: string; name: string }[]> {
    return await this.withToken('own', call, async ({ value }) => {
      const request: Request = {
        service: 'keystone',
        operation: 'project_list',
        method: 'GET',
        url: `${this.#settings.authUrl}/auth/projects`,
        headers: { 'x-auth-token': value },
        idempotent: true,
        secrets: [value]
      }
      const read = (project: Fields) => ({ id: project.id('id'), name: project.text('name') })
      return await this.#http.ask(request, call, body => body.list('projects').map(read))
    })
  }

  /** By a token that is issued for this and not used: a proxy in front of Keystone would put its own time into a header. */
  async time(call: LimitedCall): Promise<Date> {
    return await this.#http.ask(this.#loginRequest('own'), call, body => body.object('token').time('issued_at'))
  }

  /** What Keystone says of one token when it is shown another. */
  async describe<T>(shown: string, subject: string, call: LimitedCall, read: (token: Fields) => T): Promise<T> {
    const request: Request = {
      service: 'keystone',
      operation: 'token_validate',
      method: 'GET',
      url: `${this.#settings.authUrl}/auth/tokens?nocatalog`,
      headers: { 'x-auth-token': shown, 'x-subject-token': subject },
      idempotent: true,
      secrets: [shown, subject]
    }
    return await this.#http.ask(request, call, body => read(body.object('token')))
  }

  /**
   * Fetches tokens that are about to run out, one after the other, so that no claim has to wait for a login. Only those
   * that were used: a project that nobody claims for any more is forgotten.
   */
  #renewAhead(now: number, requestId: string): void {
    if (this.#isRenewing || now < this.#renewNotBefore) return
    const due = [...this.#held.values()].find(held => held.isUsed && now >= held.renewFrom)
    if (!due) return
    this.#isRenewing = true
    this.#login(due.scope, requestId)
      .catch(() => {
        // Whoever needs the token once this one has run out is told; until then it still serves.
        this.#renewNotBefore = now + PAUSE_AFTER_FAILURE_MS
      })
      .finally(() => {
        this.#isRenewing = false
      })
  }

  /** Not under the signal of any one caller: the others wait for it as well. */
  #login(scope: Scope, requestId: string): Promise<Token> {
    return this.#logins.join(keyOf(scope), () =>
      this.#http
        .within({ requestId }, async call => {
          const request = this.#loginRequest(scope)
          const askedAt = this.#clock.monotonicMs()
          return await this.#http.ask(request, call, (body, answer) => {
            const token = body.object('token')
            return this.#hold(scope, toToken(answer.headers['x-subject-token'], token), askedAt, lifeOf(token))
          })
        })
        .catch((error: unknown) => {
          throw refusalOf(scope, error, this.#settings.login)
        })
    )
  }

  #loginRequest(scope: Scope): Request {
    const { login, authUrl } = this.#settings
    return {
      service: 'keystone',
      operation: 'token_issue',
      method: 'POST',
      url: `${authUrl}/auth/tokens`,
      body: { auth: this.#credentials(scope) },
      idempotent: true,
      secrets: [secretOf(login)]
    }
  }

  #credentials(scope: Scope): unknown {
    const { login } = this.#settings
    if (scope === 'own') return loginBody(login)
    if (login.kind === 'application_credential') throw boundToOneProject(scope.projectId)
    return loginBody(login, { project: { id: scope.projectId } })
  }

  /** Counts from our own clock, so that it need not agree with Keystone's. */
  #hold(scope: Scope, token: Token, askedAt: number, lifeMs: number): Token {
    const key = keyOf(scope)
    this.#held.delete(key)
    const [oldest] = this.#held.keys()
    if (oldest !== undefined && this.#held.size >= TOKENS_MAX) this.#held.delete(oldest)
    const goodUntil = askedAt + lifeMs - Math.min(EARLY_MS, lifeMs / 4)
    const renewFrom = askedAt + lifeMs - Math.min(AHEAD_MS, lifeMs / 2)
    this.#held.set(key, { scope, token, goodUntil, renewFrom, isUsed: false })
    return token
  }
}

/**
 * Of a login, so that nobody takes it for one of a caller's token, or, where Keystone does not find an application credential
 * or a trust that was deleted, for a volume's being gone.
 */
function refusalOf(scope: Scope, error: unknown, login: Login): unknown {
  if (!(error instanceof CloudError && isCloudError(error, 'unauthenticated', 'not_found'))) return error
  const { message, status } = error
  if (scope !== 'own') return new CloudError('project_refused', message, { status, cause: error })
  const end = endOf(login)
  const advice = end ? ` Note that ${end.found}: ${end.advice}.` : ''
  const words = `The service's own login is refused. ${message}${advice}`
  return new CloudError('login_refused', words, { status, cause: error })
}

/** No fault of the login, which Keystone has just let pass. */
function freshTokenRefused(error: unknown): never {
  if (!(error instanceof CloudError && error.code === 'unauthenticated')) throw error
  const { message, status } = error
  const what = 'The token of the service that was refused had only just been issued'
  throw new CloudError('unavailable', `${what}. ${message}`, { status, cause: error })
}

function boundToOneProject(projectId: string): CloudError {
  const what = 'The service logs in with an application credential, which is bound to its own project'
  const advice = `let the caller claim with a token of its own, or give the service a user with a password and a role there`
  return new CloudError('project_refused', `${what} and cannot reach project ${projectId}: ${advice}.`)
}

/** In milliseconds. */
function lifeOf(token: Fields): number {
  return Math.max(0, token.time('expires_at').getTime() - token.time('issued_at').getTime())
}

function toToken(value: string | string[] | undefined, body: Fields): Token {
  if (typeof value !== 'string' || value === '') throw new ShapeError('X-Subject-Token is missing')
  if (!body.has('project')) throw new ShapeError('token.project is missing: the login is not scoped to a project')
  return {
    value,
    projectId: body.object('project').id('id'),
    roles: rolesOf(body),
    catalog: toCatalog(body)
  }
}

export const rolesOf = (token: Fields): string[] =>
  token.has('roles') ? token.list('roles').map(r => r.text('name')) : []
