import { CloudError } from '../pool/errors.ts'
import type { Call, Clock, Identity } from '../pool/ports.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'
import { type Keystone, rolesOf, withRenewal } from './keystone.ts'
import { orAborted, Shared } from './waiting.ts'

const KEPT_MS = 300_000
const KEPT_MAX = 10_000
/** Looked up at once. Beyond it there would be a queue that only grows, in front of all who come after. */
const LOOKUPS_MAX = 256

/** What may stand in a header; anything else is no token, and Keystone need not be asked. */
const TOKEN = /^[\x21-\x7e]{1,8192}$/

/** Finds out who callers are. Remembered for a while: Keystone's revocations are seen only after that. */
export class Identities {
  readonly #keystone: Keystone
  readonly #http: Http
  readonly #clock: Clock
  readonly #kept = new Map<string, { identity: Identity; until: number }>()
  readonly #lookups = new Shared<Identity | undefined>()
  #waiting = 0
  /** The last token of ours that may not look at others'. */
  #unfit: string | undefined

  constructor(keystone: Keystone, http: Http, clock: Clock) {
    this.#keystone = keystone
    this.#http = http
    this.#clock = clock
  }

  async identify(token: string, call: Call): Promise<Identity | undefined> {
    if (!TOKEN.test(token)) return undefined
    const kept = this.#kept.get(token)
    if (kept) {
      this.#kept.delete(token)
      if (this.#clock.now().getTime() < kept.until) {
        this.#kept.set(token, kept) // Moved to the end: the first one is the one not seen for longest.
        return kept.identity
      }
    }
    if (this.#waiting >= LOOKUPS_MAX) throw tooMany()
    this.#waiting += 1
    try {
      const lookup = () => this.#lookups.join(token, () => this.#lookUp(token, call.requestId))
      return await this.#http.within(call, limited => orAborted(lookup(), limited.signal))
    } finally {
      this.#waiting -= 1
    }
  }

  async #lookUp(token: string, requestId: string): Promise<Identity | undefined> {
    try {
      const identity = await this.#http.within({ requestId }, call => this.#ask(token, call))
      const now = this.#clock.now().getTime()
      if (!identity || identity.expiresAt.getTime() <= now) return undefined
      const [oldest] = this.#kept.keys()
      if (oldest !== undefined && this.#kept.size >= KEPT_MAX) this.#kept.delete(oldest)
      this.#kept.set(token, { identity, until: Math.min(now + KEPT_MS, identity.expiresAt.getTime()) })
      return identity
    } catch (error) {
      // Whatever went wrong here is no fault of the caller's token: it must not look like one.
      if (!(error instanceof CloudError) || isCloudError(error, 'timeout', 'unavailable')) throw error
      throw new CloudError('unavailable', `The caller's token could not be checked. ${error.message}`, { cause: error })
    }
  }

  async #ask(token: string, call: LimitedCall): Promise<Identity | undefined> {
    const read = (body: Fields) => toIdentity(token, body)
    try {
      return await withRenewal(this.#keystone, 'own', call, async own => {
        if (own.value !== this.#unfit) {
          try {
            return await this.#keystone.describe(own.value, token, call, read)
          } catch (error) {
            if (!isCloudError(error, 'forbidden')) throw error
            this.#unfit = own.value
          }
        }
        return await this.#askItself(token, call, read)
      })
    } catch (error) {
      if (isCloudError(error, 'not_found')) return undefined
      throw error
    }
  }

  /** Without a role for it, only the token's own user may ask; that Keystone refuses it then says that it is not valid. */
  async #askItself(token: string, call: LimitedCall, read: (body: Fields) => Identity | undefined) {
    try {
      return await this.#keystone.describe(token, token, call, read)
    } catch (error) {
      if (isCloudError(error, 'unauthenticated')) return undefined
      throw error
    }
  }
}

const tooMany = (): CloudError =>
  new CloudError('unavailable', `Keystone is being asked for ${LOOKUPS_MAX} tokens already. Repeat the request.`)

function toIdentity(token: string, body: Fields): Identity | undefined {
  if (!body.has('project')) return undefined
  return {
    token,
    userId: body.object('user').text('id'),
    projectId: body.object('project').text('id'),
    roles: rolesOf(body),
    expiresAt: body.time('expires_at')
  }
}
