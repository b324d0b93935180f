import assert from 'node:assert/strict'
import { PRESETS } from '../../sandbox/delays.ts'
import type { Caller } from '../../sandbox/model.ts'
import { SeededCloud } from '../../sandbox/seed.ts'
import { parseConfig } from '../../src/config/config.ts'
import type { Config } from '../../src/config/schema.ts'
import type { TickName } from '../../src/operations/deps.ts'
import type { ClaimRequest, ClaimResult } from '../../src/pool/claim.ts'
import { settingsOf } from '../../src/settings.ts'
import { storesOf } from '../../src/store/stores.ts'
import { complaintsOf, disksOf } from '../simulation/complaints.ts'
import { Watch } from '../simulation/watch.ts'
import { CLOUD_SETTING } from '../support/cloud-setting.ts'
import { aRequest, DEBIAN } from '../support/samples.ts'
import { giveServiceRole, type ServiceRole } from '../support/service-role.ts'
import { empty } from '../support/tables.ts'
import { TestClock } from '../support/test-clock.ts'
import { assertNothingHeld, contentOf, lostThings } from './audit.ts'
import type { Home } from './home.ts'
import type { AfterStep } from './steps.ts'
import { type Act, aWorker, type Worker, type Workplace } from './worker.ts'

export interface StageOptions {
  /** Sections of the configuration that differ. */
  readonly config?: Readonly<Record<string, unknown>>
  /** The sandbox's user that the service logs in as; default `pool-svc`. */
  readonly user?: string
  /** What `pool-svc` is; default: a member. */
  readonly role?: ServiceRole
}

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

const BASE = {
  database: { url: 'postgres://stage' },
  openstack: { auth: { auth_url: 'http://stage' }, timeout_seconds: 5 },
  pools: [{ ...DEBIAN, target: 2 }],
  limits: { creating_max: 4, budget_gib: 200 }
}
const DELAYS = { ...PRESETS.none, creating: 4_000, deleting: 500 }
/** Longer than a claim's lease, of one who has watched another's for five seconds before. */
const LEASES_SECONDS = 16
const ROUND_SECONDS = 30
/** What is lost for good is known for lost after two minutes, and goes in a few rounds more. */
const ROUNDS = 12
const RECONCILE_EVERY = 3

export interface Recorded {
  readonly name: string
  /** Anything at all, in the database or in the cloud. */
  readonly changed: boolean
}

export async function aStage(t: Lifetime, home: Home, options: StageOptions = {}): Promise<Stage> {
  const stage = new Stage(home, options)
  t.onTestFinished(() => stage.close())
  await stage.begin()
  return stage
}

/** A cloud, a database and a clock on which processes come and go. All that they do is held against what always holds. */
export class Stage {
  readonly clock = new TestClock()
  readonly cloud = new SeededCloud({ ...CLOUD_SETTING, clock: this.clock, delays: DELAYS })
  readonly watch: Watch
  /** Who may do in the cloud whatever has to be done behind the service's back. */
  readonly operator: Caller
  readonly home: Home
  readonly #config: Config
  readonly #user: string
  readonly #workers: Worker[] = []
  /** The one that does what is not to be killed. */
  #service: Worker | undefined
  #started = 0
  #isRecording = false
  /** At every request, once the stage is set. */
  #isWatched = false
  #violation: unknown

