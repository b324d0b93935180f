import { newId, systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { findSecret } from '../config/secret.ts'
import { connectCloud, type ServiceOptions, type Stops } from '../service.ts'
import { settingsOf } from '../settings.ts'
import { examineDatabase, readDatabase } from './database.ts'
import { orUndefined, read } from './facts.ts'
import { type Finding, ok, warning } from './finding.ts'
import { examineHandover } from './hand-over.ts'
import { examineLogin } from './login.ts'
import { examinePools } from './pools.ts'
import { askCinder, type CinderFacts } from './release.ts'

export interface ExamineOptions extends Pick<ServiceOptions, 'config' | 'env' | 'clock'> {
  /** Projects that disks are to go to. */
  readonly projectIds: readonly string[]
}

export interface Examination {
  /** Undefined: it could not be asked. */
  readonly cinder: CinderFacts | undefined
  readonly findings: readonly Finding[]
}

/** Holds a configuration against its database and its cloud, and changes neither. Every check runs that can. */
export async function examineConfig(options: ExamineOptions): Promise<Examination> {
  const { config, env = process.env, clock = systemClock, projectIds } = options
  const stops: Stops = []
  const cloud = connectCloud(config, env, clock, () => undefined)
  stops.push(() => cloud.close())
  const site = { cloud, clock, newId, settings: settingsOf(config), call: { requestId: `req-${newId()}` } }
  try {
    const database = await read('database.connection', 'the database cannot be used', [], () =>
      readDatabase(config, stops)
    )
    const pool = await read('login.keystone', 'the login failed', [], () => cloud.poolProject(site.call))
    const cinder = await read('cloud.release', 'Cinder cannot be used', [pool], () => askCinder(site))
    const findings = [
      ...examineFile(config, env, cloud.warnings),
      ...(await examineDatabase(database, clock)),
      ...(await examineLogin(site, pool, cinder)),
      ...(await examinePools(site, pool, cinder, orUndefined(database)?.stock)),
      ...(await examineHandover(site, pool, cinder, config.access, projectIds))
    ]
    return { cinder: orUndefined(cinder), findings }
  } finally {
    for (const end of stops.toReversed()) await end()
  }
}

type LoginWarnings = ReturnType<typeof connectCloud>['warnings']

/** Cinder itself waits up to 60 s for an accept. */
const ACCEPT_SECONDS = 60

function examineFile(config: Config, env: NonNullable<ServiceOptions['env']>, logins: LoginWarnings): Finding[] {
  const secret = findSecret(config.secret_file, env)
  const [pools, seconds] = [config.pools.length, config.openstack.timeout_seconds]
  const noSecret = ok('secret_file does not exist yet: the first start makes it', 'give all replicas the same one')
  const noPools = warning('none in the configuration', 'name what is to be kept in stock under pools')
  const timeout = `openstack.timeout_seconds is ${seconds}`
  const longer =
    'raise it above 60: Cinder itself may take so long to accept a transfer, and what was cut off must be found out'
  return [
    ...logins.map((login): Finding => ({ id: 'configuration.login', ...warning(login.found, login.advice) })),
    { id: 'configuration.file', ...ok('every key is known, and has a value that fits') },
    { id: 'configuration.secret', ...(secret === undefined ? noSecret : ok(`from ${secret}`)) },
    { id: 'configuration.pools', ...(pools > 0 ? ok(`${pools} in the configuration`) : noPools) },
    { id: 'configuration.timeout', ...(seconds > ACCEPT_SECONDS ? ok(timeout) : warning(timeout, longer)) }
  ]
}
