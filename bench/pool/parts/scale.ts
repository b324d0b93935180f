import { setTimeout as pause } from 'node:timers/promises'
import { Random } from '../../../sandbox/random.ts'
import type { Lifetime } from '../../lifetime.ts'
import { medianOf } from '../../openstack/figures.ts'
import { Clients } from '../clients.ts'
import { type CpuTimes, cpuTimes, SHOWN, usedEach } from '../cpu.ts'
import { type BenchPool, Deployment } from '../deployment.ts'
import { type Findings, quantileOf, spread, type Table } from '../findings.ts'
import { START_IS_OVER_MS, startPaused, WITHOUT_RECONCILE } from '../paused-service.ts'
import { inTurn } from '../rounds.ts'
import type { ServiceProcess } from '../service-process.ts'
import { type Stage, say } from '../stage.ts'

interface Size {
  readonly pools: number
  readonly perPool: number
}

interface Scale {
  readonly large: Size
  readonly small: Size
  /** At a time, before what was claimed is made anew: not so many that a pool could run out. */
  readonly claims: number
  /** Of these, whose times are not counted: all clients begin at the same moment, and everything has rested. */
  readonly first: number
  /** In each round. */
  readonly legs: number
  readonly ticks: number
  /** Of each of `READS`. */
  readonly reads: number
  readonly creating: number
}

/** What operators and Prometheus read of all pools. */
const READS = ['/pool/stats?window=24h', '/pool/plan', '/metrics'] as const

const FULL: Scale = {
  large: { pools: 500, perPool: 200 },
  small: { pools: 5, perPool: 200 },
  claims: 500,
  first: 100,
  legs: 12,
  ticks: 50,
  reads: 20,
  creating: 5_000
}
const QUICK: Scale = {
  large: { pools: 100, perPool: 30 },
  small: { pools: 5, perPool: 30 },
  claims: 50,
  first: 10,
  legs: 2,
  ticks: 5,
  reads: 2,
  creating: 500
}

interface Side {
  readonly name: string
  readonly deployment: Deployment
  readonly service: ServiceProcess
  readonly clients: Clients
}

interface Reading {
  readonly claimsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Milliseconds of CPU time a claim, by who used them. */
  readonly cpuMs: CpuTimes
}

const CONFIG = { ticks: WITHOUT_RECONCILE }
/** No volume is finished while they are looked at, and the last of 5,000 in turn is within what a timer can wait. */
const CREATING_MS = 400_000

/** Much stock against little: on one cloud and one database server, each with a service and a database of its own. */
export async function measureScale(t: Lifetime, stage: Stage): Promise<Findings> {
  const { rounds, quick } = stage.options
  const scale = quick ? QUICK : FULL
  const sides = [
    await openSide(t, stage, 'large', scale.large),
    await openSide(t, stage, 'small', scale.small)
  ] as const
  const checking = await openSide(t, stage, 'check', { pools: 1, perPool: 1 })
  if (!quick) await pause(START_IS_OVER_MS)
  for (const { deployment, name } of sides) await deployment.stock(scale[name === 'large' ? 'large' : 'small'].perPool)
  const random = new Random(1, 'which pools are claimed from')
  say('scale: warming up')
  for (const side of sides) await measureClaims(stage, side, scale, random)
  say(`scale: ${rounds} rounds of ${scale.legs * scale.claims} claims`)
  const claims = await inTurn(rounds, sides, side => measureClaims(stage, side, scale, random))
  say(`scale: ${rounds} rounds of ${scale.ticks} replenish ticks`)
  for (const { service } of sides) await service.call('POST', '/pool/resume', {})
  const ticks = await inTurn(rounds, sides, ({ service }) => measureTicks(service, scale.ticks))
  say(`scale: ${rounds} rounds of what operators read`)
  const reads = await inTurn(rounds, sides, ({ service }) => measureReads(service, scale.reads))
  const check = await measureCheck(stage, checking, scale)
  return {
    figures: [
      {
        name: `claims a second, ${nameOf(scale.large)} / ${nameOf(scale.small)}`,
        goal: { atLeast: 0.9 },
        values: claims.map(([large, small]) => large.claimsPerSecond / small.claimsPerSecond)
      },
      {
        name: `p99 of a claim, ${nameOf(scale.small)} / ${nameOf(scale.large)}`,
        goal: { atLeast: 0.9 },
        values: claims.map(([large, small]) => small.p99Ms / large.p99Ms)
      },
      {
        name: `a replenish tick, ${scale.large.pools} full pools / ${scale.small.pools}`,
        goal: { atMost: 3 },
        values: ticks.map(([large, small]) => large / small)
      },
      {
        name: `requests to Cinder of a check_state tick, ${scale.creating} volumes being made`,
        goal: { atMost: 6 },
        values: [check.requests]
      },
      { name: '… and how long it takes', unit: 's', values: [check.seconds] }
    ],
    tables: [tableFor(scale, claims, ticks), readsTable(scale, reads)],
    readings: { claims, ticks, reads, check }
  }
}

const nameOf = ({ pools, perPool }: Size): string => `${pools * perPool} spares in ${pools} pools`

