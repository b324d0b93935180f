import { setTimeout as pause } from 'node:timers/promises'
import { query } from '../../../src/store/connection/database.ts'
import type { Lifetime } from '../../lifetime.ts'
import { Clients, times } from '../clients.ts'
import { cpuTimes, usedEach } from '../cpu.ts'
import { Deployment } from '../deployment.ts'
import { type Findings, spread, type Table } from '../findings.ts'
import { openFloorDeployment, startFloor } from '../floor-process.ts'
import { startPaused } from '../paused-service.ts'
import { inTurn } from '../rounds.ts'
import type { ServiceProcess } from '../service-process.ts'
import { type Stage, say } from '../stage.ts'

interface Side {
  readonly deployment: Deployment
  readonly servers: readonly Pick<ServiceProcess, 'url' | 'pid'>[]
  readonly clients: Clients
}

interface ServiceSide extends Side {
  readonly servers: readonly ServiceProcess[]
}

interface Reading {
  readonly claimsPerSecond: number
  /** CPU time in milliseconds a claim, of all replicas together. */
  readonly serversMs: number
  readonly postgresMs: number
}

/** What a database and the logs say of claims that got in each other's way. */
interface Trouble {
  readonly commits: number
  readonly rollbacks: number
  readonly deadlocks: number
  readonly complaints: number
}

const POOLS = 4
/** An idle connection tells PostgreSQL's statistics what it has done after ten seconds. */
const STATISTICS_MS = 12_000

/**
 * Two replicas on one database against one: what they add is their quarrels. A claim that meets another one's row passes
 * over it, so a quarrel shows as a statement that failed (rolled back, be it tried again or not), as a deadlock, as a line in
 * the log, or, were it only a further try, as more transactions a claim. A claim not served from stock, or one volume given
 * twice, ends the run.
 */
export async function measureReplicas(t: Lifetime, stage: Stage): Promise<Findings> {
  const { rounds, quick } = stage.options
  const claims = quick ? 300 : 2_000
  const sides = [await openSide(t, stage, 'one', 1), await openSide(t, stage, 'two', 2)] as const
  const floors = [await openFloors(t, stage, 'one', 1), await openFloors(t, stage, 'two', 2)] as const
  say('replicas: warming up')
  for (const side of [...sides, ...floors]) {
    for (let times = 0; times < side.servers.length; times += 1) await measure(stage, side, claims)
  }
  const before = await troubles(sides)
  say(`replicas: ${rounds} rounds of ${claims} claims`)
  const readings = await inTurn(rounds, sides, side => measure(stage, side, claims))
  const after = await troubles(sides)
  const trouble = after.map((now, index) => differenceOf(now, before[index] ?? now))
  say(`replicas: ${rounds} rounds of ${claims} claims, as many clients for each of two as for one`)
  const busy = { ...sides[1], clients: clientsOf(t, stage, sides[1].servers, 2) }
  const busyReadings = await inTurn(rounds, [sides[0], busy], side => measure(stage, side, claims))
  say(`replicas: ${rounds} rounds of ${claims} claims, of floors`)
  const floorReadings = await inTurn(rounds, floors, side => measure(stage, side, claims))
  const [, two] = trouble
  const conflicts = (two?.rollbacks ?? 0) + (two?.deadlocks ?? 0) + (two?.complaints ?? 0)
  return {
    figures: [
      {
        name: 'claims per second of CPU time, service and PostgreSQL, two replicas / one',
        goal: { atLeast: 0.95 },
        values: readings.map(cpuRatio)
      },
      { name: '… with as many clients for each of two as for one', values: busyReadings.map(cpuRatio) },
      { name: '… of the floor, which sends each statement by itself', values: floorReadings.map(cpuRatio) },
      { name: 'conflicts a claim, two replicas', goal: { atMost: 0.01 }, values: [conflicts / (rounds * claims)] },
      {
        name: 'claims a second, two replicas / one',
        values: readings.map(([one, two]) => two.claimsPerSecond / one.claimsPerSecond)
      }
    ],
    tables: [tableFor(readings, trouble, rounds * claims)],
    readings: { readings, busyReadings, floorReadings, trouble }
  }
}

