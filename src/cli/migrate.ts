import { Command } from 'commander'
import { configOption, requireServiceConfig } from './config.ts'

/** `spare-pool migrate`: brings the database up to date, as the service does at its start. */
export const migrateCommand = (): Command =>
  new Command('migrate')
    .description('bring the database up to date; the service does so itself at its start')
    .addOption(configOption())
    .action(async ({ config: file }: { config?: string }) => {
      const config = await requireServiceConfig(file, ['database'])
      const [{ createLog }, { migrateDatabase }] = await Promise.all([import('../log.ts'), import('../service.ts')])
      const applied = await migrateDatabase(config, createLog('warn'))
      process.stdout.write(applied.length > 0 ? `applied: ${applied.join(', ')}\n` : 'nothing to do\n')
    })
