import { CloudError } from '../pool/errors.ts'
import type { Call, Clock, Identity } from '../pool/ports.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import type { Http, LimitedCall } from './http.ts'
import { type Keystone, rolesOf } from './keystone.ts'
import { orAborted, Shared } from './waiting.ts'

const KEPT_MS = 300_000
const KEPT_MAX = 10_000
/** After so much of that time a token in use is looked up again, so that no claim waits for it. */
const IN_USE = 0.8
const AGAIN_MS = 15_000
/** Looked up at once. Beyond it there would be a queue that only grows, in front of all who come after. */
const LOOKUPS_MAX = 256

/** What may stand in a header; anything else is no token, and Keystone need not be asked. */
const TOKEN = /^[\x21-\x7e]{1,8192}$/

interface Kept {
  readonly identity: Identity
  readonly until: number
  lookAgainFrom: number
}

/** Finds out who callers are. Remembered for a while: Keystone's revocations are seen only after that. */
export class Identities {
  readonly #keystone: Keystone
  readonly #http: Http
  readonly #clock: Clock
  readonly #kept = new Map<string, Kept>()
  readonly #lookups = new Shared<Identity | undefined>()
  /** The last token of ours that may not look at others'. */
  #unfit: string | undefined

  constructor(keystone: Keystone, http: Http, clock: Clock) {
    this.#keystone = keystone
    this.#http = http
    this.#clock = clock
  }

  async identify(token: string, call: Call): Promise<Identity | undefined> {
    if (!TOKEN.test(token)) return undefined
    const now = this.#clock.monotonicMs()
    const kept = this.#kept.get(token)
    if (kept && now < kept.until) {
      this.#kept.delete(token)
      this.#kept.set(token, kept) // Moved to the end: the first one is the one not seen for longest.
      if (now >= kept.lookAgainFrom && this.#hasRoom(token)) {
        kept.lookAgainFrom = now + AGAIN_MS
        void this.#lookUp(token, call.requestId).catch(() => undefined) // Whoever needs it once it has lapsed is told.
      }
      return kept.identity
    }
    if (!this.#hasRoom(token)) throw tooMany()
    return await this.#http.within(call, limited => orAborted(this.#lookUp(token, call.requestId), limited.signal))
  }

  #hasRoom(token: string): boolean {
    return this.#lookups.has(token) || this.#lookups.size < LOOKUPS_MAX
  }

  /** Once for all who ask at the same time. */
  #lookUp(token: string, requestId: string): Promise<Identity | undefined> {
    return this.#lookups.join(token, () => this.#lookUpAnew(token, requestId))
  }

  async #lookUpAnew(token: string, requestId: string): Promise<Identity | undefined> {
    try {
      const identity = await this.#http.within({ requestId }, call => this.#ask(token, call))
      this.#kept.delete(token)
      if (!identity) return undefined // One that has expired Keystone does not know any more: its clock is the one that counts.
      const [oldest] = this.#kept.keys()
      if (oldest !== undefined && this.#kept.size >= KEPT_MAX) this.#kept.delete(oldest)
      const leftMs = identity.expiresAt.getTime() - this.#clock.now().getTime()
      const keptMs = Math.min(KEPT_MS, Math.max(0, leftMs))
      const now = this.#clock.monotonicMs()
      this.#kept.set(token, { identity, until: now + keptMs, lookAgainFrom: now + keptMs * IN_USE })
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
      return await this.#keystone.withToken('own', call, async own => {
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
    projectId: body.object('project').id('id'),
    roles: rolesOf(body),
    expiresAt: body.time('expires_at')
  }
}
