/**
 * Measures the service on a real Keystone, Cinder and Ceph, those of test/openstack: what a claim gains over an ordinary
 * create, and how fast a pool refills. Prints the tables of docs/performance.md.
 */
import { writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { measureHeadline } from './openstack/headline.ts'
import { build } from './openstack/process.ts'
import { measureRefill } from './openstack/refill.ts'
import { report } from './openstack/report.ts'
import { machine, type Results } from './openstack/results.ts'
import type { CheckExisting } from './openstack/service.ts'
import { openStage, type Stage, say, tidyUp } from './openstack/stage.ts'
import { wholeNumber } from './whole-number.ts'

interface Options {
  readonly sizes: number[]
  readonly rounds: number
  readonly atOnce: number
  readonly slow: number
  readonly only?: 'headline' | 'refill'
  readonly flatten?: 'on' | 'off'
  readonly everyCell?: true
  readonly checkExisting: CheckExisting
  readonly json?: string
}

const sizes = (text: string): number[] =>
  text.split(',').map(size => {
    if (/^\d{1,3}(\.\d{1,2})?$/.test(size) && Number(size) > 0) return Number(size)
    throw new InvalidArgumentError('They must be numbers with commas in between, such as 0.25,1.')
  })

const command = new Command('bench:openstack')
  .description(
    'Measures claims against ordinary creates, and how fast a pool fills, on the cloud of test/openstack, which it brings ' +
      'up where there is none. Deletes what it made, and leaves flatten on and Ceph at full speed.'
  )
  .option('--sizes <list>', 'GiB of data on the disks', sizes, [1, 2, 4])
  .option('--rounds <n>', 'claims and creates alone, of each size; half as many when slowed', wholeNumber(1), 3)
  .option('--at-once <n>', 'claims and creates at the same moment', wholeNumber(2), 8)
  .option(
    '--slow <ms>',
    'how much longer an operation of Ceph takes in the slowed part; 0: leave it out',
    wholeNumber(0),
    5
  )
  .addOption(new Option('--only <part>', 'one of the two parts').choices(['headline', 'refill']))
  .addOption(new Option('--flatten <setting>', 'one of the two settings; default: both').choices(['on', 'off']))
  .option('--every-cell', 'also eight at once of the larger disks when slowed: ten to twenty minutes more')
  .addOption(
    new Option('--check-existing <where>', "the service's claims.check_existing")
      .choices(['cinder', 'claims'])
      .default('cinder')
  )
  .option('--json <file>', 'all that was measured, for another program')

/** Ctrl-C ends the measurement, not the tidying up; a second one ends that too. */
function interruption(): AbortSignal {
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      say(`${name}: tidying up; once more to leave everything as it is`)
      interrupted.abort(new Error('interrupted'))
    })
  }
  return interrupted.signal
}

async function measure(stage: Stage, given: Options, results: Results): Promise<void> {
  const { sizes, rounds, atOnce, slow, only, flatten, everyCell = false, checkExisting } = given
  const flattens = flatten === undefined ? [true, false] : [flatten === 'on']
  const options = { sizesGib: sizes, rounds, atOnce, slowMs: slow, flattens, everyCell, checkExisting }
  if (only !== 'refill') {
    await measureHeadline(stage, options, headline => {
      results.headline = headline
    })
  }
  if (only !== 'headline') results.refills = await measureRefill(stage, options)
}

async function main(options: Options, signal: AbortSignal): Promise<void> {
  const stage = await openStage(signal)
  build()
  say('deleting what an earlier run may have left')
  await tidyUp(stage)
  const results: Results = { machine: await machine(), checkExisting: options.checkExisting }
  try {
    await measure(stage, options, results)
    say('done')
  } catch (error) {
    if (!signal.aborted) say(`failed: ${error instanceof Error ? error.message : String(error)}`)
    say('broken off: what follows was measured until then')
    throw error // Said already, since tidying up may fail as well.
  } finally {
    process.stdout.write(`\n${report(results)}`)
    if (options.json) writeFileSync(options.json, `${JSON.stringify(results, undefined, 2)}\n`)
    say('deleting what was made, restoring flatten and full speed')
    await tidyUp({ ...stage, signal: new AbortController().signal })
  }
}

command.parse()
const signal = interruption()
try {
  await main(command.opts<Options>(), signal)
} catch (error) {
  if (!signal.aborted) throw error
  process.exitCode = 130
}
