import assert from 'node:assert/strict'
import type { FastifyInstance } from 'fastify'
import { parseConfig } from '../../src/config.ts'
import { TICK_NAMES } from '../../src/operations/deps.ts'
import type { ClaimRequest } from '../../src/pool/claim.ts'
import { CloudError, PoolError } from '../../src/pool/errors.ts'
import type { Identity } from '../../src/pool/ports.ts'
import { Cloud } from '../../src/sandbox/cloud.ts'
import { PRESETS } from '../../src/sandbox/delays.ts'
import type { Caller, Volume } from '../../src/sandbox/model.ts'
import { Random } from '../../src/sandbox/random.ts'
import { sandboxApp } from '../../src/sandbox/server.ts'
import { changeVolume } from '../../src/sandbox/volumes.ts'
import { keyring } from '../../src/secret.ts'
import { settingsOf } from '../../src/service.ts'
import { type Database, query } from '../../src/store/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'
import { happen } from './happenings.ts'
import { Replica } from './replica.ts'
import { Scheduler } from './scheduler.ts'
import { Watch } from './watch.ts'

const CREATE_SECONDS = 4
const REPLICAS = 2
export const POOLS = [
  { os: 'debian12', type: 'ssd', target: 3 },
  { os: 'debian12', type: 'sas', target: 2 },
  { os: 'windows2022', type: 'ssd', target: 1 }
]
const SETTINGS = settingsOf(
  parseConfig(
    {
      database: { url: 'postgres://simulated' },
      openstack: { auth: { auth_url: 'http://simulated' } },
      pools: POOLS,
      limits: { creating_max: 4, creating_max_per_snapshot: 2, budget_gib: 400 }
    },
    {},
    'the simulation'
  )
)

/** One history of two replicas on one database and one cloud, as a seed decides it. */
export class World {
  readonly random: Random
  readonly clock = new SimulatedClock()
  readonly scheduler: Scheduler
  readonly cloud: Cloud
  readonly db: Database
  readonly watch: Watch
  readonly admin: Caller
  /** The tenant's own token, in `tenant-a`. */
  identity: Identity | undefined
  /** Everything that was ever asked for, to be asked for again. */
  readonly requests: ClaimRequest[] = []
  /** What an operator has laid hands on: the service must leave it alone. */
  readonly foreign = new Set<string>()
  replicas: Replica[] = []
  readonly #app: FastifyInstance
  readonly #ids: Random
  readonly #keyring = keyring(Buffer.alloc(32, 7))
  #unexpected: unknown
  #started = 0