async function openSide(t: Lifetime, stage: Stage, name: string, { pools, perPool }: Size): Promise<Side> {
  const deployment = await Deployment.open(t, stage, `scale_${name}`, pools)
  const service = await startPaused(t, stage, deployment, { target: perPool, config: CONFIG })
  return { name, deployment, service, clients: new Clients(t, stage, [service.url], stage.options.clients) }
}

async function measureClaims(
  stage: Stage,
  { deployment, clients, service }: Side,
  { legs, claims, first }: Scale,
  random: Random
): Promise<Reading> {
  const times: number[] = []
  let seconds = 0
  const cpuMs: Record<string, number> = {}
  for (let leg = 0; leg < legs; leg += 1) {
    const wishes = Array.from({ length: claims }, () => anyOf(deployment.pools, random))
    await clients.connect()
    const parties = { postmaster: stage.postmaster, cloud: stage.cloud.pid, servers: { server: [service.pid] } }
    const before = cpuTimes(parties)
    const claimed = await clients.claim(wishes)
    const used = usedEach(before, cpuTimes(parties), claims)
    for (const [who, ms] of Object.entries(used)) cpuMs[who] = (cpuMs[who] ?? 0) + ms / legs
    times.push(...claimed.times.slice(first))
    seconds += claimed.seconds
    await deployment.restock(wishes)
    await stage.cloud.ask('forgetHandedOver')
  }
  return { claimsPerSecond: (legs * claims) / seconds, p50Ms: medianOf(times), p99Ms: quantileOf(times, 0.99), cpuMs }
}

function anyOf(pools: readonly BenchPool[], random: Random): BenchPool {
  const pool = pools[Math.floor(random.fraction() * pools.length)]
  if (!pool) throw new Error('there are no pools')
  return pool
}

/** Mean milliseconds, by the service's own metric. */
async function measureTicks(service: ServiceProcess, count: number): Promise<number> {
  const before = await tickTimes(service, 'replenish')
  for (let run = 0; run < count; run += 1) await service.call('POST', '/pool/replenish')
  const after = await tickTimes(service, 'replenish')
  return (1_000 * (after.seconds - before.seconds)) / (after.count - before.count)
}

/** Median milliseconds of each. */
async function measureReads(service: ServiceProcess, count: number): Promise<number[]> {
  const medians: number[] = []
  for (const path of READS) {
    const times: number[] = []
    for (let read = 0; read < count; read += 1) {
      const askedMs = performance.now()
      await service.call('GET', path)
      times.push(performance.now() - askedMs)
    }
    medians.push(medianOf(times))
  }
  return medians
}

async function tickTimes(service: ServiceProcess, tick: string): Promise<{ seconds: number; count: number }> {
  const labels = `tick="${tick}"`
  return {
    seconds: await service.metric('spare_pool_tick_seconds_sum', labels),
    count: await service.metric('spare_pool_tick_seconds_count', labels)
  }
}

/** What one look at many volumes on their way takes. */
async function measureCheck(stage: Stage, { deployment, service }: Side, { creating, ticks }: Scale) {
  const [pool] = deployment.pools
  if (!pool) throw new Error('there is no pool')
  await stage.cloud.ask('delay', { creating: CREATING_MS })
  await deployment.startVolumes(pool, creating)
  say(`scale: check_state with ${creating} volumes being made`)
  await service.call('POST', '/pool/check')
  const requests = () => service.metric('spare_pool_cloud_requests_total', 'service="cinder"')
  const before = { ...(await tickTimes(service, 'check_state')), requests: await requests() }
  let checked = 0
  for (let run = 0; run < ticks; run += 1) {
    const answer: { checked: number } = JSON.parse(await service.call('POST', '/pool/check'))
    checked += answer.checked
  }
  const after = { ...(await tickTimes(service, 'check_state')), requests: await requests() }
  if (checked !== ticks * creating) throw new Error(`${ticks} checks have looked at ${checked} volumes`)
  const runs = after.count - before.count
  return { requests: (after.requests - before.requests) / runs, seconds: (after.seconds - before.seconds) / runs }
}

function tableFor(
  { large, small }: Scale,
  claims: readonly (readonly [Reading, Reading])[],
  ticks: readonly (readonly [number, number])[]
): Table {
  const row = (size: Size, side: 0 | 1): string[] => {
    const of = (key: 'claimsPerSecond' | 'p50Ms' | 'p99Ms'): string => spread(claims.map(round => round[side][key]))
    const cpu = SHOWN.map(who => spread(claims.map(round => round[side].cpuMs[who] ?? 0)))
    return [
      nameOf(size),
      of('claimsPerSecond'),
      of('p50Ms'),
      of('p99Ms'),
      ...cpu,
      spread(ticks.map(round => round[side]))
    ]
  }
  return {
    title: 'Much stock and little',
    titles: [
      '',
      'claims a second',
      'median, ms',
      'p99, ms',
      ...SHOWN.map(who => `CPU of ${who}, ms a claim`),
      'replenish tick, ms'
    ],
    rows: [row(large, 0), row(small, 1)]
  }
}

const readsTable = ({ large, small }: Scale, rounds: readonly (readonly [number[], number[]])[]): Table => ({
  title: 'What operators read, ms',
  titles: ['', ...READS],
  rows: [large, small].map((size, side) => [
    nameOf(size),
    ...READS.map((_, read) => spread(rounds.map(round => round[side]?.[read] ?? 0)))
  ])
})
