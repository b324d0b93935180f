/** `npm run mutants`: plants one bug after another in a copy of the sources, and sees whether the tests notice. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, Option } from 'commander'
import { wholeNumber } from '../../bench/whole-number.ts'
import { type Bug, bugs, plant } from './bugs.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const LEFT_OUT = ['.git', 'node_modules', 'data', 'coverage']
/** Tests that run what was built; all others need not wait for it. */
const NEED_BUILD = /^test\/(cli|processes)\//

const DAY_MS = 86_400_000

const { only, jobs, tenth } = new Command('mutants')
  .description(
    'Plants one bug after another in copies of the sources. Each must make a test fail, else the exit code is 1.'
  )
  .option('--only <pattern>', 'those whose name this regular expression matches', '')
  .addOption(
    new Option('--tenth <n>', 'every tenth of them: 0 to 9, or "today" for the one whose turn it is').env(
      'MUTANTS_TENTH'
    )
  )
  .option('--jobs <n>', 'at once', wholeNumber(1), 2)
  .parse()
  .opts<{ only: string; jobs: number; tenth?: string }>()

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

/** Whether it ends well or not. */
const run = async (cwd: string, program: string, args: readonly string[]): Promise<void> =>
  await new Promise(resolve => execFile(program, args, { cwd, maxBuffer: 1 << 30 }, () => resolve()))

/** The name of a test that fails; undefined: none does. Throws where they do not run, for another reason than the bug. */
async function failure(copy: string, { caughtBy }: Bug): Promise<string | undefined> {
  if (caughtBy.some(file => NEED_BUILD.test(file))) await run(copy, 'node', ['build.mjs'])
  const later = new Date(Date.now() + 3_600_000)
  utimesSync(join(copy, 'dist/main.js'), later, later)
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const args = [
    'vitest',
    'run',
    '--config',
    'test/mutants/vitest-config.ts',
    ...caughtBy,
    '--bail=1',
    '--reporter=json',
    `--outputFile=${report}`
  ]
  await run(copy, 'npx', args)
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  if (tests.length === 0) throw new Error('the tests did not run')
  return tests.find(({ status }) => status === 'failed')?.fullName
}

async function isFound(copy: string, bug: Bug): Promise<boolean> {
  let verdict: string
  let test: string | undefined
  try {
    const takeOut = plant(bug, copy)
    test = await failure(copy, bug).finally(takeOut)
    verdict = test === undefined ? 'NOT FOUND' : `found by: ${test}`
  } catch (error) {
    verdict = `NOT TRIED: ${String(error)}`
  }
  process.stdout.write(`${bug.name}\n    ${verdict}\n`)
  return test !== undefined
}

/** Takes one after another from the queue, in a copy of its own; gives how many were found. */
async function work(queue: Iterator<Bug>): Promise<number> {
  const copy = mkdtempSync(join(tmpdir(), 'spare-pool-mutants-'))
  let found = 0
  try {
    cpSync(CHECKOUT, copy, { recursive: true, filter: path => !LEFT_OUT.some(name => path === join(CHECKOUT, name)) })
    symlinkSync(join(CHECKOUT, 'node_modules'), join(copy, 'node_modules'))
    for (let next = queue.next(); !next.done; next = queue.next()) if (await isFound(copy, next.value)) found += 1
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
  return found
}

/** Whether a bug's turn is in this run, by its place among all. */
function isInTurn(index: number): boolean {
  if (tenth === undefined) return true
  const turn = tenth === 'today' ? Math.floor(Date.now() / DAY_MS) : Number(tenth)
  return index % 10 === turn % 10
}

const chosen = bugs().filter(({ name }, index) => isInTurn(index) && new RegExp(only).test(name))
const queue = chosen.values()
const found = await Promise.all(Array.from({ length: jobs }, () => work(queue)))
const total = found.reduce((sum, one) => sum + one, 0)
process.stdout.write(`\n${total} of ${chosen.length} planted bugs were found\n`)
if (total < chosen.length || chosen.length === 0) process.exitCode = 1
