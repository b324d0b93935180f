import { Option } from 'commander'
import { readConfig } from '../config/config.ts'
import { ConfigError } from '../config/config-faults.ts'
import type { Config } from '../config/schema.ts'

export const configOption = (): Option =>
  new Option('-c, --config <file>', 'the configuration, as config.example.yaml shows it').env('SPARE_POOL_CONFIG')

const SERVICE_PARTS = ['database', 'openstack', 'secret_file']

/** Checks whether what these parts name can be used, too. Undefined: no file was given. */
export async function loadServiceConfig(
  file: string | undefined,
  parts: readonly string[] = SERVICE_PARTS
): Promise<Config | undefined> {
  if (file === undefined) return undefined
  const { serviceProblems } = await import('../service.ts') // Slow: it loads the whole service.
  return readConfig(file, process.env, (config, isSound) =>
    serviceProblems(config, process.env, path => parts.includes(path) && isSound(path))
  )
}

export async function requireServiceConfig(file: string | undefined, parts?: readonly string[]): Promise<Config> {
  const config = await loadServiceConfig(file, parts)
  if (config) return config
  throw new ConfigError('the command line', ['--config: is missing; config.example.yaml shows what goes into the file'])
}
