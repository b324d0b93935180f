import { Command, InvalidArgumentError, Option } from 'commander'
import { configOption } from './config.ts'
import { callService, printJson, type ServiceOptions, urlOption } from './request.ts'

interface Options extends ServiceOptions {
  hostname: string
  os: string
  type: string
  category?: string
  size?: number
  projectId?: string
  onEmpty?: string
  waitSeconds?: number
}

const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is wanted')
  return Number(text)
}

/** `spare-pool claim`: claims one system disk from a running service. */
export function claimCommand(): Command {
  return new Command('claim')
    .description('claim one system disk from a running service')
    .addOption(configOption())
    .addOption(urlOption())
    .requiredOption('--hostname <name>', 'the machine that the disk is for')
    .requiredOption('--os <os>', 'the OS, e.g. debian12')
    .requiredOption('--type <type>', 'the disk type, e.g. ssd')
    .option('--category <category>', 'the kind of disk', 'sys')
    .option('--size <gib>', 'GiB, if larger than the spare', wholeNumber)
    .option('--project-id <id>', 'the project that gets it')
    .addOption(new Option('--on-empty <what>', 'when there is no spare').choices(['create', 'fail']))
    .option('--wait-seconds <seconds>', 'wait so long for stock or a new disk', wholeNumber)
    .action(async ({ url, config, projectId, onEmpty, waitSeconds, ...rest }: Options) => {
      const body = { ...rest, project_id: projectId, on_empty: onEmpty, wait_seconds: waitSeconds }
      printJson(await callService(address(url, config), 'POST', '/pool/claim', body))
    })
}

const address = (url: string | undefined, config: string | undefined): ServiceOptions => ({
  ...(url === undefined ? {} : { url }),
  ...(config === undefined ? {} : { config })
})
