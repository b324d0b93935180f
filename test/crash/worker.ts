import { pino } from 'pino'
import { Random } from '../../sandbox/random.ts'
import { poolLogin } from '../../sandbox/seed.ts'
import { keyring } from '../../src/config/secret.ts'
import { createMetrics } from '../../src/metrics.ts'
import { connect } from '../../src/openstack/openstack.ts'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { claimDisk } from '../../src/operations/claim/claim-disk.ts'
import type { Deps, Settings, TickName } from '../../src/operations/deps.ts'
import { type SyncRequest, syncImages } from '../../src/operations/images/sync-images.ts'
import { retireSpare } from '../../src/operations/spare/retire-spare.ts'
import { checkState } from '../../src/operations/ticks/check-state.ts'
import { reconcile } from '../../src/operations/ticks/reconcile.ts'
import { replenish } from '../../src/operations/ticks/replenish.ts'
import type { ClaimRequest, ClaimResult } from '../../src/pool/claim.ts'
import { PoolError } from '../../src/pool/errors.ts'
import type { Clock } from '../../src/pool/ports.ts'
import { openDatabase } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import { OwnClock } from '../support/own-clock.ts'
import type { TestClock } from '../support/test-clock.ts'
import { type AfterStep, Steps } from './steps.ts'

/** One thing that the service does. */
export type Act =
  | { readonly claim: ClaimRequest }
  | { readonly tick: TickName }
  | { readonly sync: SyncRequest }
  | { readonly retire: string }

/** Where it does it. It can be sent to another process. */
export interface Workplace {
  readonly database: { readonly socketDir: string; readonly user: string; readonly database: string }
  readonly authUrl: string
  readonly user: string
  /** Decides the ids that it chooses, and with them the order of what happens at the same time. */
  readonly seed: number
  readonly settings: Omit<Settings, 'snapshotName'> & { readonly snapshotName: string }
}

export interface Worker {
  /** Undefined: it is to be repeated. */
  claim(request: ClaimRequest): Promise<ClaimResult | undefined>
  perform(act: Act): Promise<unknown>
  close(): Promise<void>
}

const TICKS = { replenish, check_state: checkState, reconcile }

/** Time stands still while somebody works; who waits for it moves it, and nobody else need. */
class WorkersClock extends OwnClock {
  readonly #time: TestClock

  constructor(time: TestClock) {
    super(time)
    this.#time = time
  }

  override sleep: Clock['sleep'] = async (ms, signal) => {
    const sleeping = this.#time.sleep(ms, signal)
    this.#time.pass(ms / 1000)
    await sleeping
  }
}

/** All of the service but its door and its cron, wired as the service wires it, with every step told. */
export function aWorker(place: Workplace, time: TestClock, afterStep: AfterStep): Worker {
  const clock = new WorkersClock(time)
  const db = openDatabase(place.database)
  const steps = new Steps(afterStep)
  const cloud = connectCloud(place, clock)
  const ids = new Random(place.seed, 'ids of a worker')
  const newId = (): string => ids.uuid()
  const deps: Deps = {
    ...steps.ofEach(storesOf(db)),
    cloud: steps.ofCloud(cloud),
    keyring: keyring(Buffer.alloc(32, 7)),
    clock,
    newId,
    settings: { ...place.settings, snapshotName: new RegExp(place.settings.snapshotName) },
    log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
    observer: createMetrics('worker').observer,
    watched: new Map(),
    isStopping: () => false,
    wake: () => undefined // The test runs what comes next.
  }
  const newCall = () => ({ requestId: `req-${newId()}`, signal: clock.timeout(20_000) })
  const claim = (request: ClaimRequest): Promise<ClaimResult> => claimDisk(deps, request, newCall())
  const perform = (act: Act): Promise<unknown> => {
    if ('claim' in act) return claim(act.claim)
    if ('tick' in act) return TICKS[act.tick](deps, newCall())
    if ('sync' in act) return syncImages(deps, act.sync, newCall())
    return retireSpare(deps, act.retire)
  }
  const close = async (): Promise<void> => {
    await cloud.close()
    await db.destroy()
  }
  return { claim: request => claim(request).catch(undefinedIfUnsettled), perform, close }
}

function undefinedIfUnsettled(error: unknown): undefined {
  if (!(error instanceof PoolError && error.code === 'claim_unsettled')) throw error
}

function connectCloud({ authUrl, user, settings }: Workplace, clock: Clock) {
  const auth = poolLogin(authUrl, user)
  return connect({ settings: cloudSettings({ auth }, {}), clock, timeoutSeconds: settings.cloudTimeoutSeconds })
}
