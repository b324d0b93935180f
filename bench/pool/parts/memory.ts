import { setTimeout as pause } from 'node:timers/promises'
import { query } from '../../../src/store/database.ts'
import { type Lifetime, withinLifetime } from '../../lifetime.ts'
import { medianOf } from '../../openstack/figures.ts'
import { Clients, times } from '../clients.ts'
import { Deployment } from '../deployment.ts'
import type { Figure, Findings } from '../findings.ts'
import { mostDuring, rssMib } from '../memory.ts'
import { START_IS_OVER_MS, startPaused } from '../paused-service.ts'
import { type Stage, say } from '../stage.ts'

/** So long that all of a crowd are under way before the first of them is done. */
const ACCEPT_MS = 2_000
const LOOKS_EACH_MS = 200
const STARTS = 5
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
  const run = await withinLifetime(t, inner => measureRun(inner, stage, step))
  const middle = run.slice(Math.floor(run.length / 3), Math.floor((2 * run.length) / 3))
  const last = run.slice(Math.floor((2 * run.length) / 3))
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
      name: `memory while reconcile looks at ${scale.spares} spares, above an idle start's`,
      unit: 'MiB',
      values: [crowd.reconcileMib - crowd.idleMib]
    },
    {
      name: `memory over ${claims} claims, last third / middle third`,
      goal: { atMost: 1.1 },
      values: [medianOf(last) / medianOf(middle)]
    }
  ]
  const rows = run.map((mib, index) => [String((index + 1) * step), mib.toFixed(1)])
  const tables = [{ title: 'Memory in a long run', titles: ['claims served', 'RSS, MiB'], rows }]
  return { figures, tables, readings: { starts, crowd, run } }
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
  const [crowdMib, underWay] = await Promise.all([mostDuring(pid, claiming), mostUnderWay(deployment, claiming)])
  await stage.cloud.ask('delay', { preset: 'none' })
  say('memory: reconcile')
  const reconcileMib = await mostDuring(pid, service.call('POST', '/pool/reconcile'))
  return { idleMib, crowdMib, reconcileMib, inFlight: underWay }
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
 * What is in memory after each step of so many claims, with no more stock than that: reconcile, every five minutes, must not
 * decide what is seen here.
 */
async function measureRun(t: Lifetime, stage: Stage, step: number): Promise<number[]> {
  const deployment = await Deployment.open(t, stage, 'memory_run', 1)
  const { pid, url } = await startPaused(t, stage, deployment)
  await deployment.stock(step)
  const clients = new Clients(t, stage, [url], stage.options.clients)
  await clients.connect()
  const samples: number[] = []
  for (let served = step; served <= STEPS * step; served += step) {
    await clients.claim(times(step, deployment.pools[0]))
    samples.push(rssMib(pid))
    say(`memory: ${served} claims, ${samples.at(-1)?.toFixed(1)} MiB`)
    await deployment.stock(step)
    await stage.cloud.ask('forgetHandedOver')
  }
  return samples
}
