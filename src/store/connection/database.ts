import knex, { type Knex } from 'knex'
import { type Client, type QueryResultRow, TypeOverrides, types } from 'pg'
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
import { toStatement, valuesOf } from './named-bindings.ts'

/** A pool of connections, or one transaction. */
export type Database = Knex

export type DatabaseAddress =
  | { readonly url: string; readonly env?: Environment }
  | { readonly socketDir: string; readonly port?: number; readonly user: string; readonly database: string }

export interface DatabaseSettings {
  readonly applicationName?: string
  readonly connectionsMin?: number
  readonly connectionsMax?: number
  /** How long a query waits for a connection. */
  readonly acquireTimeoutSeconds?: number
  readonly statementTimeoutSeconds?: number
  readonly idleInTransactionTimeoutSeconds?: number
  /**
   * False behind a pooler in transaction mode that does not keep track of prepared statements (pgbouncer before 1.21, or
   * with `max_prepared_statements = 0`). Left true there, the first refusal turns it off for good.
   */
  readonly preparedStatements?: boolean
}

/** What all queries of one pool share. It travels in Knex's `userParams`, which its transactions inherit. */
interface PoolState {
  preparedStatements: boolean
  /** The connections worth keeping. One that was cut may not know it yet; those to a former primary never find out. */
  sound: WeakSet<Client>
  /**
   * Sets the timeouts for one transaction, where a pooler keeps them from a connection. Whatever is set for longer reaches
   * others there: only the transaction is ours.
   */
  timeouts: string | undefined
}

interface ConnectionPool {
  acquireConnection(): Promise<Client>
  releaseConnection(connection: Client): Promise<void>
}

const TRIES_MAX = 3

/** Transactions in which a statement failed: PostgreSQL answers their COMMIT with a silent ROLLBACK. */
const failed = new WeakMap<Database, unknown>()

/** Opens a pool. Nothing is connected before the first query. */
export function openDatabase({
  connectionsMin = 0,
  connectionsMax = 10,
  ...rest
}: DatabaseAddress & DatabaseSettings): Database {
  const { preparedStatements = true, statementTimeoutSeconds = 10, acquireTimeoutSeconds = 5, ...settings } = rest
  const { idleInTransactionTimeoutSeconds = 10, applicationName = 'spare-volume-pool' } = settings
  const state: PoolState = { preparedStatements, sound: new WeakSet(), timeouts: undefined }
  const connector = new Connector(targetOf(settings), {
    applicationName,
    connectSeconds: Math.min(acquireTimeoutSeconds, 3),
    statementTimeoutSeconds,
    idleInTransactionTimeoutSeconds,
    types: { getTypeParser: (oid: number) => numbers.getTypeParser(oid) }
  })
  const silent = () => {}
  const pool = knex({
    client: 'pg',
    connection: {}, // Connections are made below.
    acquireConnectionTimeout: acquireTimeoutSeconds * 1_000,
    pool: {
      min: connectionsMin,
      max: connectionsMax,
      validate: (connection: Client) => state.sound.has(connection)
    },
    log: { warn: silent, error: silent, deprecate: silent, debug: silent } // What fails is thrown, and logged once there.
  })
  const acquireRawConnection = async (): Promise<Client> => {
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
  Object.assign(pool.client, { acquireRawConnection }) // Knex itself knows no address but one.
  return pool.withUserParams({ state })
}

function targetOf(address: DatabaseAddress): DatabaseTarget {
  if ('url' in address) return readDatabaseUrl(address.url, address.env ?? process.env)
  const { socketDir, port = 5432, user, database } = address
  return { ...readDatabaseUrl('postgres://user@/', {}), hosts: [{ host: socketDir, port }], user, database }
}

/** Opens `count` connections at once and leaves them open for what comes, so that rivals start level. */
export async function warmUp(db: Database, count: number): Promise<void> {
  const pool: ConnectionPool = db.client
  const connections = await Promise.all(Array.from({ length: count }, () => acquire(pool)))
  for (const connection of connections) await pool.releaseConnection(connection)
}

/**
 * Sends one statement, with `:name` for each binding. The one way to the database.
 * It is prepared under a name once a connection, which doubles the rate of the short statements on a claim's path: planning
 * costs more than running them. Knex cannot name statements, so this borrows its connection. An object becomes jsonb, an
 * array an array (`= any(:ids)`); a jsonb array must be stringified by the caller. `plan: 'anew'` is for what reads whole tables:
 * a plan that was made when they were empty would be kept for as long as the connection.
 */
export async function query<Row extends QueryResultRow>(
  db: Database,
  sql: string,
  bindings: object = {},
  { plan = 'once' }: { readonly plan?: 'once' | 'anew' } = {}
): Promise<Row[]> {
  const statement = toStatement(sql)
  const values = valuesOf(statement, bindings)
  const state = stateOf(db)
  return await attempt(db, async () => {
    const named = state.preparedStatements && plan === 'once' ? { name: statement.name } : {}
    const { rows } = await onConnection(db, connection =>
      connection.query<Row>({ ...named, text: statement.text, values })
    )
    return rows
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
      learnFrom(error, stateOf(db))
      if (tries >= TRIES_MAX || !isHarmless(error)) throw toPoolError(error)
    }
  }
}

function learnFrom(error: unknown, state: PoolState): void {
  if (isUnprepared(error)) state.preparedStatements = false
  if (isReadOnly(error) || isOutdatedPlan(error)) state.sound = new WeakSet()
}

async function onConnection<R>(db: Database, send: (connection: Client) => Promise<R>): Promise<R> {
  const pool: ConnectionPool = db.client
  const connection = await acquire(pool)
  try {
    return await send(connection)
  } catch (error) {
    if (isLost(error)) stateOf(db).sound.delete(connection)
    if (db.isTransaction && !failed.has(db)) failed.set(db, error)
    throw error
  } finally {
    await pool.releaseConnection(connection)
  }
}

async function acquire(pool: ConnectionPool): Promise<Client> {
  try {
    return await pool.acquireConnection()
  } catch (error) {
    throw toConnectError(error)
  }
}

function stateOf(db: Database): PoolState {
  const { state } = db.userParams
  return state
}

/** int8 and numeric come as strings, because they may exceed a number. Ours are counts and sizes. */
const numbers = new TypeOverrides()
numbers.setTypeParser(types.builtins.INT8, Number)
numbers.setTypeParser(types.builtins.NUMERIC, Number)
