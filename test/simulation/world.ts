import type { FastifyInstance } from 'fastify'
import { PRESETS } from '../../sandbox/delays.ts'
import type { Caller, Volume } from '../../sandbox/model.ts'
import { Random } from '../../sandbox/random.ts'
import { traitsOf } from '../../sandbox/releases.ts'
import { SeededCloud } from '../../sandbox/seed.ts'
import { sandboxApp } from '../../sandbox/server.ts'
import { keyring } from '../../src/config/secret.ts'
import type { Settings, TickName } from '../../src/operations/deps.ts'
import type { ClaimRequest } from '../../src/pool/claim.ts'
import { CloudError, PoolError } from '../../src/pool/errors.ts'
import type { Identity } from '../../src/pool/ports.ts'
import type { Database } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import { OwnClock } from '../support/own-clock.ts'
import { giveServiceRole } from '../support/service-role.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'
import { truncate } from '../support/tables.ts'
import { disksOf } from './complaints.ts'
import { Replica } from './replica.ts'
import { Scheduler, type Where } from './scheduler.ts'
import { BLIND_DELAYS, DELAYS, POOLS, REPLICAS, SETTINGS, surroundings } from './setting.ts'
import { Watch } from './watch.ts'

/** One history of two replicas on one database and one cloud, as a seed decides it. */
export class World {
  readonly random: Random
  readonly clock = new SimulatedClock()
  readonly databaseClock = new OwnClock(this.clock)
  readonly scheduler: Scheduler
  readonly cloud: SeededCloud
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
  /** What has happened, and how often. */
  readonly counts = new Map<string, number>()
  readonly #app: FastifyInstance
  readonly #ids: Random
  readonly #keyring = keyring(Buffer.alloc(32, 7))
  readonly #settings: Settings
  #unexpected: unknown
  #started = 0

  constructor(seed: number, db: Database) {
    this.random = new Random(seed, 'what happens')
    this.#settings = { ...SETTINGS, checkExisting: seed % 2 === 0 ? 'cinder' : 'claims' }
    this.#ids = new Random(seed, 'ids of the service')
    this.scheduler = new Scheduler(new Random(seed, 'turns'))
    this.db = db
    const { release, locale, role } = surroundings(seed)
    const delays = { ...PRESETS.none, ...DELAYS, ...(traitsOf(release).renamesInTwoWrites && BLIND_DELAYS) }
    this.cloud = new SeededCloud({ clock: new OwnClock(this.clock, this.#apart()), seed, delays, release, locale })
    giveServiceRole(this.cloud, role)
    this.note(`the service is ${role}, at ${release} in ${locale}`)
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

  /** Empties the database, and starts the replicas. */
  async begin(): Promise<void> {
    await truncate(this.db)
    await storesOf(this.db).pools.ensure(POOLS)
    this.cloud.quotas.set(`${this.project('tenant-b')} volumes`, 4)
    this.identity = await this.#logIn('tenant-a-user', 'tenant-a')
    this.startReplicas()
  }

  async step(): Promise<void> {
    await this.look(await this.scheduler.step())
  }

  /** Counts it, and writes it into the history. */
  note(what: string): void {
    this.scheduler.history.push(what)
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  async look(where: Where): Promise<void> {
    await this.watch.look(where)
    if (this.#unexpected) throw this.#unexpected
  }

  /** As many as there should be. */
  startReplicas(): void {
    while (this.replicas.length < REPLICAS) this.startReplica()
  }

  startReplica(): void {
    this.#started += 1
    const replica = new Replica(`replica ${this.#started}`, {
      scheduler: this.scheduler,
      clock: this.clock,
      aheadSeconds: this.#apart(),
      databaseTime: () => this.databaseClock.now(),
      cloud: this.#app,
      db: this.db,
      newId: () => this.#ids.uuid(),
      keyring: this.#keyring,
      settings: this.#settings
    })
    this.replicas.push(replica)
  }

  async killReplica(replica: Replica): Promise<void> {
    this.replicas = this.replicas.filter(one => one !== replica)
    replica.end()
    await this.scheduler.kill(replica)
  }

  /** By how many seconds a machine's clock is ahead, or behind: within an hour. */
  #apart(): number {
    return Math.round((2 * this.random.fraction() - 1) * 3_600)
  }

  /** Sends a claim, and remembers what its caller is told. */
  claim(replica: Replica, request: ClaimRequest): void {
    const claimed = async (): Promise<void> => {
      const { claim, usable } = await replica.claim(request)
      this.note(`answered: ${usable ? claim.source : 'not there yet'}`)
      if (usable && claim.source !== 'existing') this.watch.answered(claim)
    }
    this.#expect(claimed())
  }

  tick(replica: Replica, name: TickName): void {
    const running = replica.tick(name)
    if (running) this.#expect(running)
  }

  sync(replica: Replica, request: Parameters<Replica['sync']>[0]): void {
    this.#expect(replica.sync(request))
  }

  /** What ends badly must do so in the service's own words. */
  #expect(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (error instanceof PoolError || error instanceof CloudError) this.note(`refused: ${error.code}`)
      else this.#unexpected ??= error
    })
  }

  project(name: string): string {
    return [...this.cloud.projects.values()].find(project => project.name === name)?.id ?? ''
  }

  volume(id: string | undefined): Volume | undefined {
    return id === undefined ? undefined : this.cloud.volumes.get(id)
  }

  /** The volumes of a project that are made from a snapshot: not the golden ones. */
  disks(project: string): Volume[] {
    return disksOf(this.cloud, this.project(project))
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
}
