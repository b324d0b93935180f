import { Command, Option } from 'commander'
import type { SyncView } from '../http/schemas.ts'
import { PURGES } from '../pool/stores.ts'
import { configOption } from './config.ts'
import { callService, printJson, type ServiceOptions, urlOption } from './request.ts'
import { printTable } from './table.ts'

type Options = ServiceOptions & { purge?: string; dryRun?: boolean; allowEmpty?: boolean; json?: boolean }

/** `spare-pool sync`: has a running service read the snapshots again. */
export function syncCommand(): Command {
  return new Command('sync')
    .description('have a running service read the snapshots again, after an image update')
    .addOption(configOption())
    .addOption(urlOption())
    .addOption(
      new Option('--purge <which>', 'the spares to retire; default: images.purge_on_sync').choices([...PURGES])
    )
    .option('--dry-run', 'only show what would happen')
    .option('--allow-empty', 'go on although no snapshot matches')
    .option('--json', 'the whole answer as JSON')
    .action(async (options: Options) => {
      const { purge, dryRun = false, allowEmpty = false } = options
      const body = { ...(purge ? { purge } : {}), dry_run: dryRun, allow_empty: allowEmpty }
      const result = (await callService(options, 'POST', '/os/sync', body)) as SyncView
      if (options.json) printJson(result)
      else printSync(result)
    })
}

function printSync({ images, ignored, retired, dry_run }: SyncView): void {
  printTable(
    ['OS', 'TYPE', 'VERSION', 'CHANGE', 'SNAPSHOT', 'VOLUME TYPE', 'GIB'],
    images.map(({ os, type, version, change, snapshot_id, volume_type, size }) => [
      os,
      type,
      version,
      change,
      snapshot_id,
      volume_type,
      size
    ])
  )
  for (const { name, reason } of ignored) process.stdout.write(`ignored: ${name}: ${reason}\n`)
  process.stdout.write(
    dry_run ? `would retire ${retired} spares; nothing was changed\n` : `retired ${retired} spares\n`
  )
}
