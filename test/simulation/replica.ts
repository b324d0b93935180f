import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { poolLogin } from '../../sandbox/seed.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Carrier } from '../../src/openstack/connections.ts'
import { connect } from '../../src/openstack/openstack.ts'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { orAborted } from '../../src/openstack/waiting.ts'
import { claimDisk } from '../../src/operations/claim/claim-disk.ts'
import type { Deps, Settings, TickName } from '../../src/operations/deps.ts'
import { type SyncRequest, syncImages } from '../../src/operations/images/sync-images.ts'
import { checkState } from '../../src/operations/ticks/check-state.ts'
import { reconcile } from '../../src/operations/ticks/reconcile.ts'
import { replenish } from '../../src/operations/ticks/replenish.ts'
import type { ClaimRequest, ClaimResult } from '../../src/pool/claim.ts'
import type { Call, Keyring, TakeBack } from '../../src/pool/ports.ts'
import { SharedClock } from '../../src/shared-clock.ts'
import type { Database } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import { isLook } from '../support/looks.ts'
import { OwnClock } from '../support/own-clock.ts'
import type { SimulatedClock } from '../support/simulated-clock.ts'
import type { Actor, Scheduler } from './scheduler.ts'

export const TIMEOUT_SECONDS = 70
const CLAIM_SECONDS = 80
const TICK_SECONDS = 600
const ALIGNED_FOR_MS = 30_000

export interface Surroundings {
  readonly scheduler: Scheduler
  readonly clock: SimulatedClock
  /** By how much the machine's own clock is ahead of the world's at first. */
  readonly aheadSeconds: number
  readonly databaseTime: () => Date
  readonly cloud: FastifyInstance
  readonly db: Database
  readonly newId: () => string
  readonly keyring: Keyring
  readonly settings: Settings
}

/** All of the service but its door: what a request or a tick does, each statement and each call to the cloud in its turn. */
export class Replica implements Actor {
  readonly name: string
  isDead = false
  /** The machine's, which may be set. */
  readonly clock: OwnClock
  readonly #deps: Deps
  readonly #ticks: Record<TickName, (deps: Deps, call: Call) => Promise<unknown>> = {
    replenish,
    check_state: checkState,
    reconcile
  }
  readonly #running = new Set<string>()
  /** As the service: nothing is done before it knows the time. */
  readonly #ready: Promise<unknown>
  readonly #endAligning: TakeBack

  constructor(name: string, around: Surroundings) {
    const { scheduler, cloud, db, newId, keyring, settings } = around
    this.name = name
    this.clock = new OwnClock(around.clock, around.aheadSeconds)
    const clock = new SharedClock(this.clock)
    const align = () => clock.align(() => scheduler.turn(this, 'look', 'time', async () => around.databaseTime()))
    this.#ready = align()
    this.#endAligning = clock.every(ALIGNED_FOR_MS, async () => void (await align()))
    const auth = poolLogin('http://localhost:80/identity/v3')
    this.#deps = {
      ...inTurn(storesOf(db), (what, act) => scheduler.turn(this, isLook(what) ? 'look' : 'store', what, act)),
      cloud: connect({
        settings: cloudSettings({ auth }, {}),
        clock,
        timeoutSeconds: TIMEOUT_SECONDS,
        carrier: carrierTo(cloud, (what, act) => scheduler.turn(this, 'cloud', what, act))
      }),
      keyring,
      clock,
      newId,
      settings,
      log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
      observer: createMetrics('simulated').observer,
      watched: new Map(),
      isStopping: () => false,
      wake: () => undefined // The simulation runs every tick often enough.
    }
  }

  end(): void {
    this.#endAligning()
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    await this.#ready
    return await claimDisk(this.#deps, request, this.#call(CLAIM_SECONDS))
  }

  async sync(request: SyncRequest): Promise<unknown> {
    await this.#ready
    return await syncImages(this.#deps, request, this.#call(TICK_SECONDS))
  }

  /** Runs a tick, unless it runs here already. */
  tick(name: TickName): Promise<unknown> | undefined {
    if (this.#running.has(name)) return undefined
    this.#running.add(name)
    const run = async (): Promise<unknown> => {
      await this.#ready
      return await this.#ticks[name](this.#deps, this.#call(TICK_SECONDS))
    }
    return run().finally(() => this.#running.delete(name))
  }

  #call(seconds: number): Call {
    return { requestId: `req-${this.#deps.newId()}`, signal: this.#deps.clock.timeout(seconds * 1000) }
  }
}

type InTurn = <T>(what: string, act: () => Promise<T>) => Promise<T>
type Query = (...args: readonly unknown[]) => Promise<unknown>

/** The same queries, each waiting for its turn. A transaction is one turn: nothing else comes between its statements. */
function inTurn<Stores extends Readonly<Record<string, object>>>(stores: Stores, turn: InTurn): Stores {
  const waiting = (of: string, queries: object): object =>
    Object.fromEntries(
      Object.entries(queries).map(([name, query]: [string, Query]) => [
        name,
        (...args: readonly unknown[]) => turn(`${of}.${name}`, () => query(...args))
      ])
    )
  return Object.fromEntries(Object.entries(stores).map(([name, queries]) => [name, waiting(name, queries)])) as Stores
}

/** Every request is put into the cloud's hands in its turn; when the answer comes is the cloud's affair. */
const carrierTo = (cloud: FastifyInstance, turn: InTurn): Carrier => ({
  send: ({ url, method, headers, body }, signal) => {
    const { pathname, search } = new URL(url)
    const path = `${pathname}${search}`
    const sent = turn(`${method} ${path}`, async () => {
      const payload = body === null ? {} : { payload: body }
      const answer = await cloud.inject({ method, url: path, headers, ...payload })
      return {
        status: answer.statusCode,
        headers: answer.headers as IncomingHttpHeaders,
        body: answer.body
      }
    })
    return orAborted(sent, signal)
  },
  destroy: async () => undefined
})
