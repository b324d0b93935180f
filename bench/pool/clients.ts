import { Pool } from 'undici'
import type { PoolName } from '../../src/pool/spare.ts'
import type { Lifetime } from '../lifetime.ts'
import type { Stage } from './stage.ts'

/** What came of some claims. */
export interface Claimed {
  /** From the first request to the last answer. */
  readonly seconds: number
  /** Of each claim, in milliseconds. */
  readonly times: readonly number[]
  readonly volumeIds: readonly string[]
}

let hosts = 0

/** Clients with a connection each that they keep. Each claims a disk, waits for it, and claims the next. */
export class Clients {
  readonly #pools: readonly Pool[]
  readonly #count: number
  readonly #headers: Readonly<Record<string, string>>
  readonly #projectId: string | undefined

  /** Spread evenly over the addresses. */
  constructor(t: Lifetime, { serviceToken, facts }: Stage, urls: readonly string[], count: number) {
    this.#pools = urls.map(url => new Pool(url, { connections: Math.ceil(count / urls.length), headersTimeout: 0 }))
    this.#count = count
    this.#headers = { 'content-type': 'application/json', 'x-auth-token': serviceToken }
    this.#projectId = facts.projects['tenant-a']
    t.onTestFinished(async () => {
      for (const pool of this.#pools) await pool.destroy()
    })
  }

  /** Opens all connections, so that none is waited for later. */
  async connect(): Promise<void> {
    const healthy = (_: unknown, index: number) => this.#poolOf(index).request({ path: '/healthz', method: 'GET' })
    const answers = await Promise.all(Array.from({ length: this.#count }, healthy))
    for (const { body } of answers) await body.dump()
  }

  /** One new host's disk from each of the pools named, in their order. Anything but a spare at once is a failure. */
  async claim(pools: readonly PoolName[]): Promise<Claimed> {
    const [times, volumeIds]: [number[], string[]] = [[], []]
    let next = 0
    const client = async (_: unknown, index: number): Promise<void> => {
      for (let pool = pools[next++]; pool; pool = pools[next++]) {
        const sentAt = performance.now()
        const volumeId = await this.#claimOne(this.#poolOf(index), pool)
        times.push(performance.now() - sentAt)
        volumeIds.push(volumeId)
      }
    }
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: this.#count }, client))
    const seconds = (performance.now() - startedAt) / 1_000
    const different = new Set(volumeIds).size
    if (different < pools.length) throw new Error(`${pools.length} claims were given ${different} different volumes`)
    return { seconds, times, volumeIds }
  }

  #poolOf(client: number): Pool {
    const pool = this.#pools[client % this.#pools.length]
    if (!pool) throw new Error('there is nobody to claim from')
    return pool
  }

  async #claimOne(pool: Pool, { os, type }: PoolName): Promise<string> {
    hosts += 1
    const body = JSON.stringify({ hostname: `bench-${hosts}`, os, type, project_id: this.#projectId })
    const answer = await pool.request({ path: '/pool/claim', method: 'POST', headers: this.#headers, body })
    const text = await answer.body.text()
    const claim: { source?: string; volume_id?: string } = JSON.parse(text)
    if (answer.statusCode !== 200 || claim.source !== 'pool' || !claim.volume_id) {
      throw new Error(`A claim of ${os} was answered with ${answer.statusCode}: ${text}`)
    }
    return claim.volume_id
  }
}

/** The same pool so many times. */
export const times = (count: number, pool: PoolName | undefined): PoolName[] =>
  pool ? Array.from({ length: count }, () => pool) : []
