/** `npm run mutants`: plants one bug after another in a copy of the sources, and sees whether the tests notice. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { MUTANTS, type Mutant } from './mutants.ts'
import { planted } from './plant.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const LEFT_OUT = ['.git', 'node_modules', 'data', 'coverage']

const { only } = new Command('mutants')
  .description(
    'Plants one bug after another in a copy of the sources. Each must make a test fail; exit code 1: one did not.'
  )
  .option('--only <words>', 'those whose name contains these words', '')
  .parse()
  .opts<{ only: string }>()

/** The names of the tests that failed; undefined: they did not run, for another reason than the bug. */
function failures(copy: string, files: readonly string[]): string[] | undefined {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const args = ['vitest', 'run', ...files, '--bail=1', '--reporter=json', `--outputFile=${report}`]
  spawnSync('npx', args, { cwd: copy, stdio: 'ignore' })
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
    const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
    if (tests.length === 0) return undefined
    return tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
  } catch {
    return undefined
  }
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

function isCaught(copy: string, { name, file, caughtBy, ...change }: Mutant): boolean {
  const path = join(copy, file)
  const sound = readFileSync(path, 'utf8')
  writeFileSync(path, planted(sound, change))
  const failed = failures(copy, caughtBy)
  writeFileSync(path, sound)
  const [first] = failed ?? []
  const verdict = failed === undefined ? 'THE TESTS DID NOT RUN' : first ? `found: ${first}` : 'NOT FOUND'
  process.stdout.write(`${name}\n    ${verdict}\n`)
  return first !== undefined
}

const copy = mkdtempSync(join(tmpdir(), 'spare-pool-mutants-'))
try {
  cpSync(CHECKOUT, copy, { recursive: true, filter: path => !LEFT_OUT.some(name => path === join(CHECKOUT, name)) })
  symlinkSync(join(CHECKOUT, 'node_modules'), join(copy, 'node_modules'))
  const chosen = MUTANTS.filter(({ name }) => name.includes(only))
  const found = chosen.filter(mutant => isCaught(copy, mutant))
  process.stdout.write(`\n${found.length} of ${chosen.length} planted bugs were found\n`)
  if (found.length < chosen.length || chosen.length === 0) process.exitCode = 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}
