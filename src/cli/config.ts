import { Option } from 'commander'
import { parseConfig, readConfig } from '../config/config.ts'
import { ConfigError } from '../config/config-faults.ts'
import type { Config } from '../config/schema.ts'

type Environment = Readonly<Record<string, string | undefined>>

export const configOption = (): Option =>
  new Option('-c, --config <file>', 'the configuration, as config.example.yaml shows it').env('SPARE_POOL_CONFIG')

/** Undefined: none was given. */
export const loadConfig = (
  file: string | undefined,
  env: Environment,
  further?: Parameters<typeof readConfig>[2]
): Config | undefined => (file === undefined ? undefined : readConfig(file, env, further))

/** For a service that is about to be started: login and secret are checked with all the rest. */
export async function loadServiceConfig(file: string | undefined, env: Environment): Promise<Config | undefined> {
  const { serviceProblems } = await import('../service.ts') // Not before it is needed: it brings everything with it.
  return loadConfig(file, env, (config, isSound) => serviceProblems(config, env, isSound))
}

export const requireServiceConfig = async (file: string | undefined, env: Environment): Promise<Config> =>
  (await loadServiceConfig(file, env)) ?? noConfig()

/** For what uses the database only. */
export async function requireDatabaseConfig(file: string | undefined, env: Environment): Promise<Config> {
  const { serviceProblems } = await import('../service.ts')
  const problems = (config: Config, isSound: (path: string) => boolean): string[] =>
    serviceProblems(config, env, path => path === 'database' && isSound(path))
  return loadConfig(file, env, problems) ?? noConfig()
}

/** For commands that make no sense without one. */
export const requireConfig = (file: string | undefined, env: Environment): Config => loadConfig(file, env) ?? noConfig()

function noConfig(): never {
  throw new ConfigError('the command line', ['--config: is missing; config.example.yaml shows what goes into the file'])
}

/** The demonstration: three small pools against a sandbox. */
export async function demoConfig(auth: object, env: Environment): Promise<Config> {
  const { serviceProblems } = await import('../service.ts')
  return parseConfig(
    {
      database: { embedded: { data_dir: './data' } },
      openstack: { auth },
      pools: [
        { os: 'debian12', type: 'ssd', target: 5 },
        { os: 'debian12', type: 'sas', target: 3 },
        { os: 'windows2022', type: 'ssd', target: 2 }
      ],
      ticks: { replenish: '*/5 * * * * *', check_state: '*/1 * * * * *', reconcile: '0 * * * * *' },
      access: { mode: 'none' }
    },
    env,
    'the demonstration',
    (config, isSound) => serviceProblems(config, env, isSound)
  )
}
