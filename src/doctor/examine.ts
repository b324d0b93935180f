import { attempt } from '../operations/attempt.ts'
import { CloudError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import type { StoredStock } from '../pool/stores.ts'
import { checkOf, judgeKeystoneClock, judgePoolRoles } from './examination.ts'
import { examineDatabase } from './examine-database.ts'
import { examineHandover } from './examine-handover.ts'
import { examinePool } from './examine-pool.ts'
import { cinderAdvice, type Examined } from './examined.ts'
import { type Check, type CheckId, type Finding, failed, ok, skipped, warning } from './finding.ts'
import { readClock } from './read-clock.ts'
import type { CinderFacts } from './release-examination.ts'

export interface Examination {
  /** Undefined: it could not be asked. */
  readonly cinder: CinderFacts | undefined
  readonly findings: readonly Finding[]
}

/** Holds a configuration against its database and its cloud, and changes neither. Every check runs that can. */
export async function examine(examined: Examined, call: Call): Promise<Examination> {
  const database = await attempt(examined.database)
  const stock = database instanceof Error ? undefined : database?.stock
  const before = [...judgeSettings(examined), ...(await examineDatabase(examined, database))]
  const { cinder, findings } = await examineCloud(examined, stock, call)
  return { cinder, findings: [...before, ...findings] }
}

/** Cinder itself waits up to 60 s for an accept. */
const ACCEPT_SECONDS = 60

function judgeSettings({ settings, secret }: Examined): Finding[] {
  const { targets, cloudTimeoutSeconds: seconds } = settings
  const timeout = `openstack.timeout_seconds is ${seconds}`
  const late =
    'raise it above 60: Cinder itself may take so long to accept a transfer, and what was cut off must be found out'
  return [
    ok('configuration.file', 'every key is known, and has a value that fits'),
    secret === undefined
      ? ok(
          'configuration.secret',
          'secret_file is not there yet: the first start makes it',
          'give all replicas the same one'
        )
      : ok('configuration.secret', `from ${secret}`),
    targets.length > 0
      ? ok('configuration.pools', `${targets.length} in the configuration`)
      : warning('configuration.pools', 'none in the configuration', 'name what is to be kept in stock under pools'),
    seconds > ACCEPT_SECONDS ? ok('configuration.timeout', timeout) : warning('configuration.timeout', timeout, late)
  ]
}

async function examineCloud(examined: Examined, stock: StoredStock | undefined, call: Call): Promise<Examination> {
  const pool = await attempt(() => examined.cloud.poolProject(call))
  if (pool instanceof Error) {
    const failure = failed('login.keystone', pool.message, loginAdvice(pool))
    const others = [
      'login.roles',
      'login.clock',
      'cloud.release',
      ...checksInCinder(examined),
      'hand-over.reach'
    ] as const
    return { cinder: undefined, findings: [failure, ...others.map(check => skipped(check, 'the login failed'))] }
  }
  const cinder = await attempt(() => askCinder(examined, call))
  const known = cinder instanceof Error ? undefined : cinder
  return {
    cinder: known,
    findings: [
      ok('login.keystone', `project ${pool.id}`),
      judgePoolRoles(pool.roles, known?.release),
      await examineKeystoneClock(examined, call),
      ...(cinder instanceof Error
        ? withoutCinder(examined, cinder)
        : await examinePool({ examined, pool, cinder, stock }, call)),
      ...(await examineHandover(examined, { pool, release: known?.release }, call))
    ]
  }
}

async function askCinder({ cloud }: Examined, call: Call): Promise<CinderFacts> {
  const [release, asked] = [await cloud.release(call), await cloud.microversion(call)]
  const minor = /^3\.(\d+)$/.exec(asked)?.[1]
  return { release, askedMinor: minor === undefined ? undefined : Number(minor) }
}

const withoutCinder = (examined: Examined, error: Error): Finding[] => [
  failed('cloud.release', error.message, cinderAdvice(error)),
  ...checksInCinder(examined).map(check => skipped(check, 'Cinder cannot be used'))
]

const checksInCinder = ({ settings }: Examined): (Check | CheckId)[] => [
  'cloud.flatten',
  'cloud.double-accept',
  'cloud.encryption',
  'cloud.default-type',
  'cloud.transfer-list',
  'pools.snapshots',
  ...settings.targets.map(checkOf),
  'pools.quota',
  'pools.budget',
  'pools.volumes'
]

async function examineKeystoneClock({ cloud, clock }: Examined, call: Call): Promise<Finding> {
  const reading = await attempt(() => readClock(clock, () => cloud.keystoneTime(call)))
  return reading instanceof Error
    ? failed('login.clock', reading.message, loginAdvice(reading))
    : judgeKeystoneClock(reading)
}

function loginAdvice(error: Error): string {
  const code = error instanceof CloudError ? error.code : undefined
  if (code === 'login_refused') {
    return 'check user, password, project and domains under openstack.auth: Keystone says the same of a wrong password, an unknown user or project, and a user without a role in the project'
  }
  return "check openstack.auth.auth_url, and that Keystone can be reached from here: it must answer on that address's /v3"
}
