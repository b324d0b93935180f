import { setTimeout as pause } from 'node:timers/promises'
import { Random } from '../../sandbox/random.ts'
import type { Tables } from '../simulation/tables.ts'
import { readTables } from '../simulation/watch.ts'
import type { ServiceRole } from '../support/service-role.ts'
import { until } from '../support/until.ts'
import { audit, type Findings, stockOf } from './audit.ts'
import { Callers, type Told, type Wish } from './callers.ts'
import { CloudFaults } from './cloud-faults.ts'
import { makeForeign } from './foreign.ts'
import { mend, operate } from './mend.ts'
import { ServiceProcess } from './service-process.ts'
import { aStage, type Lifetime, type PoolTarget, type Stage } from './stage.ts'

export interface ChaosOptions {
  readonly seed: number
  /** What the service's user is. */
  readonly role: ServiceRole
  readonly claims: number
  readonly callers: number
  /** Of PostgreSQL. */
  readonly restarts: number
  /** How long it may take until all claims have their disk, and then until all is whole again. */
  readonly secondsMax: number
}

export interface Outcome {
  readonly told: Told
  readonly wishes: number
  readonly requests: number
  readonly kills: number
  readonly failedStarts: number
  readonly crashes: readonly string[]
  readonly restarts: number
  readonly strikes: ReadonlyMap<string, number>
  readonly inStock: number
  /** Of the disks that claims were given. */
  readonly sources: ReadonlyMap<string, number>
  readonly target: number
  readonly findings: Findings
  readonly exitCodes: readonly unknown[]
  /** Until all claims had their disk, and from then until all was whole again. */
  readonly seconds: readonly [number, number]
}

const POOLS: readonly PoolTarget[] = [
  { os: 'debian12', type: 'ssd', target: 120 },
  { os: 'debian12', type: 'sas', target: 60 },
  { os: 'windows2022', type: 'ssd', target: 20 }
]

const TARGET = POOLS.reduce((sum, { target }) => sum + target, 0)

/** Two service processes, many callers, and everything that can go wrong; then the time to mend it. */
export async function chaos(t: Lifetime, options: ChaosOptions): Promise<Outcome> {
  const { seed, role, claims, secondsMax } = options
  const stage = await aStage(t, seed, POOLS, role)
  const wishes = wishesOf(claims, new Random(seed, 'wishes'))
  const foreign = await makeForeign(stage, existingOf(wishes))
  const replicas = [new ServiceProcess(t, stage.configFile), new ServiceProcess(t, stage.configFile)]
  await Promise.all(replicas.map(replica => replica.start()))
  const faults = new CloudFaults(stage, new Random(seed, 'faults'))
  const asking = new Callers(stage, replicas, new Random(seed, 'callers'))
  const requests = requestsFor(wishes, new Random(seed, 'requests'))

  await until(async () => stockOf(await readTables(stage.db)) === TARGET, secondsMax)
  const begun = performance.now()
  const restarts = await askInTrouble({ stage, replicas, faults, asking, requests }, options)
  await asking.close()
  faults.end()
  const asked = performance.now()

  const audited = { stage, wishes: new Set(wishes), told: asking.told, foreign }
  let findings = await audit(audited)
  while (isAny(findings) && performance.now() - asked < secondsMax * 1_000) {
    await mend(stage)
    await operate(stage, replicas, '/pool/resume')
    await pause(MEND_MS)
    findings = await audit(audited)
  }
  const tables = await readTables(stage.db)
  const exitCodes = await Promise.all(replicas.map(replica => replica.stop()))
  return {
    told: asking.told,
    wishes: wishes.length,
    requests: requests.length,
    kills: sum(replicas.map(({ kills }) => kills)),
    failedStarts: sum(replicas.map(({ failedStarts }) => failedStarts)),
    crashes: replicas.flatMap(({ crashes }) => crashes),
    restarts,
    strikes: faults.strikes,
    inStock: stockOf(tables),
    sources: sourcesOf(tables),
    target: TARGET,
    findings,
    exitCodes,
    seconds: [(asked - begun) / 1_000, (performance.now() - asked) / 1_000]
  }
}

interface Scene {
  readonly stage: Stage
  readonly replicas: readonly ServiceProcess[]
  readonly faults: CloudFaults
  readonly asking: Callers
  readonly requests: readonly Wish[]
}

