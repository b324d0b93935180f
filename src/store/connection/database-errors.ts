import { PoolError } from '../../pool/errors.ts'

/** SQLSTATEs, or the classes that they start with, which say that the database cannot serve us; and what to do. */
const UNAVAILABLE: readonly (readonly [prefix: string, what: string])[] = [
  ['08', 'The connection to the database was lost'],
  [
    '25006',
    'The database is read-only, as a standby is after a failover: make sure that the address leads to the primary'
  ],
  ['25P03', 'The database ended a transaction that stood still'],
  ['25P04', 'The database ended a transaction that took too long'],
  ['28', 'The database refused the login: check the user and password in database.url'],
  ['3D000', 'The database does not exist: create it, or correct database.url'],
  ['40', 'The database could not finish the transaction because of others'],
  ['42501', 'The database refused access to a table: grant it to the user of database.url'],
  ['42P01', 'A table is missing: run `spare-pool migrate`'],
  ['53100', "The database's disk is full: make room"],
  ['53300', 'The database has no connection left: raise its max_connections, or run fewer replicas'],
  ['53', 'The database is out of resources'],
  ['55P03', 'The database could not take a lock in time'],
  ['57014', 'The database took too long'],
  ['57', 'The database is starting, stopping or failing over'],
  ['58', "The database's system reported an error: see its log"],
  ['XX', 'The database reported an internal error: see its log']
]

/** Failures before which nothing happened, so that the same statement or transaction may be sent again at once. */
const HARMLESS = ['40001', '40P01', '25006', '26000', '42P05']

/** What pg and Knex report without a code. */
const LOST =
  /Connection terminated|Connection ended|connection error|Query read timeout|timeout expired|not queryable|^Knex: Timeout/i

/** What an error says before PostgreSQL comes to speak, and what to do. */
const REFUSED: readonly (readonly [message: RegExp, what: string])[] = [
  [
    /certificate|^ssl(rootcert|cert|key) /,
    'A certificate is refused on the way to the database: ' +
      'check sslmode, sslrootcert, sslcert and the host name in database.url'
  ],
  [/SSL|SASL/, 'The connection to the database was refused: check the password and sslmode in database.url'],
  [/unsupported startup parameter/, 'The pooler before the database refuses `options`, which database.url has']
]

/** What PostgreSQL, pg or the socket says of it. `code` is an SQLSTATE or a system error such as ECONNREFUSED. */
function failureOf(error: unknown) {
  const said: { code?: unknown; message?: unknown; routine?: unknown } = error instanceof Error ? error : {}
  const { code = '', message = '', routine = '' } = said
  return { code: String(code), message: String(message), routine: String(routine) }
}

/** A constraint said no. */
export const isUniqueViolation = (error: unknown): boolean => failureOf(error).code === '23505'

/** Call where another request may have done the same for this claim at the same moment. */
export function undefinedIfRival(error: unknown): undefined {
  if (!isUniqueViolation(error)) throw error
}

/** It failed without effect, and may well succeed when it is sent again. */
export const isHarmless = (error: unknown): boolean => HARMLESS.includes(failureOf(error).code) || isOutdatedPlan(error)

/** A migration changed what a statement prepared before it returns: it must be prepared anew. */
export const isOutdatedPlan = (error: unknown): boolean => failureOf(error).routine === 'RevalidateCachedQuery'

/** A pooler gave us a server connection on which another's statements are prepared, or ours are not. */
export const isUnprepared = (error: unknown): boolean => ['26000', '42P05'].includes(failureOf(error).code)

/** The server is no longer the primary. */
export const isReadOnly = (error: unknown): boolean => failureOf(error).code === '25006'

/** The connection that it was sent on is of no use any more. */
export function isLost(error: unknown): boolean {
  const { code, message } = failureOf(error)
  return /^(08|25P03|25P04|57P0|E[A-Z])/.test(code) || LOST.test(message)
}

/** What callers are told when the database cannot serve us. Errors of our own making, such as a violated check, pass as they are. */
export function toPoolError(error: unknown): unknown {
  const what = whatIsUnavailable(error)
  return what === undefined || error instanceof PoolError ? error : unavailable(what, error)
}

/** Whatever keeps us from a connection, the database is unavailable. */
export const toConnectError = (error: unknown): PoolError =>
  unavailable(whatIsUnavailable(error) ?? 'No connection to the database can be made', error)

function unavailable(what: string, cause: unknown): PoolError {
  const { code } = failureOf(cause) // Not its message, which may name hosts: callers have no business with them.
  const detail = `${what}${code ? ` (${code})` : ''}. Nothing is lost: repeat the request.`
  return new PoolError('database_unavailable', detail, { cause, retryAfterSeconds: 1 })
}

function whatIsUnavailable(error: unknown): string | undefined {
  const { code, message } = failureOf(error)
  const refused = REFUSED.find(([words]) => words.test(message))
  if (isOutdatedPlan(error)) return 'The database was migrated meanwhile'
  if (refused) return refused[1]
  if (/^E[A-Z]/.test(code)) return 'The database does not answer: start it, or correct database.url'
  if (message.startsWith('Knex: Timeout')) return 'Every connection to the database was busy for too long'
  if (LOST.test(message)) {
    return message.includes('timeout')
      ? 'The database did not answer in time'
      : 'The connection to the database was lost'
  }
  return UNAVAILABLE.find(([prefix]) => code.startsWith(prefix))?.[1]
}
