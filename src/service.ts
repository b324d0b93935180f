import { newId, systemClock } from './clock.ts'
import type { IsSound } from './config/config-faults.ts'
import type { Config } from './config/schema.ts'
import { keyring, readSecret, secretProblems } from './config/secret.ts'
import { startEmbeddedPostgres } from './embedded/embedded-postgres.ts'
import { type App, createApp } from './http/app.ts'
import type { Tickers } from './http/app-options.ts'
import { UnderWay } from './http/under-way.ts'
import { createLog } from './log.ts'
import { createMetrics, type Levels } from './metrics.ts'
import { type ConnectOptions, connect, type OpenStack } from './openstack/openstack.ts'
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
import { type Database, type DatabaseSettings, openDatabase } from './store/connection/database.ts'
import { databaseUrlProblems } from './store/connection/database-url.ts'
import { databaseTime, requirePrimary } from './store/inspect.ts'
import { migrate, migrationState } from './store/migrate.ts'
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

async function stopAll(stops: Stops): Promise<void> {
  for (const stop of stops.splice(0).toReversed()) await stop()
}

/** Does work, and stops what it has started. */
export async function stoppingAll<T>(work: (stops: Stops) => Promise<T>): Promise<T> {
  const stops: Stops = []
  try {
    return await work(stops)
  } finally {
    await stopAll(stops)
  }
}

/** Starts all that a configuration names. A start that fails stops what it has started. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const stops: Stops = []
  const stop = (): Promise<void> => stopAll(stops)
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
  const cloud = connectCloud(config, env, {
    clock,
    onNotice: (fields, message) => log.warn(fields, message),
    onRequest: report => metrics.cloudRequest(report)
  })
  stops.push(() => cloud.close())
  for (const warning of cloud.warnings) log.warn(warning, 'OpenStack settings will not work for long')
  const { db, tickDb } = await openStore(config, clock, log, stops)
  const endAligning = await clock.keepAligned(options.sharedTime ?? (() => databaseTime(tickDb)), log)
  stops.push(async () => endAligning())
  let tickers: Tickers | undefined
  const underWay = new UnderWay(clock, config.openstack.timeout_seconds)
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
    levels: () => readLevels(tickDeps),
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
  const open = await databaseOf(database, clock, log, stops)
  const [db, tickDb] = [open(CONNECTIONS.requests), open(CONNECTIONS.ticks)]
  const applied = await migrate(db, clock)
  if (applied.length > 0) log.info({ applied }, 'database migrated')
  return { db, tickDb }
}

/** Applies the migrations that a configuration's database lacks; gives their names. */
export const migrateDatabase = ({ database }: Config, log: Log): Promise<string[]> =>
  stoppingAll(async stops => {
    const open = await databaseOf(database, systemClock, log, stops)
    return await migrate(open(), systemClock)
  })

/** Why a service of this configuration could not start, beyond what its schema and rules say. */
export const serviceProblems = (config: Config, env: Environment, isSound: IsSound): string[] => [
  ...(isSound('database') ? databaseUrlProblems(config.database.url, env) : []),
  ...(isSound('openstack') ? settingsProblems(config.openstack, env) : []),
  ...(isSound('secret_file') ? secretProblems(config.secret_file, env) : [])
]

/** Gives what opens the database of a configuration. Starts the embedded one. */
export async function databaseOf({ url, embedded }: Config['database'], clock: Clock, log: Log, stops: Stops) {
  const address = url ? { url } : await startEmbeddedPostgres({ dataDir: embedded?.data_dir ?? './data', clock })
  if ('stop' in address) {
    log.info({ socket: address.socketDir }, 'embedded PostgreSQL started')
    stops.push(() => address.stop())
  }
  return (connections: Pick<DatabaseSettings, 'connectionsMin' | 'connectionsMax'> = {}): Database => {
    const db = openDatabase({ ...address, ...connections })
    stops.push(async () => await db.destroy())
    return db
  }
}

/** The cloud of a configuration. */
export const connectCloud = (
  { openstack }: Config,
  env: Environment,
  options: Pick<ConnectOptions, 'clock' | 'onNotice' | 'onRequest'>
): OpenStack =>
  connect({ ...options, settings: cloudSettings(openstack, env), timeoutSeconds: openstack.timeout_seconds })

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

async function readLevels({ spares, orphans, settings }: Deps): Promise<Levels> {
  const [stock, orphanCount] = await Promise.all([spares.stock(), orphans.count()])
  return { targets: settings.targets, stock, orphans: orphanCount }
}

async function whyUnready(db: Database): Promise<string | undefined> {
  const { pending } = await migrationState(db) // Those of a newer service do not matter: it may run beside us.
  if (pending.length > 0) return `The database lacks the migrations ${pending.join(', ')}.`
  await requirePrimary(db)
  return undefined
}
