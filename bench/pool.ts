/**
 * Measures the service on a cloud and a database of its own: what it costs beyond the least that a claim must cost, and how
 * that grows. Every figure but the start's is a ratio of two things measured side by side, so that it hardly depends on the
 * machine. Prints the tables of docs/performance.md.
 */
import { writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { type Lifetime, withinLifetime, withLifetime } from './lifetime.ts'
import { type Findings, figuresTable, tableOf } from './pool/findings.ts'
import { measureBloat } from './pool/parts/bloat.ts'
import { measureContention } from './pool/parts/contention.ts'
import { measureFloor } from './pool/parts/floor.ts'
import { measureMemory } from './pool/parts/memory.ts'
import { measureRefill } from './pool/parts/refill.ts'
import { measureReplicas } from './pool/parts/replicas.ts'
import { measureScale } from './pool/parts/scale.ts'
import { type Options, openStage, type Stage, say } from './pool/stage.ts'
import { wholeNumber } from './whole-number.ts'

type Measure = (t: Lifetime, stage: Stage) => Promise<Findings>

const PARTS: Readonly<Record<string, Measure>> = {
  floor: measureFloor,
  scale: measureScale,
  replicas: measureReplicas,
  contention: measureContention,
  refill: measureRefill,
  memory: measureMemory,
  bloat: measureBloat
}

function parts(text: string): string[] {
  const names = text.split(',')
  const unknown = names.filter(name => !(name in PARTS))
  if (unknown.length > 0) throw new InvalidArgumentError(`There are the parts ${Object.keys(PARTS).join(', ')}.`)
  return names
}

interface Given extends Omit<Options, 'quick' | 'rounds'> {
  readonly rounds?: number
  readonly only: string[]
  readonly json?: string
  readonly quick?: boolean
}

const command = new Command('bench')
  .description('Measures what the service itself costs, and how that grows. A missed goal is shown, and is no failure.')
  .option('--only <parts>', `some of ${Object.keys(PARTS).join(',')}`, parts, Object.keys(PARTS))
  .option('--rounds <n>', 'of each comparison; default: 5, with --quick 2', wholeNumber(1))
  .option('--clients <n>', 'that claim at the same time', wholeNumber(1), 32)
  .option('--claims <n>', 'of a long run; default: memory 200,000, bloat 1,000,000', wholeNumber(1_000))
  .option('--quick', 'small, to see that it runs: the figures are not held against the goals')
  .option('--json <file>', 'all that was measured, for another program')
  .option('--profile <folder>', "the service's CPU profiles, written when it stops; its figures are then worth nothing")

async function main(
  t: Lifetime,
  { only, json, profile, quick = false, rounds = quick ? 2 : 5, ...given }: Given
): Promise<void> {
  const options: Options = { ...given, rounds, quick, ...(profile !== undefined && { profile: resolve(profile) }) }
  const machine = {
    cores: cpus().length,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
    load: loadavg()[0] ?? 0
  }
  const findings: Record<string, Findings> = {}
  for (const name of only) {
    say(name)
    findings[name] = await withinLifetime(t, inner => measurePart(inner, name, options))
    process.stdout.write(`${reportOf(name, findings[name], quick)}\n`)
  }
  const figures = Object.values(findings).flatMap(({ figures }) => figures)
  const { cores, processor, memoryGib, kernel, node, load } = machine
  process.stdout.write(
    `## All figures\n\nMachine: ${cores} cores (${processor}), ${memoryGib} GiB of memory, Linux ${kernel}, Node ${node}. ` +
      `Load before the run: ${load.toFixed(1)}.\n\n${figuresTable(figures, quick)}`
  )
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine, options, findings }, undefined, 2)}\n`)
}

/** Each on a stage of its own: none inherits what another has left in the database or in the cloud. */
async function measurePart(t: Lifetime, name: string, options: Options): Promise<Findings> {
  const measure = PARTS[name]
  if (!measure) throw new Error(`there is no part ${name}`)
  return await measure(t, await openStage(t, options))
}

const reportOf = (name: string, { figures, tables = [] }: Findings, quick: boolean): string =>
  [`## ${name}\n`, figuresTable(figures, quick), ...tables.filter(({ rows }) => rows.length > 0).map(tableOf)].join(
    '\n'
  )

const options = command.parse().opts<Given>()
await withLifetime(t => main(t, options))
