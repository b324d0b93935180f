import { Client, type ClientConfig, DatabaseError, TypeOverrides, types } from 'pg'
import { passwordIn } from './client-files.ts'
import { isReadOnly } from './database-errors.ts'
import { tlsOptions } from './database-tls.ts'
import type { DatabaseHost, DatabaseTarget } from './database-url.ts'

export interface ConnectionSettings {
  readonly acquireTimeoutSeconds: number
  readonly statementTimeoutSeconds: number
  readonly idleInTransactionTimeoutSeconds: number
}

export interface Opened {
  readonly client: Client
  /** A pooler stands in between and runs each transaction on any connection of its own, so the timeouts are not set. */
  readonly isPooled: boolean
}

/** int8 and numeric come as strings, because they may exceed a number. Ours are counts and sizes. */
const numbers = new TypeOverrides()
numbers.setTypeParser(types.builtins.INT8, Number)
numbers.setTypeParser(types.builtins.NUMERIC, Number)

/** Opens connections to the first server that serves us, beginning with the one that did so last. */
export class Connector {
  readonly #target: DatabaseTarget
  readonly #settings: ConnectionSettings
  readonly #connectMs: number
  #first = 0

  constructor(target: DatabaseTarget, settings: ConnectionSettings) {
    this.#target = target
    this.#settings = settings
    this.#connectMs = (target.connectSeconds ?? Math.min(settings.acquireTimeoutSeconds, 3)) * 1000
  }

  async open(): Promise<Opened> {
    const hosts = this.#target.hosts.map((host, index) => ({ host, index }))
    const [errors, words]: [Error[], string[]] = [[], []]
    for (const { host, index } of [...hosts.slice(this.#first), ...hosts.slice(0, this.#first)]) {
      try {
        const opened = await this.#openAt(host)
        this.#first = index
        return opened
      } catch (error) {
        if (!(error instanceof Error)) throw error
        errors.push(error)
        words.push(`${host.host}:${host.port}: ${error.message}`)
        if (!isPassedOver(error)) break
      }
    }
    throw combined(errors, words)
  }

  async #openAt(host: DatabaseHost): Promise<Opened> {
    const [way, otherWay] = waysTo(host, this.#target)
    try {
      return await this.#connect(host, way)
    } catch (error) {
      if (otherWay === undefined || !mayTryOtherWay(error)) throw error
      return await this.#connect(host, otherWay)
    }
  }

  async #connect(host: DatabaseHost, way: Way): Promise<Opened> {
    const client = new Client(this.#configOf(host, way))
    client.on('error', () => undefined) // Queries that wait are told; an idle connection is marked by the pool.
    try {
      await client.connect()
      const { isPooled, takesWrites } = await this.#prepare(client)
      if (this.#target.writable && !takesWrites) throw readOnly()
      return { client, isPooled }
    } catch (error) {
      client.end().catch(() => undefined) // It may never have been open. What failed before is thrown.
      throw error
    }
  }

  #configOf({ host, port }: DatabaseHost, way: Way): ClientConfig {
    const { user, database, parameters } = this.#target
    const { password, passfile, application_name, options, sslnegotiation } = parameters
    return {
      host,
      port,
      user,
      database,
      // A function, or pg would look for a password in places of its own, and print warnings about them.
      password: () => password ?? passwordIn(passfile, { host, port, user, database }),
      ssl: way === 'tls' ? tlsOptions(parameters) : false,
      sslnegotiation: way === 'tls' && sslnegotiation === 'direct' ? 'direct' : 'postgres',
      ...(application_name ? { application_name } : {}),
      ...(options ? { options } : {}),
      connectionTimeoutMillis: this.#connectMs,
      query_timeout: (this.#settings.statementTimeoutSeconds + 5) * 1000, // For a network that swallows everything.
      keepAlive: true,
      types: numbers
    }
  }

  /**
   * Sets the timeouts if this is a session of our own. A pooler's clients are told another process than the one that runs
   * their statements; what were set there would reach whoever has that connection next.
   */
  async #prepare(client: Client & { processID?: number | null }): Promise<{ isPooled: boolean; takesWrites: boolean }> {
    const { statementTimeoutSeconds, idleInTransactionTimeoutSeconds } = this.#settings
    const question = {
      text: `
        select pg_backend_pid() <> $1 as "isPooled",
               not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as "takesWrites",
               case when pg_backend_pid() = $1 then
                 set_config('application_name', $2, false) || set_config('statement_timeout', $3, false) ||
                 set_config('idle_in_transaction_session_timeout', $4, false)
               end`,
      values: [
        client.processID ?? 0,
        this.#target.parameters.application_name ?? 'spare-volume-pool',
        `${statementTimeoutSeconds}s`,
        `${idleInTransactionTimeoutSeconds}s`
      ],
      query_timeout: this.#connectMs
    }
    const { rows } = await client.query<{ isPooled: boolean; takesWrites: boolean }>(question)
    return rows[0] ?? { isPooled: true, takesWrites: false }
  }
}

type Way = 'plain' | 'tls'

/** One way, and another where that fails, as libpq has them. A Unix socket needs no encryption. */
function waysTo({ host }: DatabaseHost, { parameters: { sslmode } }: DatabaseTarget): readonly [Way, Way?] {
  if (host.startsWith('/') || sslmode === 'disable') return ['plain']
  if (sslmode === 'allow') return ['plain', 'tls']
  return sslmode === 'prefer' ? ['tls', 'plain'] : ['tls']
}

/** The server speaks no TLS, its certificate is refused, or it lets us in only over the other way; not: it does not answer. */
function mayTryOtherWay(error: unknown): boolean {
  if (error instanceof DatabaseError) return error.code === '28000'
  if (!(error instanceof Error)) return true
  const isSystemError = 'code' in error && /^E(?!RR_|PROTO)[A-Z]/.test(String(error.code))
  return !isSystemError && !/timeout/.test(error.message)
}

/** One that knows us and refuses us is not passed over: it would not be right to look for one that does not refuse. */
const isPassedOver = (error: unknown): boolean =>
  !(error instanceof DatabaseError) || /^(57P|53)/.test(error.code ?? '')

/** With the code that PostgreSQL gives to a write that it refuses. */
const readOnly = (): Error => Object.assign(new Error('it takes no writes, as a standby does'), { code: '25006' })

/** What happened at each server, with the code of the error that says most. */
function combined(errors: readonly Error[], words: readonly string[]): Error {
  const telling = errors.find(isReadOnly) ?? errors.at(-1) ?? new Error('no host is named')
  if (errors.length === 1) return telling
  return Object.assign(new AggregateError(errors, words.join('; ')), 'code' in telling ? { code: telling.code } : {})
}
