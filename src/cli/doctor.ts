import { Command } from 'commander'
import { ConfigError } from '../config/config-faults.ts'
import type { Examination } from '../doctor/doctor.ts'
import { type Finding, failed, groupOf } from '../doctor/finding.ts'
import { configOption, requireServiceConfig } from './config.ts'
import { printJson, printTable } from './output.ts'

interface Options {
  readonly config?: string
  readonly projectId: readonly string[]
  readonly json?: true
}

const HELP = `
It changes nothing, and runs every check that can be run, in groups:
  configuration  what the file says, and where the secret is (it makes none)
  database       reachable, writable, migrations (it runs none), its clock
  login          the service's user in the pool's project, Keystone's clock
  cloud          Cinder's release and what follows from it
  pools          snapshots and what nearly matches images.snapshot_name, each pool's
                 image, quota and limits.budget_gib for all targets, volumes
  hand-over      where disks can go; with --project-id, role and quota there
docs/operations.md explains each check under its id, which does not change.

Exit codes: 0 all would work (there may be warnings), 1 something would not, 2 wrong usage or configuration.`

/** `spare-pool doctor`: checks a configuration against the real cloud. */
export function doctorCommand(): Command {
  const collect = (id: string, before: readonly string[]): string[] => [...before, id]
  return new Command('doctor')
    .description('check a configuration against its database and cloud, without changing anything')
    .addOption(configOption())
    .option('--project-id <id>', 'also check that disks can go to this project; may be repeated', collect, [])
    .option('--json', 'the checks as JSON; a wrong configuration too')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      const examination = await examineFile(options)
      if (options.json) printAsJson(examination)
      else printAsTable(examination)
      if (!isOk(examination.findings)) process.exitCode ??= 1
    })
}

/** As JSON a wrong configuration is a finding too. */
async function examineFile({ config: file, projectId: projectIds, json }: Options): Promise<Examination> {
  try {
    const config = await requireServiceConfig(file)
    const { examineConfig } = await import('../doctor/doctor.ts')
    return await examineConfig({ config, projectIds })
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error
    process.exitCode = 2
    const findings = error.problems.map((problem): Finding => {
      return { id: 'configuration.file', ...failed(problem, 'correct it and run this again') }
    })
    return { cinder: undefined, findings }
  }
}

const isOk = (findings: Examination['findings']): boolean => findings.every(({ result }) => result !== 'failed')

/** The names are public, as the ids are: docs/operations.md. */
function printAsJson({ cinder, findings }: Examination): void {
  const checks = findings.map(({ id, result, projectId, snapshotId, ...finding }) => ({
    id,
    group: groupOf(id),
    verdict: result,
    project_id: projectId,
    snapshot_id: snapshotId,
    ...finding
  }))
  printJson({ ok: isOk(findings), release: releaseView(cinder), checks })
}

function releaseView(cinder: Examination['cinder']) {
  if (!cinder) return null
  const { release, askedMinor } = cinder
  if (askedMinor === undefined) return { name: null, microversion_max: null, microversion: null } // It is at /v2.
  return { name: release.name, microversion_max: `3.${release.highestMinor}`, microversion: `3.${askedMinor}` }
}

/** An empty line before each group. */
function printAsTable({ findings }: Examination): void {
  printTable(
    ['CHECK', 'RESULT', 'FOUND, AND WHAT TO DO'],
    findings.flatMap((finding, index) => {
      const before = findings[index - 1]
      return before && groupOf(before.id) !== groupOf(finding.id) ? [[], rowOf(finding)] : [rowOf(finding)]
    })
  )
  const count = (wanted: string): number => findings.filter(({ result }) => result === wanted).length
  process.stdout.write(`\n${count('failed')} failed, ${count('warning')} warnings, ${count('skipped')} skipped\n`)
}

const rowOf = ({ id, os, type, projectId, result, found, advice }: Finding): string[] => [
  [id, os, type, projectId].filter(part => part !== undefined).join(' '),
  result === 'failed' ? 'FAILED' : result,
  (advice ? `${found} -> ${advice}` : found).replace(/\s+/g, ' ')
]
