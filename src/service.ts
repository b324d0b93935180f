import { newId, systemClock } from './clock.ts'
import type { IsSound } from './config/config-faults.ts'
import type { Config } from './config/schema.ts'
import { keyring, readSecret, secretProblems } from './config/secret.ts'
import { startEmbeddedPostgres } from './embedded/embedded-postgres.ts'
import { type App, createApp } from './http/app.ts'
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
import type { Observer } from './pool/observer.ts'
import type { Call, Clock, Log } from './pool/ports.ts'
import { settingsOf } from './settings.ts'
import { SharedClock } from './shared-clock.ts'
import { close, endInTime } from './shutdown.ts'
import { type Database, type DatabaseAddress, openDatabase } from './store/connection/database.ts'
import { databaseUrlProblems } from './store/connection/database-url.ts'
import { databaseTime } from './store/database-time.ts'
import { requirePrimary } from './store/inspect.ts'
import { migrate, pendingMigrations } from './store/migrate.ts'
import { storesOf } from './store/stores.ts'
import { Ticker } from './ticker.ts'
import { packageVersion } from './version.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** A running service. */
export interface Service {
  readonly url: string
  readonly app: App
  readonly deps: Deps
  readonly db: Database
  /** What the ticks use. */
  readonly tickDb: Database
  /** Takes no new requests, ends those under way and the ticks, then stops what it had started. */
  stop(): Promise<void>
}

export interface ServiceOptions {
  readonly config: Config
  readonly env?: Environment
  readonly clock?: Clock
  /** Which time all replicas go by; default: the database's. */
  readonly sharedTime?: () => Promise<Date>
  readonly log?: Log & Parameters<typeof createApp>[0]['log']
  /** False: nothing runs by itself; tests call the ticks. */
  readonly ticking?: boolean
}

type Tickers = Partial<Record<TickName, Ticker<unknown>>>

/** What was started, to be stopped in reverse order. */
export type Stops = (() => Promise<void>)[]

/** Starts everything that a configuration names. What fails half way stops what it had started. */
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
  const version = packageVersion()
  const metrics = createMetrics(version)
  const cloud = connectCloud(config, env, clock, report => metrics.cloudRequest(report), log)
  stops.push(() => cloud.close())
  for (const warning of cloud.warnings) log.warn(warning, 'OpenStack settings will not work for long')
  const { db, tickDb } = await openStore(config, clock, log, stops)
  const endAligning = await clock.keepAligned(options.sharedTime ?? (() => databaseTime(tickDb)), log)
  stops.push(async () => endAligning())
  const tickers: Tickers = {}
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
      if (afterMs === undefined) tickers[name]?.soon()
      else tickers[name]?.within(afterMs)
    }
  }
  await deps.pools.ensure(deps.settings.targets)
  const behind = { ...deps, ...storesOf(tickDb) }
  const { runs, all } = createTickers(behind, config, tickers)
  const app = await createApp({
    deps,
    config,
    version,
    log,
    metrics,
    tickRuns: runs,
    underWay,
    levels: {
      targets: behind.settings.targets,
      stock: () => behind.spares.stock(),
      orphans: () => behind.orphans.count()
    },
    unready: () => whyUnready(tickDb),
    cloudState: () => cloud.state
  })
  stops.push(() => close(app, clock))
  const url = await app.listen({ host: config.server.host, port: config.server.port })
  if (ticking) for (const ticker of all) ticker.start()
  stops.push(async () => {
    isStopping = true // Readiness ends here; whoever asks whether we are ready is still answered.
    await endInTime(clock, config.server.shutdown_seconds, [underWay, ...all], () => cloud.close())
  })
  if (ticking) settleAtStart(clock, tickers, stops)
  log.info({ url, version, pools: config.pools.length, deployment: config.deployment }, 'service started')
  return { url, app, deps, db, tickDb }
}

/** At once, and again when the leases of a predecessor that was killed have run out: until then its claims are left alone. */
function settleAtStart(clock: Clock, tickers: Tickers, stops: Stops): void {
  const stopping = new AbortController()
  stops.push(async () => stopping.abort())
  tickers.reconcile?.soon()
  tickers.replenish?.soon()
  clock.sleep(LEASE_MS + 1000, stopping.signal).then(
    () => tickers.reconcile?.soon(),
    () => undefined // It stops before.
  )
}

/**
 * Apart from each other, so that no request waits for a tick's statements: together they are what one replica needs. A claim
 * after a quiet time finds two open.
 */
const CONNECTIONS = { requests: { connectionsMin: 2, connectionsMax: 10 }, ticks: { connectionsMax: 5 } }

/** A migrated database, opened for requests and for ticks. */
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

/** Brings a configuration's database up to date and closes it again; gives the migrations that it lacked. */
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

/** What would keep a service of this configuration from starting, beyond what its schema and rules say. */
export const serviceProblems = (config: Config, env: Environment, isSound: IsSound): string[] => [
  ...(isSound('database') ? databaseUrlProblems(config.database.url, env) : []),
  ...(isSound('openstack') ? settingsProblems(config.openstack, env) : []),
  ...(isSound('secret_file') ? secretProblems(config.secret_file, env) : [])
]

/** The database of a configuration; the embedded one is started. */
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

function createTickers(deps: Deps, config: Config, tickers: Tickers) {
  type Run<T> = (deps: Deps, call: Call, letNextBegin: () => void) => Promise<T>
  const create = <T>(name: TickName, run: Run<T>): Ticker<T> => {
    const ticker = new Ticker<T>({
      ...(deps satisfies { clock: Clock; log: Log; observer: Observer }),
      name,
      cron: config.ticks[name],
      run: (signal, letNextBegin) =>
        run(deps, { requestId: `req-${deps.newId()}`, signal, priority: 'background' }, letNextBegin),
      limitSeconds: RUN_SECONDS[name]
    })
    tickers[name] = ticker
    return ticker
  }
  const replenishing = create('replenish', replenish)
  const checking = create('check_state', checkState)
  const reconciling = create('reconcile', reconcile)
  return {
    all: [replenishing, checking, reconciling],
    runs: {
      replenish: () => replenishing.now(),
      checkState: () => checking.now(),
      reconcile: () => reconciling.now()
    }
  }
}

async function whyUnready(db: Database): Promise<string | undefined> {
  const pending = await pendingMigrations(db)
  if (pending.length > 0) return `The database lacks the migrations ${pending.join(', ')}.`
  await requirePrimary(db)
  return undefined
}
