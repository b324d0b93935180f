import { writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { RELEASES } from '../../sandbox/releases.ts'
import type { Sandbox, SandboxOptions } from '../../sandbox/server.ts'
import { systemClock } from '../clock.ts'
import { wholeNumber } from './whole-number.ts'

type Given = Omit<SandboxOptions, 'clock'> & { readonly cloudsYaml?: string }

export function sandboxCommand(): Command {
  return new Command('sandbox')
    .description('A cloud to try things on: Keystone and the volume part of Cinder over HTTP, in memory')
    .option('--port <number>', 'port to listen on; 0: any free one', wholeNumber, 8791)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addOption(
      new Option('--delays <kind>', 'as measured on a real cloud, or none')
        .choices(['measured', 'none'])
        .default('measured')
    )
    .addOption(new Option('--release <name>', 'whose Cinder it imitates').choices(RELEASES).default('latest'))
    .addOption(new Option('--locale <name>', 'the language of its errors').choices(['en', 'zh_CN']).default('en'))
    .option('--list-max <number>', 'the most rows that a list’s page has', wholeNumber, 1000)
    .option('--seed <number>', 'decides all ids and the faults’ dice', wholeNumber, 1)
    .option('--token-seconds <number>', 'how long a token is good', wholeNumber, 3600)
    .option('--journal-max <number>', 'changes that the journal keeps; 0: none', wholeNumber, 100_000)
    .option('-c, --config <file>', 'taken as by every command; the sandbox needs none')
    .option('--clouds-yaml <file>', 'write a clouds.yaml there, one entry a user, named after it')
    .addHelpText('after', '\nIt forgets everything when it stops. docs/sandbox.md says how to make it fail on request.')
    .action(run)
}

async function run(given: Given): Promise<void> {
  const { cloudsYaml: file, ...options } = given
  const { cloudsYaml, startSandbox } = await import('../../sandbox/server.ts')
  const sandbox = await startSandbox({ ...options, clock: systemClock })
  const stop = (): void => void sandbox.close()
  process.once('SIGTERM', stop).once('SIGINT', stop)
  if (file !== undefined) writeFileSync(file, cloudsYaml(sandbox), { mode: 0o600 })
  process.stdout.write(welcome(sandbox, file))
}

const welcome = ({ url, authUrl }: Sandbox, file: string | undefined): string => `The sandbox cloud is up at ${url}
  Keystone   ${authUrl}
  Cinder     ${url}/volume/v3
  its own    ${url}/sandbox/state, /sandbox/journal, /sandbox/faults, /sandbox/delays
  users      pool-svc, tenant-a-user, tenant-b-user, admin; password: sandbox
  try it     ${file === undefined ? 'spare-pool sandbox --clouds-yaml clouds.yaml, then: ' : `OS_CLIENT_CONFIG_FILE=${file} `}openstack --os-cloud pool-svc volume snapshot list
Stop it with Ctrl-C.
`
