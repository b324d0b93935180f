import assert from 'node:assert/strict'
import type { Caller, Volume as CloudVolume } from '../../sandbox/model.ts'
import { changeVolume, createVolume, updateVolume } from '../../sandbox/volumes.ts'
import { storesOf } from '../../src/store/stores.ts'
import { aService, type TestService } from '../support/service.ts'
import type { ServiceRole } from '../support/service-role.ts'
import { truncate } from '../support/tables.ts'
import { LIMITS } from './state.ts'
import { StillClock } from './still-clock.ts'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** By pool. */
export type Targets = Readonly<Record<string, number>>

/** Until a command says so, nothing that Cinder makes is finished. */
const NEVER_MS = 1e10

/** `debian12 ssd`, as the service names it. */
export const toPool = (name: string): { os: string; type: string } => {
  const [os = '', type = ''] = name.split(' ')
  return { os, type }
}

const poolsOf = (targets: Targets) => Object.entries(targets).map(([name, target]) => ({ ...toPool(name), target }))

/** Two replicas of the service on one database and one sandbox, by their routes; nothing runs by itself. */
export class Real {
  readonly #t: Lifetime
  readonly #first: TestService
  readonly #golden: ReadonlySet<string>
  /** By their targets: they hold nothing that they could forget, and take long to start. */
  readonly #started = new Map<string, readonly TestService[]>()
  #replicas: readonly TestService[] = []

  private constructor(t: Lifetime, first: TestService) {
    this.#t = t
    this.#first = first
    this.#golden = new Set(this.cloud.snapshots.keys())
  }

  static async start(t: Lifetime, role: ServiceRole): Promise<Real> {
    const limits = {
      creating_max: LIMITS.creatingMax,
      creating_max_per_snapshot: LIMITS.creatingMaxPerSnapshot,
      creating_max_per_project: LIMITS.creatingMaxPerProject,
      budget_gib: LIMITS.budgetGib
    }
    return new Real(t, await aService(t, { filled: false, role, clock: new StillClock(), config: { limits } }))
  }

  /** As on the first day, with these targets. */
  async reset(targets: Targets): Promise<void> {
    await truncate(this.#first.service.db)
    await storesOf(this.#first.service.db).pools.ensure(poolsOf(targets))
    this.#emptyCloud()
    await this.replace(targets)
  }

  /** Not a new one, whose ids would begin anew, those of the tokens too. */
  #emptyCloud(): void {
    const { cloud } = this
    cloud.delays = { ...cloud.delays, creating: NEVER_MS }
    cloud.quotas.clear()
    for (const { id, volumeId } of cloud.snapshots.values()) {
      if (this.#golden.has(id)) continue
      cloud.snapshots.delete(id)
      this.remove(volumeId)
    }
    for (const { id } of this.volumes()) this.remove(id)
  }

  /** Both replicas, by such with other targets. */
  async replace(targets: Targets): Promise<void> {
    const key = JSON.stringify(targets)
    const replicas = this.#started.get(key) ?? (await this.#startTwo(targets))
    this.#started.set(key, replicas)
    this.#replicas = replicas
  }

  async #startTwo(targets: Targets): Promise<readonly TestService[]> {
    const beside = { ...this.#first, config: { ...this.#first.config, pools: poolsOf(targets) } }
    const start = () => aService(this.#t, { filled: false, beside })
    return [await start(), await start()]
  }

  /** Where a request goes to: 0 or 1. */
  replica(number: number): TestService {
    const replica = this.#replicas[number]
    assert.ok(replica)
    return replica
  }

  // ---- The cloud, behind the service's back ----------------------------------------------------------------------------

  get cloud() {
    return this.#first.sandbox.cloud
  }

  project = (name: string): string => this.#first.project(name)

  pass(seconds: number): void {
    this.#first.clock.pass(seconds)
  }

  /** All but the golden ones. */
  volumes = (): CloudVolume[] => this.#first.volumes()

  setStatus(id: string, status: string): void {
    changeVolume(this.cloud, this.#caller('pool'), this.#volume(id), { status })
  }

  remove(id: string): void {
    for (const transfer of this.cloud.transfers.ofVolume(id)) this.cloud.transfers.remove(transfer)
    this.cloud.volumes.remove(this.#volume(id))
  }

  /** A tenant's own, which it has installed, or is blank. */
  makeVolume(project: string, name: string, bootable: boolean): string {
    const nothing = { description: null, type: null, snapshotId: null, sourceVolumeId: null, availabilityZone: null }
    const caller = this.#caller(project)
    const { id } = createVolume(this.cloud, caller, { ...nothing, name, sizeGib: 3, metadata: {} })
    return updateVolume(this.cloud, caller, id, { bootable }).id
  }

  setQuota(project: string, isFull: boolean): void {
    this.cloud.quotas.set(`${this.project(project)} volumes`, isFull ? 0 : -1)
  }

  #volume(id: string): CloudVolume {
    const volume = this.cloud.volumes.get(id)
    assert.ok(volume)
    return volume
  }

  #caller(project: string): Caller {
    const user = [...this.cloud.users.values()].find(({ name }) => name === 'admin')
    return { userId: user?.id ?? '', projectId: this.project(project), roles: ['admin'], requestId: 'req-of-the-test' }
  }
}