const cpuRatio = ([one, two]: readonly [Reading, Reading]): number =>
  (one.serversMs + one.postgresMs) / (two.serversMs + two.postgresMs)

async function openSide(t: Lifetime, stage: Stage, name: string, replicas: number): Promise<ServiceSide> {
  const deployment = await Deployment.open(t, stage, `replicas_${name}`, POOLS)
  const servers: ServiceProcess[] = []
  for (let replica = 0; replica < replicas; replica += 1) servers.push(await startPaused(t, stage, deployment))
  return { deployment, servers, clients: clientsOf(t, stage, servers, 1) }
}

async function openFloors(t: Lifetime, stage: Stage, name: string, count: number): Promise<Side> {
  const deployment = await openFloorDeployment(t, stage, `floors_${name}`, POOLS)
  const servers: Side['servers'][number][] = []
  for (let floor = 0; floor < count; floor += 1) servers.push(await startFloor(t, stage, deployment.database))
  return { deployment, servers, clients: clientsOf(t, stage, servers, 1) }
}

const clientsOf = (t: Lifetime, stage: Stage, servers: Side['servers'], times: number): Clients =>
  new Clients(
    t,
    stage,
    servers.map(({ url }) => url),
    times * stage.options.clients
  )

async function measure(stage: Stage, { deployment, servers, clients }: Side, claims: number): Promise<Reading> {
  await deployment.stock(Math.ceil(claims / POOLS))
  await stage.cloud.ask('forgetHandedOver')
  await clients.connect()
  const wishes = Array.from({ length: claims }, (_, index) => times(1, deployment.pools[index % POOLS])).flat()
  const pids = servers.map(({ pid }) => pid)
  const parties = { postmaster: stage.postmaster, cloud: stage.cloud.pid, servers: { servers: pids } }
  const before = cpuTimes(parties)
  const { seconds } = await clients.claim(wishes)
  const used = usedEach(before, cpuTimes(parties), claims)
  return {
    claimsPerSecond: claims / seconds,
    serversMs: used['servers'] ?? 0,
    postgresMs: used['PostgreSQL'] ?? 0
  }
}

async function troubles(sides: readonly ServiceSide[]): Promise<Trouble[]> {
  await pause(STATISTICS_MS)
  return await Promise.all(
    sides.map(async ({ deployment, servers }) => {
      const [row] = await query<Omit<Trouble, 'complaints'>>(
        deployment.database.db,
        `select xact_commit as commits, xact_rollback as rollbacks, deadlocks
           from pg_stat_database where datname = current_database()`
      )
      if (!row) throw new Error('PostgreSQL has no statistics')
      return { ...row, complaints: servers.flatMap(server => server.complaints()).length }
    })
  )
}

const differenceOf = (after: Trouble, before: Trouble): Trouble => ({
  commits: after.commits - before.commits,
  rollbacks: after.rollbacks - before.rollbacks,
  deadlocks: after.deadlocks - before.deadlocks,
  complaints: after.complaints - before.complaints
})

function tableFor(
  readings: readonly (readonly [Reading, Reading])[],
  trouble: readonly Trouble[],
  claims: number
): Table {
  const row = (name: string, side: 0 | 1): string[] => {
    const of = (key: keyof Reading): string => spread(readings.map(round => round[side][key]))
    const { commits = 0, rollbacks, deadlocks, complaints } = trouble[side] ?? {}
    const counts = [rollbacks, deadlocks, complaints].map(String)
    return [name, of('claimsPerSecond'), of('serversMs'), of('postgresMs'), (commits / claims).toFixed(3), ...counts]
  }
  return {
    title: 'One replica and two',
    titles: [
      'replicas',
      'claims a second',
      'CPU of services, ms a claim',
      'CPU of PostgreSQL, ms a claim',
      'transactions a claim (ticks and probes too)',
      'rolled back',
      'deadlocks',
      'warnings and errors'
    ],
    rows: [row('one', 0), row('two', 1)]
  }
}
