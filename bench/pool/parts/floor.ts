import type { Lifetime } from '../../lifetime.ts'
import { medianOf } from '../../openstack/figures.ts'
import { Clients, times } from '../clients.ts'
import { type CpuTimes, cpuTimes, SHOWN, usedEach } from '../cpu.ts'
import { Deployment } from '../deployment.ts'
import { type Findings, quantileOf, spread, type Table } from '../findings.ts'
import { openFloorDeployment, startFloor } from '../floor-process.ts'
import { startPaused } from '../paused-service.ts'
import { inTurn } from '../rounds.ts'
import { type Stage, say } from '../stage.ts'

interface Side {
  readonly name: 'service' | 'floor'
  readonly deployment: Deployment
  readonly pid: number
  readonly many: Clients
  readonly one: Clients
}

interface Reading {
  readonly claimsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Milliseconds of CPU time a claim, by who used them. */
  readonly cpuMs: CpuTimes
}

/** What the service adds to the least that any implementation must do. */
export async function measureFloor(t: Lifetime, stage: Stage): Promise<Findings> {
  const { rounds, quick } = stage.options
  const [many, alone] = quick ? [300, 100] : [2_000, 400]
  const sides = [await serviceSide(t, stage), await floorSide(t, stage)] as const
  say('floor: warming up')
  for (const side of sides) {
    await measure(stage, side, side.many, many)
    await measure(stage, side, side.one, alone)
  }
  say(`floor: ${rounds} rounds of ${many} claims, ${stage.options.clients} at a time`)
  const crowds = await inTurn(rounds, sides, side => measure(stage, side, side.many, many))
  say(`floor: ${rounds} rounds of ${alone} claims, one at a time`)
  const singles = await inTurn(rounds, sides, side => measure(stage, side, side.one, alone))
  return {
    figures: [
      {
        name: `claims a second, ${stage.options.clients} clients, service / floor`,
        goal: { atLeast: 0.8 },
        values: crowds.map(([service, floor]) => service.claimsPerSecond / floor.claimsPerSecond)
      },
      {
        name: 'median time of a claim, one client, service / floor',
        goal: { atMost: 1.25 },
        values: singles.map(([service, floor]) => service.p50Ms / floor.p50Ms)
      },
      // Hardly depends on what else the machine does.
      {
        name: `CPU time of a claim, ${stage.options.clients} clients, service and its PostgreSQL / floor and its own`,
        values: crowds.map(([service, floor]) => ownCpu(service) / ownCpu(floor))
      }
    ],
    tables: [
      readingsTable(`Claims of ${stage.options.clients} clients`, crowds),
      readingsTable('Claims of one client', singles)
    ],
    readings: { crowds, singles }
  }
}

async function serviceSide(t: Lifetime, stage: Stage): Promise<Side> {
  const deployment = await Deployment.open(t, stage, 'service', 1)
  const service = await startPaused(t, stage, deployment)
  return { name: 'service', deployment, pid: service.pid, ...clientsOf(t, stage, service.url) }
}

async function floorSide(t: Lifetime, stage: Stage): Promise<Side> {
  const deployment = await openFloorDeployment(t, stage, 'floor', 1)
  const floor = await startFloor(t, stage, deployment.database)
  return { name: 'floor', deployment, pid: floor.pid, ...clientsOf(t, stage, floor.url) }
}

const clientsOf = (t: Lifetime, stage: Stage, url: string): Pick<Side, 'many' | 'one'> => ({
  many: new Clients(t, stage, [url], stage.options.clients),
  one: new Clients(t, stage, [url], 1)
})

async function measure(stage: Stage, { deployment, pid }: Side, clients: Clients, claims: number): Promise<Reading> {
  await deployment.stock(claims)
  await stage.cloud.ask('forgetHandedOver')
  await clients.connect()
  const parties = { postmaster: stage.postmaster, cloud: stage.cloud.pid, servers: { server: [pid] } }
  const before = cpuTimes(parties)
  const claimed = await clients.claim(times(claims, deployment.pools[0]))
  return {
    claimsPerSecond: claims / claimed.seconds,
    p50Ms: medianOf(claimed.times),
    p99Ms: quantileOf(claimed.times, 0.99),
    cpuMs: usedEach(before, cpuTimes(parties), claims)
  }
}

const ownCpu = ({ cpuMs }: Reading): number => (cpuMs['server'] ?? 0) + (cpuMs['PostgreSQL'] ?? 0)

function readingsTable(title: string, rounds: readonly (readonly [Reading, Reading])[]): Table {
  const row = (name: string, readings: readonly Reading[]): string[] => {
    const cpu = (who: string): string => spread(readings.map(({ cpuMs }) => cpuMs[who] ?? 0))
    return [
      name,
      spread(readings.map(({ claimsPerSecond }) => claimsPerSecond)),
      spread(readings.map(({ p50Ms }) => p50Ms)),
      spread(readings.map(({ p99Ms }) => p99Ms)),
      ...SHOWN.map(cpu)
    ]
  }
  const used = SHOWN.map(who => `CPU of ${who}, ms a claim`)
  return {
    title,
    titles: ['', 'claims a second', 'median, ms', 'p99, ms', ...used],
    rows: [
      row(
        'service',
        rounds.map(([service]) => service)
      ),
      row(
        'floor',
        rounds.map(([, floor]) => floor)
      )
    ]
  }
}
