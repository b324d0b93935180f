import { CloudError, PoolError } from '../pool/errors.ts'
import {
  type Finding,
  failed,
  few,
  type ImageFacts,
  imageOf,
  judgeImage,
  judgePoolRoles,
  judgeQuota,
  judgeSnapshots,
  judgeVolumes,
  ok,
  skipped,
  warning
} from '../pool/examination.ts'
import type { Image } from '../pool/image.ts'
import type { Call, Cloud, CloudFacts, Project, Volume } from '../pool/ports.ts'
import { DEPLOYMENT_KEY } from '../pool/spare.ts'
import type { StoredStock } from '../pool/stores.ts'
import { attempt } from './attempt.ts'
import { examineHandover } from './examine-handover.ts'
import { type ImagesInCinder, type Reader, readAllImages } from './read-images.ts'

/** A configuration, and ways to look at what it names. */
export interface Examined extends Reader {
  readonly cloud: Cloud & CloudFacts
  /** Callers come with Keystone tokens of their own, which can accept. */
  readonly callersAccept: boolean
  /** Projects that disks are to go to. */
  readonly projectIds: readonly string[]
  /** Undefined: it is the embedded one, and not there yet. */
  readonly database: () => Promise<DatabaseFacts | undefined>
  /** Where the secret is; undefined: nowhere yet. */
  readonly secret: string | undefined
}

export interface DatabaseFacts {
  readonly version: string
  readonly isStandby: boolean
  readonly pending: readonly string[]
  /** Why migrations would be refused. */
  readonly refused: string | undefined
  /** Undefined: its tables are not there. */
  readonly stock: StoredStock | undefined
}

/** Holds a configuration against its database and its cloud, and changes neither. Every check runs that can. */
export async function examine(examined: Examined, call: Call): Promise<Finding[]> {
  const database = await attempt(examined.database)
  const stock = database instanceof Error ? undefined : database?.stock
  return [
    judgeDatabase(database),
    examined.secret === undefined
      ? ok('secret', 'secret_file is not there yet: the first start makes it', 'give all replicas the same one')
      : ok('secret', `from ${examined.secret}`),
    ...judgeSettings(examined),
    ...(await examineCloud(examined, stock, call))
  ]
}

function judgeDatabase(facts: DatabaseFacts | undefined | Error): Finding {
  const check = 'database'
  if (!facts) return ok(check, 'the embedded one does not exist yet: the first start makes it')
  if (facts instanceof Error) return failed(check, ...explainDatabase(facts))
  const { version, isStandby, pending, refused } = facts
  const server = `PostgreSQL ${version}`
  if (refused) return failed(check, `${server}; ${refused}`, 'as it says')
  if (isStandby) return failed(check, `${server}, a read-only standby`, 'let database.url lead to the primary')
  if (pending.length === 0) return ok(check, `${server}, all migrations have run`)
  const advice = 'run `spare-pool migrate`, or just start the service, which does the same'
  return warning(check, `${server}; migrations to run: ${few(pending)}`, advice)
}

/** The server's own words, and what ours make of them. */
function explainDatabase(error: Error): [found: string, advice: string] {
  if (!(error instanceof PoolError)) return [error.message, 'see database in the configuration']
  const advice = error.message.replace(/ Nothing is lost.*$/, '')
  const { cause } = error
  return [(cause instanceof Error && cause.message) || advice, advice]
}

/** Cinder itself waits up to 60 s for an accept. */
const ACCEPT_SECONDS = 60

function judgeSettings({ settings }: Examined): Finding[] {
  const seconds = settings.cloudTimeoutSeconds
  const late =
    'raise it above 60: Cinder itself may take so long to accept a transfer, and what was cut off must be found out'
  return [
    settings.targets.length > 0
      ? ok('pools', `${settings.targets.length} in the configuration`)
      : warning('pools', 'none in the configuration', 'name what is to be kept in stock under pools'),
    ...(seconds > ACCEPT_SECONDS ? [] : [warning('timeout', `openstack.timeout_seconds is ${seconds}`, late)])
  ]
}

