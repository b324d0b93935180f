import { newId, systemClock } from './clock.ts'
import type { IsSound } from './config/config-faults.ts'
import type { Config } from './config/schema.ts'
import { keyring, readSecret, secretProblems } from './config/secret.ts'
import { startEmbeddedPostgres } from './embedded/embedded-postgres.ts'
import { type App, createApp } from './http/app.ts'
import type { Tickers } from './http/app-options.ts'
import { UnderWay } from './http/under-way.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { connect, type OpenStack } from './openstack/openstack.ts'
import { cloudSettings, settingsProblems } from './openstack/settings.ts'
import { type Deps, RUN_SECONDS, type TickName } from './operations/deps.ts'
import { LEASE_MS } from './operations/renewing.ts'
import { checkState } from './operations/ticks/check-state.ts'
import { reconcile } from './operations/ticks/reconcile.ts'
import { replenish } from './operations/ticks/replenish.ts'
import { packageVersion } from './package-root.ts'
import type { Call, Clock, Log } from './pool/ports.ts'
import { settingsOf } from './settings.ts'
import { SharedClock } from './shared-clock.ts'
import { close, endInTime } from './shutdown.ts'
import { type Database, type DatabaseAddress, openDatabase } from './store/connection/database.ts'
import { databaseUrlProblems } from './store/connection/database-url.ts'
import { databaseTime, requirePrimary } from './store/inspect.ts'
import { migrate, pendingMigrations } from './store/migrate.ts'
import { storesOf } from './store/stores.ts'
import { Ticker } from './ticker.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** A running service. */
export interface Service {
  readonly url: string
  readonly app: App
  readonly deps: Deps
  readonly db: Database
  /** The connections of the ticks. */
  readonly tickDb: Database
  /** Takes no more requests, waits for requests and ticks, then stops all that was started. */
  stop(): Promise<void>
}

export interface ServiceOptions {
  readonly config: Config
  readonly env?: Environment
  readonly clock?: Clock
  /** The time of all replicas; default: the database's. */
  readonly sharedTime?: () => Promise<Date>
  readonly log?: Log & Parameters<typeof createApp>[0]['log']
  /** False: no tick runs by itself. */
  readonly ticking?: boolean
}

/** How to stop what was started, in order of the starts. */
export type Stops = (() => Promise<void>)[]

/** Starts all that a configuration names. A start that fails stops what it has started. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const stops: Stops = []
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).toReversed()) await end()
  }
  try {
    return { ...(await start(options, stops)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(options: ServiceOptions, stops: Stops): Promise<Omit<Service, 'stop'>> {
  const { config, env = process.env, ticking = true } = options
  const clock = new SharedClock(options.clock ?? systemClock)
  const log = options.log ?? createLog(config.log.level)
  const metrics = createMetrics(packageVersion())
  const cloud = connectCloud(config, env, clock, report => metrics.cloudRequest(report), log)
  stops.push(() => cloud.close())
  for (const warning of cloud.warnings) log.warn(warning, 'OpenStack settings will not work for long')
  const { db, tickDb } = await openStore(config, clock, log, stops)
  const endAligning = await clock.keepAligned(options.sharedTime ?? (() => databaseTime(tickDb)), log)
  stops.push(async () => endAligning())
  let tickers: Tickers | undefined
  const underWay = new UnderWay(clock)
  let isStopping = false
  const deps: Deps = {
    ...storesOf(db),
    cloud,
    keyring: keyring(readSecret(config.secret_file, env)),
    clock,
    newId,
    settings: settingsOf(config),
    log,
    observer: metrics.observer,
    watched: new Map(),
    isStopping: () => isStopping,
    wake: (name, afterMs) => {
      if (!ticking) return
      if (afterMs === undefined) tickers?.[name].soon()
      else tickers?.[name].within(afterMs)
    }
  }
  await deps.pools.ensure(deps.settings.targets)
  const tickDeps = { ...deps, ...storesOf(tickDb) }
  tickers = createTickers(tickDeps, config)
  const app = await createApp({
    deps,
    config,
    log,
    metrics,
    tickers,
    underWay,
    levels: {
      targets: deps.settings.targets,
      stock: () => tickDeps.spares.stock(),
      orphans: () => tickDeps.orphans.count()
    },
    unready: () => whyUnready(tickDb),
    cloudState: () => cloud.state
  })
  stops.push(() => close(app, clock))
  const url = await app.listen({ host: config.server.host, port: config.server.port })
  const works = [underWay, ...Object.values(tickers)]
  stops.push(async () => {
    isStopping = true // `/readyz` says no from here on, and is still answered.
    await endInTime(clock, config.server.shutdown_seconds, works, () => cloud.close())
  })
  if (ticking) startTickers(clock, tickers, stops)
  log.info(
    { url, version: packageVersion(), pools: config.pools.length, deployment: config.deployment },
    'service started'
  )
  return { url, app, deps, db, tickDb }
}

/** Reconciles at once, and again when the leases of a killed replica have expired: its claims are left alone until then. */
function startTickers(clock: Clock, tickers: Tickers, stops: Stops): void {
  for (const ticker of Object.values(tickers)) ticker.start()
  const stopping = new AbortController()
  stops.push(async () => stopping.abort())
  tickers.reconcile.soon()
  tickers.replenish.soon()
  clock.sleep(LEASE_MS + 1000, stopping.signal).then(
    () => tickers.reconcile.soon(),
    () => undefined // The service stops.
  )
}

