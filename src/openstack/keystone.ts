import { CloudError, type CloudErrorCode } from '../pool/errors.ts'
import { type CatalogEndpoint, toCatalog } from './catalog.ts'
import type { Request } from './exchange.ts'
import { isCloudError } from './failures.ts'
import { type Fields, ShapeError } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'
import { type Login, loginBody } from './login.ts'
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

/** A token, until when it is used, and from when on another one is fetched ahead of time, by the clock that only goes forward. */
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
  readonly settings: CloudSettings
  readonly http: Http
  readonly #held = new Map<string, Held>()
  readonly #logins = new Shared<Token>()
  /** For ever, while one token is being renewed. */
  #renewNotBefore = 0

  constructor(settings: CloudSettings, http: Http) {
    this.settings = settings
    this.http = http
  }

  async token(scope: Scope, call: LimitedCall): Promise<Token> {
    return this.held(scope, call.requestId) ?? (await orAborted(this.#login(scope, call.requestId), call.signal))
  }

  /** The token that is there and good; undefined: `token` fetches one. */
  held(scope: Scope, requestId: string): Token | undefined {
    const now = this.http.clock.monotonicMs()
    const held = this.#held.get(keyOf(scope))
    if (!held || now >= held.goodUntil) return undefined
    held.isUsed = true
    void this.#renewAhead(now, requestId)
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
      if (pauseMs > 0) await this.http.clock.sleep(pauseMs, call.signal)
      if (this.#held.get(keyOf(scope))?.token.value === token.value) this.#held.delete(keyOf(scope))
      token = await this.token(scope, call)
    }
    return await work(token).catch((error: unknown) => {
      throw refusalOfFreshToken(error)
    })
  }

  /** The projects in which our user has a role. */
  async projects(call: LimitedCall): Promise<{ id: string; name: string }[]> {
    return await this.withToken('own', call, async ({ value }) => {
      const request = this.#reading('project_list', '/auth/projects', { 'x-auth-token': value })
      const read = (project: Fields) => ({ id: project.id('id'), name: project.text('name') })
      return await this.http.ask(request, call, body => body.list('projects').map(read))
    })
  }

  /** By a token that is issued for this and not used: a proxy in front of Keystone would put its own time into a header. */
  async time(call: LimitedCall): Promise<Date> {
    return await this.http.ask(this.#loginRequest('own'), call, body => body.object('token').time('issued_at'))
  }

  /** What Keystone says of one token when it is shown another. */
  async describe<T>(shown: string, subject: string, call: LimitedCall, read: (token: Fields) => T): Promise<T> {
    const headers = { 'x-auth-token': shown, 'x-subject-token': subject }
    const request = this.#reading('token_validate', '/auth/tokens?nocatalog', headers)
    return await this.http.ask(request, call, body => read(body.object('token')))
  }

  #reading(operation: string, path: string, headers: Readonly<Record<string, string>>): Request {
    const url = `${this.settings.authUrl}${path}`
    const secrets = Object.values(headers)
    return { service: 'keystone', operation, method: 'GET', url, headers, idempotent: true, secrets }
  }

  /** Renews used tokens before they run out, one after the other, so that no claim waits for a login. */
  async #renewAhead(now: number, requestId: string): Promise<void> {
    if (now < this.#renewNotBefore) return
    const due = [...this.#held.values()].find(held => held.isUsed && now >= held.renewFrom)
    if (!due) return
    this.#renewNotBefore = Number.POSITIVE_INFINITY
    try {
      await this.#login(due.scope, requestId)
      this.#renewNotBefore = 0
    } catch {
      this.#renewNotBefore = now + PAUSE_AFTER_FAILURE_MS // The next caller is told once the token has run out.
    }
  }

  /** Without the signal of the caller who begins it: the others wait for it too. */
  #login(scope: Scope, requestId: string): Promise<Token> {
    const logIn = async (call: LimitedCall): Promise<Token> => {
      const askedAt = this.http.clock.monotonicMs()
      return await this.http.ask(this.#loginRequest(scope), call, (body, answer) => {
        const token = body.object('token')
        return this.#hold(scope, toToken(answer.headers['x-subject-token'], token), askedAt, lifeMsOf(token))
      })
    }
    return this.#logins.join(keyOf(scope), () =>
      this.http.within({ requestId }, logIn).catch((error: unknown) => {
        throw refusalOfLogin(scope, error, this.settings.login)
      })
    )
  }

  #loginRequest(scope: Scope): Request {
    const { login, authUrl } = this.settings
    if (scope !== 'own' && !login.scope) throw boundToOneProject(scope.projectId)
    return {
      service: 'keystone',
      operation: 'token_issue',
      method: 'POST',
      url: `${authUrl}/auth/tokens`,
      body: { auth: loginBody(login, scope === 'own' ? undefined : { project: { id: scope.projectId } }) },
      idempotent: true,
      secrets: [login.secret]
    }
  }

  /** Counts from our own clock, which need not agree with Keystone's. */
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
 * A refused login has codes of its own. Nobody takes it for a caller's bad token or, where Keystone does not find a deleted
 * application credential or trust, for a volume that is gone.
 */
function refusalOfLogin(scope: Scope, error: unknown, { warnings }: Login): unknown {
  if (!isCloudError(error, 'unauthenticated', 'not_found')) return error
  if (scope !== 'own') return retold(error, 'project_refused', error.message)
  const notes = warnings.map(({ found, advice }) => ` Note that ${found}: ${advice}.`).join('')
  return retold(error, 'login_refused', `The service's own login is refused. ${error.message}${notes}`)
}

/** The login is not at fault: Keystone has just accepted it. */
function refusalOfFreshToken(error: unknown): unknown {
  if (!isCloudError(error, 'unauthenticated')) return error
  const what = 'The token of the service that was refused had only just been issued'
  return retold(error, 'unavailable', `${what}. ${error.message}`)
}

const retold = (cause: CloudError, code: CloudErrorCode, message: string): CloudError =>
  new CloudError(code, message, { status: cause.status, cause })

function boundToOneProject(projectId: string): CloudError {
  const what = 'The service logs in with an application credential, which is bound to its own project'
  const advice = `let the caller claim with a token of its own, or give the service a user with a password and a role there`
  return new CloudError('project_refused', `${what} and cannot reach project ${projectId}: ${advice}.`)
}

const lifeMsOf = (token: Fields): number =>
  Math.max(0, token.time('expires_at').getTime() - token.time('issued_at').getTime())

function toToken(value: string | string[] | undefined, body: Fields): Token {
  if (typeof value !== 'string' || value === '') throw new ShapeError('X-Subject-Token is missing')
  if (!body.has('project')) throw new ShapeError('token.project is missing: the login is not scoped to a project')
  return { value, projectId: body.object('project').id('id'), roles: rolesOf(body), catalog: toCatalog(body) }
}

export const rolesOf = (token: Fields): string[] =>
  token.has('roles') ? token.list('roles').map(role => role.text('name')) : []
