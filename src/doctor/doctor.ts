import { newId, systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { findSecret } from '../config/secret.ts'
import type { Project } from '../pool/ports.ts'
import type { StoredStock } from '../pool/replenishment.ts'
import { connectCloud, type ServiceOptions, type Stops, stoppingAll } from '../service.ts'
import { settingsOf } from '../settings.ts'
import { check, type Fact, fact, ifKnown, type Site } from './check.ts'
import { judgeKeystoneClock, readClock } from './clocks.ts'
import { examineTime, judgeMigrations, judgeServer, readDatabase } from './database.ts'
import { type Finding, ok, warning } from './finding.ts'
import { examineHandover } from './hand-over.ts'
import { judgeImage, judgeSnapshots, judgeUnused, readImages } from './images.ts'
import { judgeBudget, judgeQuota } from './quotas.ts'
import { askCinder, type CinderFacts, RELEASE_CHECKS } from './release.ts'
import { judgePoolRoles } from './roles.ts'
import { judgeTransferList, judgeVolumes, listOurs, readTransfers } from './volumes.ts'

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
export const examineConfig = (options: ExamineOptions): Promise<Examination> =>
  stoppingAll(async stops => {
    const { config, env = process.env, clock = systemClock, projectIds } = options
    const cloud = connectCloud(config, env, { clock })
    stops.push(() => cloud.close())
    const site = { cloud, clock, newId, settings: settingsOf(config), call: { requestId: `req-${newId()}` } }
    const facts = factsOf(site, config, stops)
    const findings = [
      ...examineFile(config, env, cloud.warnings),
      ...(await examineDatabaseAndLogin(site, facts)),
      ...(await examineCinder(site, facts)),
      ...(await examineHandover(site, facts.pool, (await ifKnown(facts.cinder))?.release, config.access, projectIds))
    ]
    return { cinder: await ifKnown(facts.cinder), findings }
  })

type Facts = ReturnType<typeof factsOf>

function factsOf(site: Site, config: Config, stops: Stops) {
  const database = fact('database.connection', 'the database cannot be used', () => readDatabase(config, stops))
  const pool = fact('login.keystone', 'the login failed', () => site.cloud.poolProject(site.call))
  const cinder = fact('cloud.release', 'Cinder cannot be used', async () => {
    await pool()
    return await askCinder(site)
  })
  const poolInCinder: Fact<Project> = () => cinder().then(pool)
  const stock = async (): Promise<StoredStock | undefined> => (await ifKnown(database))?.stock
  const images = fact('pools.snapshots', 'snapshots could not be read', async () =>
    readImages(site, await poolInCinder(), (await stock())?.images)
  )
  const ours = fact('pools.volumes', 'volumes could not be read', async () => listOurs(site, await poolInCinder()))
  return { database, pool, cinder, poolInCinder, stock, images, ours }
}

const examineDatabaseAndLogin = async ({ cloud, clock, call }: Site, { database, pool, cinder }: Facts) => [
  await check('database.connection', async () => judgeServer(await database())),
  await check('database.migrations', async () => judgeMigrations(await database())),
  await check('database.clock', async () => examineTime(await database(), clock)),
  await check('login.keystone', async () => ok(`project ${(await pool()).id}`)),
  await check('login.roles', async () => judgePoolRoles((await pool()).roles, (await ifKnown(cinder))?.release)),
  await check('login.clock', async () => {
    await pool()
    return judgeKeystoneClock(await readClock(clock, () => cloud.keystoneTime(call)))
  })
]

/** What Cinder's release, and what is in the pool's project, mean for the pools. */
async function examineCinder(site: Site, { cinder, poolInCinder, stock, images, ours }: Facts): Promise<Finding[]> {
  const { settings, call } = site
  const { targets, snapshotName, handover, deployment, limits } = settings
  const wanted = async () => ({ targets, imageOf: (await images()).imageOf })
  return [
    ...(await Promise.all(
      RELEASE_CHECKS.map(([id, judge]) => check(id, async () => judge(await cinder(), handover, await ifKnown(images))))
    )),
    await check('cloud.transfer-list', async () => {
      const facts = await readTransfers(site, await poolInCinder(), await cinder(), await ours())
      return judgeTransferList(await cinder(), facts)
    }),
    await check('pools.snapshots', async () => judgeSnapshots(await images(), snapshotName)),
    ...judgeUnused(await ifKnown(images), snapshotName),
    ...(await Promise.all(
      targets.map(target => {
        const { os, type } = target
        return check({ id: 'pools.image', os, type }, async () => judgeImage(target, await images(), settings))
      })
    )),
    await check('pools.quota', async () => {
      const quota = await (await poolInCinder()).volumes.quota(call)
      return judgeQuota(await wanted(), await ours(), quota)
    }),
    await check('pools.budget', async () => judgeBudget(await wanted(), limits.budgetGib)),
    await check('pools.volumes', async () => judgeVolumes(deployment, await ours(), (await stock())?.holdings.length))
  ]
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
