import { type Command, Option } from 'commander'
import type { SyncView } from '../http/schemas.ts'
import { PURGES } from '../pool/stores.ts'
import { printJson, printTable } from './output.ts'
import { type ClientOptions, callService, clientCommand, jsonOption } from './request.ts'

interface Options extends ClientOptions {
  readonly purge?: string
  readonly dryRun?: boolean
  readonly allowEmpty?: boolean
}

/** `spare-pool sync`: has a running service read the snapshots again. */
export const syncCommand = (): Command =>
  clientCommand('sync', 'have a running service read the snapshots again, after an image update')
    .addOption(
      new Option('--purge <which>', 'the spares to retire; default: images.purge_on_sync').choices([...PURGES])
    )
    .option('--dry-run', 'only show what would happen')
    .option('--allow-empty', 'go on although no snapshot matches')
    .addOption(jsonOption())
    .action(async ({ purge, dryRun = false, allowEmpty = false, ...options }: Options) => {
      const body = { purge, dry_run: dryRun, allow_empty: allowEmpty }
      const result = (await callService(options, 'POST', '/os/sync', body)) as SyncView
      if (options.json) printJson(result)
      else printSync(result)
    })

function printSync({ images, ignored, retired, dry_run }: SyncView): void {
  printTable(
    ['OS', 'TYPE', 'VERSION', 'CHANGE', 'SNAPSHOT', 'VOLUME TYPE', 'GIB'],
    images.map(({ os, type, version, change, snapshot_id, volume_type, size }) => {
      return [os, type, version, change, snapshot_id, volume_type, size]
    })
  )
  for (const { name, reason } of ignored) process.stdout.write(`ignored: ${name}: ${reason}\n`)
  const outcome = dry_run ? `would retire ${retired} spares; nothing was changed` : `retired ${retired} spares`
  process.stdout.write(`${outcome}\n`)
}
