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

/** Each claim of a crowd is at Cinder for as long at least. */
const ACCEPT_MS = 1_000
const STARTS = 5

interface Scale {
  readonly spares: number
  readonly inFlight: number
  readonly claims: number
  readonly step: number
}

const FULL: Scale = { spares: 100_000, inFlight: 1_000, claims: 200_000, step: 10_000 }
const QUICK: Scale = { spares: 2_000, inFlight: 100, claims: 1_500, step: 250 }

/** How long a start takes, how much memory much stock and many claims take, and whether it grows with the claims served. */
export async function measureMemory(t: Lifetime, stage: Stage): Promise<Findings> {
  const scale = stage.options.quick ? QUICK : FULL
  const deployment = await Deployment.open(t, stage, 'memory', 1)
  const starts = await withinLifetime(t, inner => measureStarts(inner, stage, deployment))
  const crowd = await withinLifetime(t, inner => measureCrowd(inner, stage, deployment, scale))
  const run = await withinLifetime(t, inner => measureRun(inner, stage, deployment, scale))
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
      name: `memory over ${scale.claims} claims, last third / middle third`,
      goal: { atMost: 1.1 },
      values: [medianOf(last) / medianOf(middle)]
    }
  ]
  const rows = run.map((mib, index) => [String((index + 1) * scale.step), mib.toFixed(1)])
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
  const most = mostDuring(pid, claiming)
  await pause(ACCEPT_MS)
  const [open] = await query<{ count: number }>(
    deployment.database.db,
    "select count(*) as count from claims where status = 'open'"
  )
  const crowdMib = await most
  await stage.cloud.ask('delay', { preset: 'none' })
  say('memory: reconcile')
  const reconcileMib = await mostDuring(pid, service.call('POST', '/pool/reconcile'))
  return { idleMib, crowdMib, reconcileMib, inFlight: open?.count ?? 0 }
}

/** What is in memory after each step of so many claims. */
async function measureRun(t: Lifetime, stage: Stage, deployment: Deployment, { claims, step }: Scale) {
  const { pid, url } = await startPaused(t, stage, deployment)
  const clients = new Clients(t, stage, [url], stage.options.clients)
  await clients.connect()
  const samples: number[] = []
  for (let served = 0; served < claims; served += step) {
    await clients.claim(times(step, deployment.pools[0]))
    samples.push(rssMib(pid))
    say(`memory: ${served + step} claims, ${samples.at(-1)?.toFixed(1)} MiB`)
    await deployment.stock(step) // The stock stays as large as it was.
    await stage.cloud.ask('forgetHandedOver')
  }
  return samples
}
