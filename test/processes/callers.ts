import { setTimeout as pause } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { Random } from '../../sandbox/random.ts'
import type { ClaimView, Problem } from '../../src/http/schemas.ts'
import type { ServiceProcess } from './service-process.ts'
import type { Stage } from './stage.ts'

/** One claim, however often it is asked for. */
export interface Wish {
  readonly project: string
  readonly hostname: string
  readonly os: string
  readonly type: string
  readonly size?: number
  readonly key?: string
}

/** What callers were told. */
export interface Told {
  /** Every volume that a claim was given with a 200, and how far the cloud's journal was then. */
  readonly given: Map<Wish, Map<string, number>>
  /** Under which claim, and from where it came: the same for all repeats. */
  readonly records: Map<Wish, Set<string>>
  /** How often each answer came: its status, and its code where it was refused; `no answer`. */
  readonly answers: Map<string, number>
  /** Answers that no fault explains. */
  readonly unexpected: string[]
}

/** A claim, or a problem. */
type Answer = Partial<Pick<ClaimView, 'volume_id' | 'claim_id' | 'source'> & Pick<Problem, 'code'>>

/** To be repeated: by what a cloud with faults may answer, and a service that is killed. */
const REPEATED = /^(202|401 unauthenticated|403 quota_exceeded|429 rate_limited|50[234] \w+|no answer)$/
/** However long the service asks for: the test is to be over soon. */
const RETRY_AFTER_MS_MAX = 1_000
/** After a reply that was lost; somebody may have died with the claim, and then nobody may go on with it for ten seconds. */
const NO_ANSWER_MS = 4_000
/** Then the caller gives up, and comes back later. */
const PATIENCE_MS = 3_000

/** Sends claims to whichever replica is up, and repeats each until it has its disk. */
export class Callers {
  readonly told: Told = { given: new Map(), records: new Map(), answers: new Map(), unexpected: [] }
  readonly #stage: Stage
  readonly #replicas: readonly ServiceProcess[]
  readonly #random: Random
  readonly #tokens = new Map<string, string>()
  /** How many requests have been given their disk. */
  served = 0
  /** The cloud's journal so far. */
  #sequence = 0
  readonly #agent = new Agent({ connections: 64 })

  constructor(stage: Stage, replicas: readonly ServiceProcess[], random: Random) {
    this.#stage = stage
    this.#replicas = replicas
    this.#random = random
  }

  /** Has so many callers at once send all requests, each wish as often as it is there. */
  async ask(wishes: readonly Wish[], callers: number, signal: AbortSignal): Promise<void> {
    const queue = [...wishes]
    let left = wishes.length
    const caller = async (): Promise<void> => {
      while (left > 0 && !signal.aborted) {
        const wish = queue.shift()
        const waitMs = wish && (await this.#askOnce(wish))
        if (!wish) await pause(20)
        else if (waitMs !== undefined) void pause(waitMs).then(() => queue.push(wish))
        else {
          left -= 1
          this.served += 1
        }
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }

  /** Closes what idle connections there are. */
  async close(): Promise<void> {
    await this.#agent.close()
  }

  /** Asks once, and gives how long to wait before it is asked again; undefined: it has its disk. */
  async #askOnce(wish: Wish): Promise<number | undefined> {
    const url = this.#pick(this.#replicas.flatMap(({ url }) => url ?? []))
    if (url === undefined) return this.#random.fraction() * 100
    const isOwn = this.#random.fraction() < 0.5
    const [user, project] = isOwn ? [`${wish.project}-user`, wish.project] : ['pool-svc', 'pool']
    const { status, code, volumeId, record, retryAfterMs } = await this.#send(url, wish, user, project)
    const answer = status === 0 ? 'no answer' : [status, code].filter(Boolean).join(' ')
    this.told.answers.set(answer, (this.told.answers.get(answer) ?? 0) + 1)
    if (status === 200) {
      this.#note(wish, volumeId, record)
      return undefined
    }
    if (status === 401) this.#tokens.delete(user)
    if (!REPEATED.test(answer)) this.told.unexpected.push(`${answer} for ${wish.hostname}`)
    return this.#random.fraction() * (status === 0 ? NO_ANSWER_MS : Math.min(retryAfterMs, RETRY_AFTER_MS_MAX))
  }

  #note(wish: Wish, volumeId: string, record: string): void {
    const given = this.told.given.get(wish) ?? new Map<string, number>()
    this.#sequence = this.#stage.cloud.journal.after(this.#sequence).at(-1)?.sequence ?? this.#sequence
    if (!given.has(volumeId)) given.set(volumeId, this.#sequence)
    this.told.given.set(wish, given)
    this.told.records.set(wish, (this.told.records.get(wish) ?? new Set()).add(record))
  }

  async #send(url: string, wish: Wish, user: string, project: string) {
    const { hostname, os, type, size, key } = wish
    const body = { hostname, os, type, size, project_id: this.#stage.project(wish.project) }
    const headers = {
      'content-type': 'application/json',
      'x-auth-token': this.#token(user, project),
      ...(key === undefined ? {} : { 'idempotency-key': key })
    }
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const options = { method: 'POST', headers, body: JSON.stringify(body), signal, dispatcher: this.#agent } as const
    try {
      const answer = await request(`${url}/pool/claim`, options)
      const { code = '', volume_id: volumeId = '', claim_id, source } = (await answer.body.json()) as Answer
      const retryAfterMs = Number(answer.headers['retry-after'] ?? 1) * 1_000
      return { status: answer.statusCode, code, volumeId, record: `claim ${claim_id}, ${source}`, retryAfterMs }
    } catch {
      return { status: 0, code: '', volumeId: '', record: '', retryAfterMs: 0 }
    }
  }

  #token(user: string, project: string): string {
    const token = this.#tokens.get(user) ?? this.#stage.token(user, project)
    this.#tokens.set(user, token)
    return token
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#random.fraction() * from.length)]
  }
}
