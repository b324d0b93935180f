/**
 * Runs one service process under a steady load with faults, and reads its memory and its handles before and after, at rest.
 * Exit code 1: they have grown.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Command } from 'commander'
import { mend, operate } from '../test/processes/mend.ts'
import { ServiceProcess } from '../test/processes/service-process.ts'
import { aStage, type Lifetime, type Stage } from '../test/processes/stage.ts'
import { withLifetime } from './lifetime.ts'
import { type Loaded, load, POOLS } from './soak/load.ts'
import { collectGarbage, INSPECTED, type Reading, read } from './soak/readings.ts'
import { wholeNumber } from './whole-number.ts'

interface Options {
  readonly minutes: number
  readonly rate: number
  readonly seed: number
}

const command = new Command('soak')
  .description('A steady load with faults on one service process: its memory and handles must not grow.')
  .option('--minutes <n>', 'under load, after a minute of warming up', wholeNumber(1), 5)
  .option('--rate <n>', 'claims a second', wholeNumber(1), 10)
  .option('--seed <n>', 'of the faults', wholeNumber(0), randomInt(2 ** 31))

const WARM_UP_SECONDS = 60
/** Longer than everything that an unfinished claim waits for, and than the 72 s that the cloud keeps idle connections. */
const REST_SECONDS = 80
/** What may be more at the end than at the start: noise, which does not grow with the minutes. */
const BOUNDS = { rssBytes: 32 * 2 ** 20, heapBytes: 8 * 2 ** 20, openFiles: 16, handles: 16 } as const

const startedAt = performance.now()
const say = (what: string): void =>
  void process.stderr.write(`[${Math.round((performance.now() - startedAt) / 1_000)} s] ${what}\n`)

async function soak(t: Lifetime, { minutes, rate, seed }: Options): Promise<boolean> {
  const stage = await aStage(t, seed, POOLS)
  const service = new ServiceProcess(t, stage.configFile, INSPECTED)
  await service.start()
  say(`warming up for ${WARM_UP_SECONDS} s`)
  await load(stage, service, { seed, rate, seconds: WARM_UP_SECONDS }, newLoaded())
  const start = await readAtRest(stage, service)
  say(`${minutes} minutes of ${rate} claims a second`)
  const loaded = newLoaded()
  await load(stage, service, { seed: seed + 1, rate, seconds: minutes * 60 }, loaded)
  const { eventLoopP99Seconds } = await read(service)
  const end = await readAtRest(stage, service)
  process.stdout.write(report(start, end, loaded, eventLoopP99Seconds))
  for (const crash of service.crashes) process.stdout.write(`the service ended by itself: ${crash}\n`)
  return service.crashes.length === 0 && grown(start, end).length === 0
}

const newLoaded = (): Loaded => ({ claims: 0, answers: new Map(), strikes: new Map() })

async function readAtRest(stage: Stage, service: ServiceProcess): Promise<Reading> {
  say(`at rest for ${REST_SECONDS} s`)
  for (let second = 0; second < REST_SECONDS; second += 1) {
    await mend(stage)
    await operate(stage, [service], '/pool/resume')
    await pause(1_000)
  }
  await collectGarbage(service)
  return await read(service)
}

const grown = (start: Reading, end: Reading): string[] =>
  Object.entries(BOUNDS).flatMap(([name, bound]) => {
    const key = name as keyof typeof BOUNDS
    return end[key] - start[key] > bound ? [key] : []
  })

function report(start: Reading, end: Reading, loaded: Loaded, p99Seconds: number): string {
  const { claims, answers, strikes } = loaded
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const row = (name: keyof typeof BOUNDS, what: string, shown: (value: number) => string): string => {
    const verdict = grown(start, end).includes(name) ? 'HAS GROWN' : 'ok'
    return `${what}: ${shown(start[name])} at the start, ${shown(end[name])} at the end: ${verdict} (at most +${shown(BOUNDS[name])})`
  }
  const failures = [...answers].filter(([answer]) => !/^20[02]$/.test(answer))
  return [
    row('rssBytes', 'RSS', mib),
    row('heapBytes', 'heap in use', mib),
    row('openFiles', 'open files', String),
    row('handles', 'active handles', String),
    `event-loop delay p99 under load: ${(p99Seconds * 1_000).toFixed(1)} ms (measured every 10 ms, which an idle loop shows)`,
    `claims served: ${claims}; answers ${shown(answers)}`,
    `failures by code: ${shown(new Map(failures))}`,
    `faults: ${shown(strikes)}`,
    ''
  ].join('\n')
}

const shown = (all: ReadonlyMap<string, number>): string =>
  [...all].map(([name, count]) => `${name}: ${count}`).join(', ') || 'none'

const options = command.parse().opts<Options>()
say(`seed ${options.seed}`)
process.exitCode = (await withLifetime(t => soak(t, options))) ? 0 : 1