async function examineCloud(examined: Examined, stock: StoredStock | undefined, call: Call): Promise<Finding[]> {
  const imageChecks = examined.settings.targets.map(({ os, type }) => `image ${os} ${type}`)
  const inCinder = ['snapshots', ...imageChecks, 'quota', 'volumes']
  const skip = (checks: readonly string[], why: string): Finding[] => checks.map(check => skipped(check, why))
  const pool = await attempt(() => examined.cloud.pool(call))
  if (pool instanceof Error) {
    const skippedToo = ['roles', 'microversion', ...inCinder, 'handover']
    return [failed('login', pool.message, loginAdvice(pool)), ...skip(skippedToo, 'the login failed')]
  }
  const login = [ok('login', `project ${pool.id}`), judgePoolRoles('roles', pool.roles)]
  const microversion = await attempt(() => examined.cloud.microversion(call))
  const handover = () => examineHandover(examined, pool, call)
  if (microversion instanceof Error) {
    const failure = failed('microversion', microversion.message, cinderAdvice(microversion))
    return [...login, failure, ...skip(inCinder, 'Cinder cannot be used'), ...(await handover())]
  }
  const version = ok('microversion', `${microversion} of Cinder's API`)
  return [...login, version, ...(await examinePool(examined, pool, stock, call)), ...(await handover())]
}

/** What is in the pool's project. */
async function examinePool(
  examined: Examined,
  pool: Project,
  stock: StoredStock | undefined,
  call: Call
): Promise<Finding[]> {
  const { settings } = examined
  const snapshots = await attempt(() => pool.snapshots.list(call))
  const images = await attempt(() => readAllImages(examined, call))
  const facts = images instanceof Error || snapshots instanceof Error ? undefined : { ...images, snapshots }
  const known = facts && imageFacts(examined, facts, stock?.images)
  const ours = await attempt(() => listOurs(pool, settings.deployment, call))
  const quota = await attempt(() => pool.volumes.quota(call))
  const failure = [snapshots, images].find(one => one instanceof Error)
  const imagesFound = known
    ? [...judgeSnapshots(known), ...settings.targets.map(target => judgeImage(target, known))]
    : [failed('snapshots', failure?.message ?? '', cinderAdvice(failure))]
  const countable = known && !(ours instanceof Error) && !(quota instanceof Error)
  const { targets, limits } = settings
  return [
    ...imagesFound,
    ...(countable
      ? judgeQuota({ targets, imageOf: one => imageOf(one, known), ours, quota, budgetGib: limits.budgetGib })
      : [quotaUnknown(quota)]),
    ours instanceof Error
      ? failed('volumes', ours.message, cinderAdvice(ours))
      : judgeVolumes(settings.deployment, ours, stock?.holdings.length)
  ]
}

const quotaUnknown = (quota: unknown): Finding =>
  quota instanceof Error
    ? failed('quota', quota.message, cinderAdvice(quota))
    : skipped('quota', 'snapshots or volumes could not be read')

const imageFacts = (
  { settings }: Examined,
  found: ImagesInCinder & Pick<ImageFacts, 'snapshots'>,
  inTable: readonly Image[] | undefined
): ImageFacts => ({
  source: settings.imagesSource,
  rule: settings.snapshotName,
  inCinder: found.images,
  inTable,
  snapshots: found.snapshots,
  ignored: found.ignored
})

async function listOurs(pool: Project, deployment: string, call: Call): Promise<Volume[]> {
  const ours: Volume[] = []
  for await (const page of pool.volumes.pages({ metadata: { [DEPLOYMENT_KEY]: deployment } }, call)) ours.push(...page)
  return ours
}

function loginAdvice(error: Error): string {
  const code = error instanceof CloudError ? error.code : undefined
  if (code === 'login_refused') {
    return 'check user, password, project and domains under openstack.auth: Keystone says the same of a wrong password, an unknown user or project, and a user without a role in the project'
  }
  return "check openstack.auth.auth_url, and that Keystone can be reached from here: it must answer on that address's /v3"
}

function cinderAdvice(error: unknown): string {
  const code = error instanceof CloudError ? error.code : undefined
  if (code === 'forbidden')
    return "give the service's user the role member in the pool's project, or see Cinder's policy"
  if (code === 'unavailable' || code === 'timeout') {
    return "see that Cinder runs and that its address in Keystone's catalogue can be reached from here: openstack.interface, openstack.region_name or openstack.block_storage_endpoint_override choose another"
  }
  return "do what it says; Cinder's log has more under the request's id, where there is one"
}