  constructor(home: Home, { config = {}, user = 'pool-svc', role = 'member' }: StageOptions) {
    this.home = home
    giveServiceRole(this.cloud, role)
    this.#config = parseConfig({ ...BASE, ...config }, {}, 'the stage')
    this.#user = user
    const userId = (name: string): string => [...this.cloud.users.values()].find(one => one.name === name)?.id ?? ''
    const projectId = this.project('pool')
    this.operator = { userId: 'an operator', projectId, roles: ['admin'], requestId: 'req-operator' }
    const { deployment, limits, targets } = settingsOf(this.#config)
    this.watch = new Watch({
      cloud: this.cloud,
      db: home.db,
      deployment,
      poolProjectId: projectId,
      userIds: new Set([userId(user)]),
      creatingMax: limits.creatingMax,
      budgetGib: limits.budgetGib ?? Number.POSITIVE_INFINITY,
      targets
    })
  }

  async begin(): Promise<void> {
    const { db } = this.home
    this.home.guest = this
    await empty(db)
    await storesOf(db).pools.ensure(settingsOf(this.#config).targets)
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) await worker.close()
    this.cloud.close()
  }

  project(name: string): string {
    return [...this.cloud.projects.values()].find(project => project.name === name)?.id ?? ''
  }

  request(differs: Partial<ClaimRequest> = {}): ClaimRequest {
    return aRequest({ projectId: this.project('tenant-a'), ...differs })
  }

  // ---- Processes -----------------------------------------------------------------------------------------------------

  /** Has it done by a process that lives until one is killed. */
  async perform(act: Act): Promise<void> {
    await this.#perform(worker => worker.perform(act))
  }

  /** Undefined: it is to be repeated. */
  async claim(request: ClaimRequest): Promise<ClaimResult | undefined> {
    return await this.#perform(worker => worker.claim(request))
  }

  async #perform<T>(work: (worker: Worker) => Promise<T>): Promise<T> {
    this.#service ??= this.#worker()
    try {
      return await work(this.#service)
    } finally {
      await this.#look()
    }
  }

  async tick(...names: readonly TickName[]): Promise<void> {
    for (const name of names) await this.perform({ tick: name })
  }

  /** The stock, filled at once. */
  async fill(): Promise<void> {
    await this.tick('replenish')
    this.pass(ROUND_SECONDS)
    await this.tick('check_state')
    assert.deepEqual(this.#complaints(), [])
  }

  /** Has it done to the end, well or not, and looks at every step. */
  async record(act: Act): Promise<Recorded[]> {
    const steps: Recorded[] = []
    let before = await this.#content()
    const worker = this.#worker(async name => {
      await this.#look()
      const after = await this.#content()
      steps.push({ name, changed: after !== before })
      before = after
    })
    this.#isRecording = true
    this.#isWatched = true
    await worker.perform(act).catch(() => undefined)
    this.#isRecording = false
    await this.#look()
    return steps
  }

  /** Has it done as far as that step by one that never goes on, and whose time stands still from then on. */
  async leaveAfter(step: string, act: Act): Promise<void> {
    const clock = new TestClock()
    clock.pass((this.clock.now().getTime() - clock.now().getTime()) / 1000)
    await new Promise<void>((resolve, reject) => {
      const afterStep = async (taken: string): Promise<void> => {
        if (taken !== step) return
        resolve()
        await new Promise(() => undefined)
      }
      const worker = this.#worker(afterStep, clock)
      worker.perform(act).then(() => reject(new Error(`It has no step ${step}`)), reject)
    })
    await this.#look()
  }

  /** Has a process do it that is killed right after that step. Nobody who comes after it knows what it knew. */
  async killAfter(step: string, act: Act): Promise<void> {
    this.#service = undefined
    this.#isWatched = true
    await this.home.victims.die({ place: this.#place(), now: this.clock.now().getTime(), act, dieAfter: step })
    await this.#look()
  }

  /** A fresh one: it lives in the test's own process, with connections, a login and a memory of its own. */
  #worker(afterStep: AfterStep = () => undefined, clock = this.clock): Worker {
    const worker = aWorker(this.#place(), clock, afterStep)
    this.#workers.push(worker)
    return worker
  }

  #place(): Workplace {
    this.#started += 1
    const settings = settingsOf(this.#config)
    return {
      database: this.home.database,
      authUrl: `${this.home.url}/identity/v3`,
      user: this.#user,
      seed: this.#started,
      settings: { ...settings, snapshotName: settings.snapshotName.source }
    }
  }

  // ---- What always holds ---------------------------------------------------------------------------------------------

  /** Whoever has asked the cloud is in the middle of it: the cloud has done its part, and nobody knows yet. */
  async answering(): Promise<void> {
    try {
      if (this.#isWatched) await this.watch.look()
      if (this.#isRecording) await assertNothingHeld(this.home.db)
    } catch (error) {
      this.#violation ??= error // The cloud answers all the same: whoever asks it can make nothing of this.
    }
  }

  async #look(): Promise<void> {
    if (this.#violation) throw this.#violation
    await this.watch.look()
  }

  /** All that the service and the cloud remember. */
  async #content(): Promise<string> {
    return `${await contentOf(this.home.db)} ${this.cloud.journal.after(0).length}`
  }

  /** As it goes after a crash: the leases of the dead run out, reconcile runs, and then every tick, until all is mended. */
  async recover(): Promise<void> {
    this.endLeases()
    await this.tick('reconcile')
    const { cloud, watch } = this
    const lost = await lostThings(this.home.db, cloud, this.project('pool'), watch.tables)
    assert.deepEqual(lost, [], 'after one reconcile')
    await this.mend()
  }

  async mend(): Promise<void> {
    for (let round = 1; this.#complaints().length > 0; round += 1) {
      assert.ok(round <= ROUNDS, `not whole again: ${this.#complaints().join('; ')}`)
      this.pass(ROUND_SECONDS)
      await this.tick('check_state', 'replenish')
      if (round % RECONCILE_EVERY === 0) await this.tick('reconcile')
    }
  }

  #complaints(): string[] {
    const { targets, prearm } = settingsOf(this.#config)
    return complaintsOf({
      cloud: this.cloud,
      tables: this.watch.tables,
      poolProjectId: this.project('pool'),
      targets,
      armed: prearm,
      foreign: new Set()
    })
  }

  pass(seconds: number): void {
    this.clock.pass(seconds)
  }

  endLeases(): void {
    this.pass(LEASES_SECONDS)
  }

  // ---- What there is -------------------------------------------------------------------------------------------------

  /** The volumes in stock, the oldest first. */
  stock(): string[] {
    return this.watch.tables.spares.flatMap(({ status, volume_id }) =>
      status === 'available' && volume_id ? [volume_id] : []
    )
  }

  /** The disks of a claim's name in its project. */
  disksFor({ projectId, name }: ClaimRequest): string[] {
    return disksOf(this.cloud, projectId)
      .filter(disk => disk.name === name)
      .map(({ id }) => id)
  }
}
