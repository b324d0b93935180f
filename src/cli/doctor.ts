import { Command } from 'commander'
import type { Finding } from '../pool/examination.ts'
import { configOption, requireServiceConfig } from './config.ts'
import { printJson } from './request.ts'
import { printTable } from './table.ts'

interface Options {
  readonly config?: string
  readonly projectId: readonly string[]
  readonly json?: true
}

const HELP = `
It changes nothing, and runs every check that can be run:
  database      reachable, writable, migrations (it runs none)
  secret        where transfer keys are encrypted with it (it makes none)
  login, roles  the service's user in the pool's project
  microversion  Cinder new enough
  snapshots     what matches images.snapshot_name, and what nearly does
  image         each pool's, with its source volume
  quota         room for all targets; limits.budget_gib
  volumes       what carries this deployment's metadata
  handover      where disks can go; with --project-id, role and quota there

Exit codes: 0 all would work (there may be warnings), 1 something would not, 2 wrong usage or configuration.`

/** `spare-pool doctor`: checks a configuration against the real cloud. */
export function doctorCommand(): Command {
  const collect = (id: string, before: readonly string[]): string[] => [...before, id]
  return new Command('doctor')
    .description('check a configuration against its database and cloud, without changing anything')
    .addOption(configOption())
    .option('--project-id <id>', 'also check that disks can go to this project; may be repeated', collect, [])
    .option('--json', 'the findings as JSON')
    .addHelpText('after', HELP)
    .action(async ({ config: file, projectId, json }: Options) => {
      const config = await requireServiceConfig(file, process.env)
      const { examineConfig } = await import('../doctor.ts')
      const findings = await examineConfig({ config, projectIds: projectId })
      const ok = findings.every(({ verdict }) => verdict !== 'failed')
      if (json) printJson({ ok, findings })
      else printFindings(findings)
      if (!ok) process.exitCode = 1
    })
}

function printFindings(findings: readonly Finding[]): void {
  printTable(
    ['CHECK', 'RESULT', 'FOUND, AND WHAT TO DO'],
    findings.map(({ check, verdict, found, advice }) => [
      check,
      verdict === 'failed' ? 'FAILED' : verdict,
      (advice ? `${found} -> ${advice}` : found).replace(/\s+/g, ' ')
    ])
  )
  const count = (wanted: string): number => findings.filter(({ verdict }) => verdict === wanted).length
  process.stdout.write(`\n${count('failed')} failed, ${count('warning')} warnings, ${count('skipped')} skipped\n`)
}
