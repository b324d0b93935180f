import { type Command, Option } from 'commander'
import { printJson } from './output.ts'
import { type ClientOptions, callService, clientCommand } from './request.ts'
import { wholeNumber } from './whole-number.ts'

interface Options extends ClientOptions {
  readonly projectId?: string
  readonly onEmpty?: string
  readonly waitSeconds?: number
}

/** `spare-pool claim`: claims one system disk. */
export const claimCommand = (): Command =>
  clientCommand('claim', 'claim one system disk from a running service')
    .requiredOption('--hostname <name>', 'the machine that the disk is for')
    .requiredOption('--os <os>', 'the OS, e.g. debian12')
    .requiredOption('--type <type>', 'the disk type, e.g. ssd')
    .option('--category <category>', 'the kind of disk', 'sys')
    .option('--size <gib>', 'GiB, if larger than the spare', wholeNumber)
    .option('--project-id <id>', 'the project that gets it')
    .addOption(new Option('--on-empty <what>', 'when there is no spare').choices(['create', 'fail']))
    .option('--wait-seconds <seconds>', 'wait so long for stock or a new disk', wholeNumber)
    .action(async ({ projectId, onEmpty, waitSeconds, url, config, ...wish }: Options) => {
      const body = { ...wish, project_id: projectId, on_empty: onEmpty, wait_seconds: waitSeconds }
      printJson(await callService({ url, config }, 'POST', '/pool/claim', body))
    })
