import { CloudError } from '../pool/errors.ts'
import type { Call, Identity } from '../pool/ports.ts'
import { isCloudError, undefinedAfter } from './failures.ts'
import type { Fields } from './fields.ts'
import type { LimitedCall } from './http.ts'
import { type Keystone, rolesOf } from './keystone.ts'
import { orAborted, Shared } from './waiting.ts'

const KEPT_MS = 300_000
const KEPT_MAX = 10_000
/** After this share of the time a token in use is looked up again, so that no claim waits for it. */
const LOOK_AGAIN_SHARE = 0.8
const LOOK_AGAIN_MS = 15_000
/** Beyond so many lookups at once there would be a queue that only grows. */
const LOOKUPS_MAX = 256

/** What may stand in a header. Anything else is no token, and Keystone need not be asked. */
const TOKEN = /^[\x21-\x7e]{1,8192}$/

interface Kept {
  readonly identity: Identity
  readonly until: number
  lookAgainFrom: number
}

/** Finds out who callers are, and remembers it for a while. Keystone's revocations are seen only after that. */
export class Identities {
  readonly #keystone: Keystone
  /** The one that was not used for longest comes first. */
  readonly #kept = new Map<string, Kept>()
  readonly #lookups = new Shared<Identity | undefined>()
  /** The last token of ours that Keystone lets look at no other token. */
  #unfit: string | undefined

  constructor(keystone: Keystone) {
    this.#keystone = keystone
  }

  async identify(token: string, call: Call): Promise<Identity | undefined> {
    if (!TOKEN.test(token)) return undefined
    const lookUp = () => this.#lookups.join(token, () => this.#lookUp(token, call.requestId))
    const hasRoom = this.#lookups.has(token) || this.#lookups.size < LOOKUPS_MAX
    const now = this.#keystone.http.clock.monotonicMs()
    const kept = this.#kept.get(token)
    if (kept && now < kept.until) {
      this.#kept.delete(token)
      this.#kept.set(token, kept)
      if (now >= kept.lookAgainFrom && hasRoom) {
        kept.lookAgainFrom = now + LOOK_AGAIN_MS
        // A failure is not lost: the next caller is told once the token is no longer kept.
        void lookUp().catch(() => undefined)
      }
      return kept.identity
    }
    if (!hasRoom) throw tooMany()
    return await this.#keystone.http.within(call, ({ signal }) => orAborted(lookUp(), signal))
  }

  async #lookUp(token: string, requestId: string): Promise<Identity | undefined> {
    try {
      const identity = await this.#keystone.http.within({ requestId }, call => this.#ask(token, call))
      this.#kept.delete(token)
      if (identity) this.#keep(token, identity)
      return identity
    } catch (error) {
      // The caller's token is not at fault, and must not seem to be.
      if (isCloudError(error, 'timeout', 'unavailable') || !(error instanceof CloudError)) throw error
      throw new CloudError('unavailable', `The caller's token could not be checked. ${error.message}`, { cause: error })
    }
  }

  #keep(token: string, identity: Identity): void {
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined && this.#kept.size >= KEPT_MAX) this.#kept.delete(oldest)
    const leftMs = identity.expiresAt.getTime() - this.#keystone.http.clock.now().getTime()
    const keptMs = Math.min(KEPT_MS, Math.max(0, leftMs))
    const now = this.#keystone.http.clock.monotonicMs()
    this.#kept.set(token, { identity, until: now + keptMs, lookAgainFrom: now + keptMs * LOOK_AGAIN_SHARE })
  }

  /** Undefined: Keystone does not know it. That includes one that has expired by Keystone's clock, the one that counts. */
  async #ask(token: string, call: LimitedCall): Promise<Identity | undefined> {
    const describe = (shown: string) => this.#keystone.describe(shown, token, call, body => toIdentity(token, body))
    const asked = this.#keystone.withToken('own', call, async own => {
      if (own.value !== this.#unfit) {
        try {
          return await describe(own.value)
        } catch (error) {
          if (!isCloudError(error, 'forbidden')) throw error
          this.#unfit = own.value
        }
      }
      // Without a role for it, only the token's own user may ask. Keystone refuses him if the token is not valid.
      return await describe(token).catch(undefinedAfter('unauthenticated'))
    })
    return await asked.catch(undefinedAfter('not_found'))
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
