import { Client, type ClientConfig, DatabaseError } from 'pg'
import { tlsOptions } from './database-tls.ts'
import type { DatabaseHost, DatabaseTarget } from './database-url.ts'
import { passwordIn } from './password-file.ts'

export interface ConnectionSettings {
  readonly applicationName: string
  /** For one server; beaten by what the address says. */
  readonly connectSeconds: number
  readonly statementTimeoutSeconds: number
  readonly idleInTransactionTimeoutSeconds: number
  readonly types: ClientConfig['types']
}

/** A connection, and whether it is a session of its own, with the timeouts set. */
export interface Opened {
  readonly client: Client
  /** True: a pooler stands in between, which runs each transaction on any connection of its own. */
  readonly isPooled: boolean
}

/** Opens connections to the first server that serves us; begins with the one that did so last. */
export class Connector {
  readonly #target: DatabaseTarget
  readonly #settings: ConnectionSettings
  #first = 0

  constructor(target: DatabaseTarget, settings: ConnectionSettings) {
    this.#target = target
    this.#settings = settings
  }

  async open(): Promise<Opened> {
    const { hosts } = this.#target
    const failures: { host: DatabaseHost; error: Error }[] = []
    for (let tries = 0; tries < hosts.length; tries++) {
      const index = (this.#first + tries) % hosts.length
      const host = hosts[index]
      if (!host) break
      try {
        const opened = await this.#openAt(host)
        this.#first = index
        return opened
      } catch (error) {
        failures.push({ host, error: asError(error) })
        if (!isPassedOver(error)) break
      }
    }
    throw combined(failures)
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
    client.on('error', () => undefined) // Whatever waits for an answer is told; an idle one is found unsound.
    try {
      await client.connect()
      const { isPooled, takesWrites } = await this.#prepare(client)
      if (this.#target.writable && !takesWrites) throw new ReadOnlyError()
      return { client, isPooled }
    } catch (error) {
      client.end().catch(() => undefined)
      throw error
    }
  }

  #configOf({ host, port }: DatabaseHost, way: Way): ClientConfig {
    const { user, database, password, passwordFile, applicationName, options, tls } = this.#target
    const { statementTimeoutSeconds, types } = this.#settings
    return {
      host,
      port,
      user,
      database,
      // A function, since pg would otherwise look for one in places of its own, and print what it thinks of them.
      password: () => password ?? passwordIn(passwordFile, { host, port, user, database }) ?? '',
      ssl: way === 'tls' ? tlsOptions(tls) : false,
      sslnegotiation: way === 'tls' && tls.isDirect ? 'direct' : 'postgres',
      ...(applicationName ? { application_name: applicationName } : {}),
      ...(options ? { options } : {}),
      connectionTimeoutMillis: this.#connectMs,
      query_timeout: (statementTimeoutSeconds + 5) * 1000, // For a network that swallows everything.
      keepAlive: true,
      ...(types ? { types } : {})
    }
  }

  get #connectMs(): number {
    return (this.#target.connectSeconds ?? this.#settings.connectSeconds) * 1000
  }

  /**
   * Looks at what answers, and sets what is to hold for the session if it is one: a pooler's clients are told another process
   * than the one that runs their statements. What were set there would reach whoever has that connection next.
   */
  async #prepare(client: Client): Promise<{ isPooled: boolean; takesWrites: boolean }> {
    const { applicationName, statementTimeoutSeconds, idleInTransactionTimeoutSeconds } = this.#settings
    const question = {
      text: `
        select pg_backend_pid() <> $1 as is_pooled,
               not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as takes_writes,
               case when pg_backend_pid() = $1 then
                 set_config('application_name', $2, false) || set_config('statement_timeout', $3, false) ||
                 set_config('idle_in_transaction_session_timeout', $4, false)
               end`,
      values: [
        processOf(client),
        this.#target.applicationName ?? applicationName,
        `${statementTimeoutSeconds}s`,
        `${idleInTransactionTimeoutSeconds}s`
      ],
      query_timeout: this.#connectMs
    }
    const { rows } = await client.query<{ is_pooled: boolean; takes_writes: boolean }>(question)
    return { isPooled: rows[0]?.is_pooled !== false, takesWrites: rows[0]?.takes_writes === true }
  }
}

/** What runs the statements, as the server says when it is connected to. */
function processOf(client: Client & { readonly processID?: number | null }): number {
  return client.processID ?? 0
}

type Way = 'plain' | 'tls'

/** One way, and another where that fails, as libpq has them. A Unix socket needs no encryption. */
function waysTo({ host }: DatabaseHost, { tls }: DatabaseTarget): readonly [Way, Way?] {
  if (host.startsWith('/') || tls.mode === 'disable') return ['plain']
  if (tls.mode === 'allow') return ['plain', 'tls']
  return tls.mode === 'prefer' ? ['tls', 'plain'] : ['tls']
}

/** The server does not speak TLS, or its certificate is refused, or it lets us in only over the other way. */
const mayTryOtherWay = (error: unknown): boolean =>
  error instanceof DatabaseError ? error.code === '28000' : !isSystemError(error)

/** The host does not answer, or that is not what answers there. */
function isSystemError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^E(?!RR_|PROTO)[A-Z]/.test(code) || (error instanceof Error && /timeout/.test(error.message))
}

/** The next server is asked, unless this one knows us and refuses us: it would not be right to look for one that does not. */
const isPassedOver = (error: unknown): boolean =>
  !(error instanceof DatabaseError) || /^(57P|53)/.test(error.code ?? '')

/** With the code that PostgreSQL gives to a write that comes too late. */
class ReadOnlyError extends Error {
  readonly code = '25006'

  constructor() {
    super('it takes no writes, as a standby does')
  }
}

/** What happened at each server; with the code of what says most. */
function combined(failures: readonly { host: DatabaseHost; error: Error }[]): Error {
  const errors = failures.map(({ error }) => error)
  const telling = errors.find(error => error instanceof ReadOnlyError) ?? errors.at(-1) ?? new Error('no host is named')
  if (errors.length < 2) return telling
  const words = failures.map(({ host: { host, port }, error }) => `${host}:${port}: ${error.message}`)
  const code = 'code' in telling ? { code: telling.code } : {}
  return Object.assign(new AggregateError(errors, words.join('; ')), code)
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