  constructor(seed: number, db: Database) {
    this.random = new Random(seed, 'what happens')
    this.#ids = new Random(seed, 'ids of the service')
    this.scheduler = new Scheduler(new Random(seed, 'turns'))
    this.db = db
    const delays = { ...PRESETS.none, creating: CREATE_SECONDS * 1000, deleting: 500, extending: 1500 }
    this.cloud = new Cloud({ clock: this.clock, seed, delays })
    this.#app = sandboxApp(
      () => this.cloud,
      () => undefined
    )
    const userId = (name: string): string => [...this.cloud.users.values()].find(user => user.name === name)?.id ?? ''
    const poolProjectId = this.project('pool')
    this.admin = { userId: userId('admin'), projectId: poolProjectId, roles: ['admin'], requestId: 'req-admin' }
    this.watch = new Watch({
      cloud: this.cloud,
      db,
      deployment: SETTINGS.deployment,
      poolProjectId,
      userIds: new Set([userId('pool-svc'), userId('tenant-a-user')]),
      creatingMax: SETTINGS.limits.creatingMax,
      budgetGib: SETTINGS.limits.budgetGib ?? Number.POSITIVE_INFINITY,
      targets: POOLS
    })
  }

  /** Some minutes with everything that can go wrong, and then the time to mend it all. */
  async run(happenings: number): Promise<void> {
    await this.#begin()
    for (let count = 0; count < happenings; count += 1) {
      if (!this.scheduler.isIdle && this.random.fraction() < 0.8) await this.scheduler.step()
      else await happen(this)
      await this.look()
    }
    await this.#recover()
  }

  async #begin(): Promise<void> {
    await query(this.db, 'truncate os, claims, backup_volumes, pools, lead_times, ticks, orphans')
    await storesOf(this.db).pools.ensure(POOLS)
    this.cloud.quotas.set(`${this.project('tenant-b')} volumes`, 4)
    this.identity = await this.#logIn('tenant-a-user', 'tenant-a')
    while (this.replicas.length < REPLICAS) this.startReplica()
  }

  async look(): Promise<void> {
    await this.scheduler.settle()
    await this.watch.look()
    if (this.#unexpected) throw this.#unexpected
  }

  // ---- The service ---------------------------------------------------------------------------------------------------

  startReplica(): void {
    this.#started += 1
    const replica = new Replica(`replica ${this.#started}`, {
      scheduler: this.scheduler,
      clock: this.clock,
      cloud: this.#app,
      db: this.db,
      newId: () => this.#ids.uuid(),
      keyring: this.#keyring,
      settings: SETTINGS
    })
    this.replicas.push(replica)
  }

  async killReplica(replica: Replica): Promise<void> {
    this.replicas = this.replicas.filter(one => one !== replica)
    await this.scheduler.kill(replica)
  }

  /** Sends a claim, and remembers what its caller is told. */
  claim(replica: Replica, request: ClaimRequest): void {
    const claimed = async (): Promise<void> => {
      const { claim, usable } = await replica.claim(request)
      if (usable && claim.source !== 'existing') this.watch.answered(claim)
    }
    this.#expect(claimed())
  }

  tick(replica: Replica, name: (typeof TICK_NAMES)[number]): void {
    const running = replica.tick(name)
    if (running) this.#expect(running)
  }

  sync(replica: Replica, request: Parameters<Replica['sync']>[0]): void {
    this.#expect(replica.sync(request))
  }

  /** What ends badly must do so in the service's own words. */
  #expect(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof PoolError || error instanceof CloudError)) this.#unexpected ??= error
    })
  }

  // ---- The cloud -----------------------------------------------------------------------------------------------------

  project(name: string): string {
    return [...this.cloud.projects.values()].find(project => project.name === name)?.id ?? ''
  }

  volume(id: string | undefined): Volume | undefined {
    return id === undefined ? undefined : this.cloud.volumes.get(id)
  }

  /** The volumes of a project that are made from a snapshot: not the golden ones. */
  disks(project: string): Volume[] {
    return [...this.cloud.volumes.of(this.project(project))].filter(({ snapshotId }) => snapshotId !== null)
  }

  async #logIn(user: string, project: string): Promise<Identity> {
    const domain = { id: 'default' }
    const identity = { methods: ['password'], password: { user: { name: user, password: 'sandbox', domain } } }
    const scope = { project: { name: project, domain } }
    const payload = { auth: { identity, scope } }
    const answer = await this.#app.inject({ method: 'POST', url: '/identity/v3/auth/tokens', payload })
    const { token } = answer.json<{ token: { user: { id: string }; expires_at: string } }>()
    return {
      token: String(answer.headers['x-subject-token']),
      userId: token.user.id,
      projectId: this.project(project),
      roles: ['member'],
      expiresAt: new Date(token.expires_at)
    }
  }

  // ---- The end -------------------------------------------------------------------------------------------------------

  /** The faults are over: what is left of them the service mends by itself, save for what only an administrator can. */
  async #recover(): Promise<void> {
    this.cloud.faults.remove()
    while (this.replicas.length < REPLICAS) this.startReplica()
    for (const pool of POOLS) await storesOf(this.db).pools.setPaused(pool, false)
    // What is lost is known for lost only after so long; whatever is not, is mended within two lead times.
    const isWhole = (await this.#mend(8 * CREATE_SECONDS)) || (await this.#mend(GIVEN_UP_SECONDS))
    assert.ok(isWhole || (await this.#mend(8 * CREATE_SECONDS)), `not whole again: ${this.#complaints().join('; ')}`)
  }

  /** Lets that much time pass, with all ticks and all turns. True: everything is as it should be. */
  async #mend(seconds: number): Promise<boolean> {
    const until = this.clock.now().getTime() + seconds * 1000
    for (let round = 0; this.clock.now().getTime() < until; round += 1) {
      for (const name of TICK_NAMES) this.tick(this.replicas[round % REPLICAS] as Replica, name)
      await this.#runAll()
      if (this.#complaints().length === 0) return true
      this.#repair()
      await this.#pass((until - this.clock.now().getTime()) / 1000, seconds > 100 ? 60 : 1)
    }
    return false
  }

  async #runAll(): Promise<void> {
    while (!this.scheduler.isIdle) {
      await this.scheduler.step()
      await this.look()
    }
  }

  async #pass(left: number, most: number): Promise<void> {
    let ms = Math.min(left, most) * 1000
    while (ms > 0) {
      const before = this.clock.now().getTime()
      this.clock.wakeNext(ms)
      ms -= this.clock.now().getTime() - before
      await this.scheduler.settle()
      await this.#runAll()
    }
  }

  /** What only an administrator of the cloud may do: reset what Cinder believes to be making or deleting for ever. */
  #repair(): void {
    const retiring = new Set(
      this.watch.tables.spares.filter(({ status }) => status === 'retiring').map(one => one.volume_id)
    )
    for (const volume of this.disks('pool')) {
      const isStuck = volume.status === 'creating' || volume.status === 'error_deleting'
      if (isStuck && retiring.has(volume.id)) changeVolume(this.cloud, this.admin, volume, { status: 'error' })
    }
  }

  /** What is not yet as it should be, by the tables and the cloud. */
  #complaints(): string[] {
    const { spares, claims } = this.watch.tables
    const known = new Set([...spares, ...claims].map(({ volume_id }) => volume_id))
    const full = POOLS.filter(({ os, type, target }) => {
      const stock = spares.filter(spare => spare.os === os && spare.type === type && spare.status === 'available')
      return stock.length >= target
    })
    return [
      ...POOLS.filter(pool => !full.includes(pool)).map(({ os, type }) => `${os} on ${type} is not full`),
      ...spares
        .filter(({ status }) => status !== 'available')
        .map(({ id, status }) => `rule 3: spare ${id} is ${status}`),
      ...spares.filter(spare => spare.status === 'available').flatMap(spare => this.#faultsOf(spare)),
      ...claims
        .filter(({ status }) => status === 'open' || status === 'creating')
        .map(({ name, status }) => `rule 7: claim ${name} is ${status}`),
      ...this.disks('pool')
        .filter(({ id }) => !known.has(id) && !this.foreign.has(id))
        .map(({ id, name, status }) => `rule 3: nobody knows volume ${id} "${name}" ${status}`)
    ]
  }

  /** In stock, a spare's volume bears its name and metadata, and waits in the one transfer whose key is known. */
  #faultsOf({ id, name, volume_id, transfer_id }: (typeof this.watch.tables.spares)[number]): string[] {
    const volume = this.volume(volume_id ?? undefined)
    if (!volume) return [`rule 3: spare ${id} has no volume`]
    const transfers = this.cloud.transfers.ofVolume(volume.id)
    const isWhole =
      volume.name === name &&
      volume.metadata['spare_id'] === id &&
      volume.status === 'awaiting-transfer' &&
      transfers.length === 1 &&
      transfers[0]?.id === transfer_id
    return isWhole ? [] : [`rule 7: spare ${id} is not as it was: ${volume.name} ${volume.status}`]
  }
}

/** The longest bound: creations are given up after ten minutes, lost ones after three. */
const GIVEN_UP_SECONDS = 660
