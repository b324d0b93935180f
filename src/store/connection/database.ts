import knex, { type Knex } from 'knex'
import type { Client, QueryResult, QueryResultRow } from 'pg'
import { Connector } from './database-connection.ts'
import {
  isHarmless,
  isLost,
  isOutdatedPlan,
  isReadOnly,
  isUnprepared,
  toConnectError,
  toPoolError
} from './database-errors.ts'
import { type DatabaseTarget, type Environment, readDatabaseUrl } from './database-url.ts'
import { toStatement } from './named-bindings.ts'

/** A pool of connections, or one transaction. */
export type Database = Knex

export type DatabaseAddress =
  | { readonly url: string; readonly env?: Environment }
  | { readonly socketDir: string; readonly port?: number; readonly user: string; readonly database: string }

const DEFAULTS = {
  connectionsMin: 0,
  connectionsMax: 10,
  /** How long a query waits for a connection. */
  acquireTimeoutSeconds: 5,
  statementTimeoutSeconds: 10,
  idleInTransactionTimeoutSeconds: 10
}
export type DatabaseSettings = Readonly<Partial<typeof DEFAULTS>>

/** What all queries of one pool share. It travels in Knex's `userParams`, which its transactions inherit. */
interface PoolState {
  /** Turned off for good by the first refusal, as of a pgbouncer before 1.21 or with `max_prepared_statements = 0`. */
  preparedStatements: boolean
  /** The connections worth keeping. One that was cut may not know it yet; those to a former primary never find out. */
  sound: WeakSet<Client>
  /** Sets the timeouts for one transaction, behind a pooler: whatever is set for longer reaches others there. */
  timeouts: string | undefined
}

const TRIES_MAX = 3

/** Knex's client of PostgreSQL, to be extended. Its file, `knex/lib/dialects/postgres`, has no types. */
const PostgresClient: typeof Knex.Client = knex({ client: 'pg' }).client.constructor

/** Transactions in which a statement failed: PostgreSQL answers their COMMIT with a silent ROLLBACK. */
const failed = new WeakMap<Database, unknown>()

/** Opens a pool. Nothing is connected before the first query. */
export function openDatabase(options: DatabaseAddress & DatabaseSettings): Database {
  const settings = { ...DEFAULTS, ...options }
  const { statementTimeoutSeconds, idleInTransactionTimeoutSeconds } = settings
  const state: PoolState = { preparedStatements: true, sound: new WeakSet(), timeouts: undefined }
  const connector = new Connector(targetOf(options), settings)

  /** Knex itself knows one address only. */
  class ManyHostsClient extends PostgresClient {
    override async acquireRawConnection(): Promise<Client> {
      const { client, isPooled } = await connector.open()
      if (isPooled) {
        state.timeouts = `
          set local statement_timeout = '${statementTimeoutSeconds}s';
          set local idle_in_transaction_session_timeout = '${idleInTransactionTimeoutSeconds}s'`
      }
      const unsound = (): unknown => state.sound.delete(client)
      state.sound.add(client.on('error', unsound).on('end', unsound))
      return client
    }
  }

  const silent = () => {}
  const pool = knex({
    client: ManyHostsClient,
    connection: {},
    acquireConnectionTimeout: settings.acquireTimeoutSeconds * 1_000,
    pool: {
      min: settings.connectionsMin,
      max: settings.connectionsMax,
      validate: (connection: Client) => state.sound.has(connection)
    },
    log: { warn: silent, error: silent, deprecate: silent, debug: silent } // Failures are thrown, and logged by the caller.
  })
  return pool.withUserParams({ state })
}

function targetOf(address: DatabaseAddress): DatabaseTarget {
  if ('url' in address) return readDatabaseUrl(address.url, address.env ?? process.env)
  const { socketDir, port = 5432, user, database } = address
  return { ...readDatabaseUrl('postgres://user@/', {}), hosts: [{ host: socketDir, port }], user, database }
}

/** Opens `count` connections at once and leaves them open for what comes, so that rivals start level. */
export async function warmUp(db: Database, count: number): Promise<void> {
  const connections = await Promise.all(Array.from({ length: count }, () => acquire(db)))
  for (const connection of connections) await db.client.releaseConnection(connection)
}

/**
 * Sends one statement, with `:name` for each binding. An object becomes jsonb, an array an array (`= any(:ids)`); a jsonb
 * array must be stringified by the caller. Each connection prepares it once, under a name, which doubles the rate of the short
 * statements on a claim's path. Knex cannot name statements, so this borrows its connection. Use the plan `anew` for what reads
 * whole tables: a plan made when they were empty would be kept for as long as the connection.
 */
export const query = async <Row extends QueryResultRow>(
  db: Database,
  sql: string,
  bindings: object = {},
  plan: Plan = 'once'
): Promise<Row[]> => (await send<Row>(db, sql, bindings, plan)).rows

/** The same for a statement that changes rows: gives how many it changed. */
export const change = async (db: Database, sql: string, bindings: object, plan: Plan = 'once'): Promise<number> =>
  (await send(db, sql, bindings, plan)).rowCount ?? 0

type Plan = 'once' | 'anew'

async function send<Row extends QueryResultRow>(
  db: Database,
  sql: string,
  bindings: object,
  plan: Plan
): Promise<QueryResult<Row>> {
  const { name, ...unnamed } = toStatement(sql, bindings)
  const state = stateOf(db)
  return await attempt(db, () => {
    const statement = state.preparedStatements && plan === 'once' ? { name, ...unnamed } : unnamed
    return onConnection(db, connection => connection.query<Row>(statement))
  })
}

/** Runs a text of several statements, without bindings. */
export async function runScript(db: Database, text: string): Promise<void> {
  const script = { text, query_timeout: 3_600_000 } // A migration may take its time.
  await attempt(db, () => onConnection(db, connection => connection.query(script)))
}

/**
 * Runs `work` in a transaction, and again where the database gave it up for the sake of others: it must do nothing that
 * cannot be undone. Within a transaction already, it joins that one.
 */
export async function transaction<R>(db: Database, work: (tx: Database) => Promise<R>): Promise<R> {
  if (db.isTransaction) return await work(db)
  return await attempt(db, () =>
    db.transaction(async tx => {
      const { timeouts } = stateOf(tx)
      if (timeouts) await runScript(tx, timeouts)
      const result = await work(tx)
      if (failed.has(tx)) throw failed.get(tx)
      return result
    })
  )
}

/** Tries what may be tried again a few times. Within a transaction that is the transaction's own business. */
async function attempt<R>(db: Database, send: () => Promise<R>): Promise<R> {
  if (db.isTransaction) return await send()
  for (let tries = 1; ; tries++) {
    try {
      return await send()
    } catch (error) {
      const state = stateOf(db)
      if (isUnprepared(error)) state.preparedStatements = false
      if (isReadOnly(error) || isOutdatedPlan(error)) state.sound = new WeakSet()
      if (tries >= TRIES_MAX || !isHarmless(error)) throw toPoolError(error)
    }
  }
}

async function onConnection<R>(db: Database, send: (connection: Client) => Promise<R>): Promise<R> {
  const connection = await acquire(db)
  try {
    return await send(connection)
  } catch (error) {
    if (isLost(error)) stateOf(db).sound.delete(connection)
    if (db.isTransaction && !failed.has(db)) failed.set(db, error)
    throw error
  } finally {
    await db.client.releaseConnection(connection)
  }
}

async function acquire(db: Database): Promise<Client> {
  try {
    return await db.client.acquireConnection()
  } catch (error) {
    throw toConnectError(error)
  }
}

const stateOf = (db: Database): PoolState => db.userParams['state']