/** Has all claims asked for while everything goes wrong; gives how often PostgreSQL was restarted. */
async function askInTrouble(scene: Scene, { seed, callers, restarts, secondsMax }: ChaosOptions): Promise<number> {
  const { stage, replicas, faults, asking, requests } = scene
  const [over, late] = [new AbortController(), AbortSignal.timeout(secondsMax * 1_000)]
  const progress: Progress = async count => {
    const [goal, until] = [asking.served + count, performance.now() + PROGRESS_SECONDS_MAX * 1_000]
    while (!over.signal.aborted && asking.served < goal && performance.now() < until) await pause(10)
    return !over.signal.aborted
  }
  try {
    const [restarted] = await Promise.all([
      restartPostgres(stage, restarts, requests.length, progress),
      changeFaults(faults, progress),
      killAtRandom(replicas, new Random(seed, 'kills'), progress),
      mendUntil(over.signal, stage, replicas),
      asking.ask(requests, callers, late).finally(() => over.abort())
    ])
    return restarted
  } finally {
    over.abort()
  }
}

function sourcesOf({ claims }: Tables): Map<string, number> {
  const sources = new Map<string, number>()
  for (const { source } of claims) sources.set(String(source), (sources.get(String(source)) ?? 0) + 1)
  return sources
}

const isAny = (findings: Findings): boolean => Object.values(findings).some(found => found.length > 0)
const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0)

function wishesOf(count: number, random: Random): Wish[] {
  return Array.from({ length: count }, (_, index) => {
    const { os = '', type = '' } = POOLS[[0, 0, 0, 0, 1, 1, 2][Math.floor(random.fraction() * 7)] ?? 0] ?? {}
    return {
      project: random.fraction() < 0.5 ? 'tenant-a' : 'tenant-b',
      hostname: `web-${index}`,
      os,
      type,
      ...(random.fraction() < 0.05 && { size: 60 }),
      ...(random.fraction() < 0.2 && { key: `key-of-web-${index}` })
    }
  })
}

/** Some tenants have a disk of that name already. */
const existingOf = (wishes: readonly Wish[]) =>
  wishes
    .filter(({ size }, index) => index % 100 === 7 && size === undefined)
    .map(({ project, hostname }) => ({ project, name: `${hostname}_sys` }))

/** Each wish once, and every fourth one several times: at the same moment, or another one once more, later. */
function requestsFor(wishes: readonly Wish[], random: Random): Wish[] {
  const requests: Wish[] = []
  for (const [index, wish] of wishes.entries()) {
    requests.push(wish)
    const repeats = random.fraction() < 0.25 ? 3 : 0
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const earlier = wishes[Math.floor(random.fraction() * index)]
      requests.push(random.fraction() < 0.6 || !earlier ? wish : earlier)
    }
  }
  return requests
}

const MEND_MS = 700

async function mendUntil(over: AbortSignal, stage: Stage, replicas: readonly ServiceProcess[]): Promise<void> {
  while (!over.aborted) {
    await mend(stage)
    await operate(stage, replicas, '/pool/resume', '/pool/check')
    await pause(MEND_MS)
  }
}

/** Waits until so many more requests have been served, or for a while. False: all are. Trouble is by deeds, not by time. */
type Progress = (served: number) => Promise<boolean>
const PROGRESS_SECONDS_MAX = 10

async function changeFaults(faults: CloudFaults, progress: Progress): Promise<void> {
  do faults.change()
  while (await progress(40))
}

/** One of them, or both; up again within a second. */
async function killAtRandom(replicas: readonly ServiceProcess[], random: Random, progress: Progress): Promise<void> {
  while (await progress(100 + random.fraction() * 400)) {
    const both = random.fraction() < 0.25
    const one = random.fraction() < 0.5 ? 0 : 1
    const victims = replicas.filter((_, index) => both || index === one)
    await Promise.all(victims.map(victim => victim.kill()))
    await pause(random.fraction() * 1_000)
    await Promise.all(victims.map(victim => victim.start()))
  }
}

/** In turn by SIGKILL and as an administrator does; gives how often. */
async function restartPostgres(stage: Stage, restarts: number, requests: number, progress: Progress): Promise<number> {
  let done = 0
  while (done < restarts && (await progress(requests / (restarts + 1)))) {
    process.kill(await stage.postmaster(), done % 2 === 0 ? 'SIGKILL' : 'SIGINT')
    done += 1
  }
  return done
}
