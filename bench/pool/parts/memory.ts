import { setTimeout as pause } from 'node:timers/promises'
import { query } from '../../../src/store/connection/database.ts'
import { type Lifetime, withinLifetime } from '../../lifetime.ts'
import { lastOf, meanOf } from '../../openstack/figures.ts'
import { Clients, times } from '../clients.ts'
import { Deployment } from '../deployment.ts'
import { type Figure, type Findings, spread } from '../findings.ts'
import { rssDuring, rssMib } from '../memory.ts'
import { START_IS_OVER_MS, startPaused } from '../paused-service.ts'
import { openStage, type Stage, say } from '../stage.ts'

/** So long that all of a crowd are under way before the first of them is done. */
const ACCEPT_MS = 2_000
const LOOKS_EACH_MS = 200
const STARTS = 5
/** Twice what a service uses that has nothing to do. V8 lets garbage lie as long as there is room, and hides what is kept. */
const HEAP_MIB = 64
const SMALL_HEAP = { nodeOptions: [`--max-old-space-size=${HEAP_MIB}`] }
/** Of the long run, with a look at the memory after each. */
const STEPS = 20

interface Scale {
  readonly spares: number
  readonly inFlight: number
  readonly claims: number
}

const FULL: Scale = { spares: 100_000, inFlight: 1_000, claims: 200_000 }
const QUICK: Scale = { spares: 2_000, inFlight: 100, claims: 1_500 }

/** How long a start takes, how much memory much stock and many claims take, and whether it grows with the claims served. */
export async function measureMemory(t: Lifetime, stage: Stage): Promise<Findings> {
  const scale = stage.options.quick ? QUICK : FULL
  const { claims = scale.claims } = stage.options
  const step = Math.ceil(claims / STEPS)
  const deployment = await Deployment.open(t, stage, 'memory', 1)
  const starts = await withinLifetime(t, inner => measureStarts(inner, stage, deployment))
  const crowd = await withinLifetime(t, inner => measureCrowd(inner, stage, deployment, scale))
  const reconcileMib = await withinLifetime(t, inner => measureReconcile(inner, stage, deployment))
  const run = await withinLifetime(t, inner => measureRun(inner, stage, step))
  const third = (from: number): number =>
    meanOf(run.slice(Math.floor((from * STEPS) / 3), Math.floor(((from + 1) * STEPS) / 3)).flat())
  const figures: Figure[] = [
    { name: 'from the start of the process until it is ready', goal: { atMost: 1 }, unit: 's', values: starts },
    {
      name: `memory with ${scale.spares} spares and ${crowd.inFlight} claims under way, above an idle start's`,
      goal: { atMost: 200 },
      unit: 'MiB',
      values: [crowd.crowdMib - crowd.idleMib]
    },
    { name: 'memory of an idle start', unit: 'MiB', values: [crowd.idleMib] },
    {
      name: `memory while reconcile looks at ${scale.spares} spares with a heap of ${HEAP_MIB} MiB, above an idle start's`,
      goal: { atMost: 50 },
      unit: 'MiB',
      values: [reconcileMib - crowd.idleMib]
    },
    {
      // It goes up and down with each collection of what is not needed any more: only its mean can be held against another.
      name: `memory over ${claims} claims with a heap of ${HEAP_MIB} MiB, mean of the last third / of the middle third`,
      goal: { atMost: 1.1 },
      values: [third(2) / third(1)]
    }
  ]
  const rows = run.map((looks, index) => [String((index + 1) * step), spread(looks)])
  const tables = [
    { title: 'Memory in a long run', titles: ['claims served', 'RSS meanwhile, MiB: median (range)'], rows }
  ]
  return { figures, tables, readings: { starts, crowd, reconcileMib, run } }
}

/** Against a database that is migrated already: as a replica is started, or one that has ended. */
async function measureStarts(t: Lifetime, stage: Stage, deployment: Deployment): Promise<number[]> {
  say(`memory: ${STARTS} starts`)
  const seconds: number[] = []
  for (let start = 0; start < STARTS; start += 1) {
    const service = await startPaused(t, stage, deployment)
    seconds.push(service.readySeconds)
    await service.stop()
  }
  return seconds
}

async function measureCrowd(t: Lifetime, stage: Stage, deployment: Deployment, { spares, inFlight }: Scale) {
  const config = { server: { claims_in_flight_max: 2 * inFlight } }
  const service = await startPaused(t, stage, deployment, { config })
  const { pid, url } = service
  await pause(START_IS_OVER_MS)
  const idleMib = rssMib(pid)
  await deployment.stock(spares)
  // One at first: it asks Keystone about no more than 256 callers at once, whom it knows for five minutes then.
  await new Clients(t, stage, [url], 1).claim(times(1, deployment.pools[0]))
  const clients = new Clients(t, stage, [url], inFlight)
  await clients.connect()
  await stage.cloud.ask('delay', { transfer_accept: ACCEPT_MS })
  say(`memory: ${inFlight} claims at once`)
  const claiming = clients.claim(times(inFlight, deployment.pools[0]))
  const [crowd, underWay] = await Promise.all([rssDuring(pid, claiming), mostUnderWay(deployment, claiming)])
  await stage.cloud.ask('delay', { preset: 'none' })
  return { idleMib, crowdMib: lastOf(crowd), inFlight: underWay }
}

/** Of that stock: a service that kept it would end with so little room. */
async function measureReconcile(t: Lifetime, stage: Stage, deployment: Deployment): Promise<number> {
  const service = await startPaused(t, stage, deployment, SMALL_HEAP)
  say('memory: reconcile')
  return lastOf(await rssDuring(service.pid, service.call('POST', '/pool/reconcile')))
}

/** The most claims that were open at the same time. */
async function mostUnderWay({ database }: Deployment, claiming: Promise<unknown>): Promise<number> {
  const over = claiming.then(() => true)
  let most = 0
  do {
    const [open] = await query<{ count: number }>(
      database.db,
      "select count(*) as count from claims where status = 'open'"
    )
    most = Math.max(most, open?.count ?? 0)
  } while (!(await Promise.race([over, pause(LOOKS_EACH_MS, false)])))
  return most
}

/**
 * What is in memory during each step of so many claims. With no more stock than that, and on a cloud that never held more:
 * reconcile, every five minutes, must not decide what is seen here.
 */
async function measureRun(t: Lifetime, { options }: Stage, step: number): Promise<number[][]> {
  const stage = await openStage(t, options)
  const deployment = await Deployment.open(t, stage, 'memory_run', 1)
  const { pid, url } = await startPaused(t, stage, deployment, SMALL_HEAP)
  const clients = new Clients(t, stage, [url], options.clients)
  const run: number[][] = []
  for (let served = step; served <= STEPS * step; served += step) {
    await deployment.stock(step)
    await stage.cloud.ask('forgetHandedOver')
    await clients.connect()
    const looks = await rssDuring(pid, clients.claim(times(step, deployment.pools[0])))
    run.push(looks)
    say(`memory: ${served} claims, ${spread(looks)} MiB`)
  }
  return run
}