/** Of one replica. Ticks have their own, so that no request waits for their statements. A claim finds two open. */
const CONNECTIONS = { requests: { connectionsMin: 2, connectionsMax: 10 }, ticks: { connectionsMax: 5 } }

/** Opens the database for requests and for ticks, and migrates it. */
async function openStore({ database }: Config, clock: Clock, log: Log, stops: Stops) {
  const address = await addressOf(database, clock, log, stops)
  const open = (connections: { connectionsMin?: number; connectionsMax: number }): Database => {
    const opened = openDatabase({ ...address, ...connections })
    stops.push(async () => await opened.destroy())
    return opened
  }
  const [db, tickDb] = [open(CONNECTIONS.requests), open(CONNECTIONS.ticks)]
  const applied = await migrate(db, clock)
  if (applied.length > 0) log.info({ applied }, 'database migrated')
  return { db, tickDb }
}

/** Applies the migrations that a configuration's database lacks; gives their names. */
export async function migrateDatabase({ database }: Config, log: Log): Promise<string[]> {
  const stops: Stops = []
  try {
    const db = openDatabase(await addressOf(database, systemClock, log, stops))
    stops.push(async () => await db.destroy())
    return await migrate(db, systemClock)
  } finally {
    for (const end of stops.toReversed()) await end()
  }
}

/** Why a service of this configuration could not start, beyond what its schema and rules say. */
export const serviceProblems = (config: Config, env: Environment, isSound: IsSound): string[] => [
  ...(isSound('database') ? databaseUrlProblems(config.database.url, env) : []),
  ...(isSound('openstack') ? settingsProblems(config.openstack, env) : []),
  ...(isSound('secret_file') ? secretProblems(config.secret_file, env) : [])
]

/** The database of a configuration. Starts the embedded one. */
export async function addressOf(
  { url, embedded }: Config['database'],
  clock: Clock,
  log: Log,
  stops: Stops
): Promise<DatabaseAddress> {
  if (url) return { url }
  const postgres = await startEmbeddedPostgres({ dataDir: embedded?.data_dir ?? './data', clock })
  log.info({ socket: postgres.socketDir }, 'embedded PostgreSQL started')
  stops.push(() => postgres.stop())
  return postgres
}

/** The cloud of a configuration. */
export const connectCloud = (
  { openstack }: Config,
  env: Environment,
  clock: Clock,
  onRequest: ReturnType<typeof createMetrics>['cloudRequest'],
  log?: Log
): OpenStack =>
  connect({
    settings: cloudSettings(openstack, env),
    clock,
    timeoutSeconds: openstack.timeout_seconds,
    onNotice: (fields, message) => log?.warn(fields, message),
    onRequest
  })

function createTickers(deps: Deps, { ticks }: Config): Tickers {
  type Run<T> = (deps: Deps, call: Call, letNextBegin: () => void) => Promise<T>
  const create = <T>(name: TickName, run: Run<T>): Ticker<T> =>
    new Ticker({
      ...deps,
      name,
      cron: ticks[name],
      run: (signal, letNextBegin) =>
        run(deps, { requestId: `req-${deps.newId()}`, signal, priority: 'background' }, letNextBegin),
      limitSeconds: RUN_SECONDS[name]
    })
  return {
    replenish: create('replenish', replenish),
    check_state: create('check_state', checkState),
    reconcile: create('reconcile', reconcile)
  }
}

async function whyUnready(db: Database): Promise<string | undefined> {
  const pending = await pendingMigrations(db)
  if (pending.length > 0) return `The database lacks the migrations ${pending.join(', ')}.`
  await requirePrimary(db)
  return undefined
}
