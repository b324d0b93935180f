import { PoolError } from '../../pool/errors.ts'

/** What PostgreSQL, pg or the socket says of a failure. `code` is an SQLSTATE or a system error such as ECONNREFUSED. */
interface Failure {
  readonly code: string
  readonly message: string
  readonly routine: string | undefined
}

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

/** What pg and Knex report without a code. In a transaction Knex puts the statement in front. */
const LOST =
  /Connection terminated|Connection ended|connection error|Query read timeout|timeout expired|not queryable|^Knex: Timeout/i

/** How a connection is refused before PostgreSQL says a word about it. */
const REFUSED = /SSL|SASL/
const CERTIFICATE = /certificate|^ssl(rootcert|cert|key) /
const WHAT_CERTIFIES = 'check sslmode, sslrootcert, sslcert and the host name in database.url'

/** A constraint said no. */
export const isUniqueViolation = (error: unknown): boolean => failureOf(error)?.code === '23505'

/** Another request has done the same for this claim at the same moment. */
export function undefinedIfRival(error: unknown): undefined {
  if (!isUniqueViolation(error)) throw error
}

/** It failed without effect, and may well succeed when it is sent again. */
export function isHarmless(error: unknown): boolean {
  const failure = failureOf(error)
  return failure !== undefined && (HARMLESS.includes(failure.code) || isOutdatedPlan(error))
}

/** A migration changed what a statement prepared before it returns: it must be prepared anew. */
export const isOutdatedPlan = (error: unknown): boolean => failureOf(error)?.routine === 'RevalidateCachedQuery'

/** A pooler gave us a server connection on which another's statements are prepared, or ours are not. */
export const isUnprepared = (error: unknown): boolean => ['26000', '42P05'].includes(failureOf(error)?.code ?? '')

/** The server is no longer the primary. */
export const isReadOnly = (error: unknown): boolean => failureOf(error)?.code === '25006'

/** The connection that it was sent on is of no use any more. */
export function isLost(error: unknown): boolean {
  const failure = failureOf(error)
  return failure !== undefined && (/^(08|25P03|25P04|57P0|E[A-Z])/.test(failure.code) || LOST.test(failure.message))
}

/** What callers are told when the database cannot serve us. Errors of our own making, such as a violated check, pass as they are. */
export function toPoolError(error: unknown): unknown {
  if (error instanceof PoolError) return error
  const what = whatIsUnavailable(error)
  return what === undefined ? error : unavailable(what, error)
}

/** Whatever keeps us from a connection, the database is unavailable. */
export function toConnectError(error: unknown): PoolError {
  const what = whatIsUnavailable(error) ?? 'No connection to the database can be made'
  return error instanceof PoolError ? error : unavailable(what, error)
}

function unavailable(what: string, cause: unknown): PoolError {
  const code = failureOf(cause)?.code // Its message may name hosts, which callers have no business with.
  const detail = `${what}${code ? ` (${code})` : ''}. Nothing is lost: repeat the request.`
  return new PoolError('database_unavailable', detail, { cause, retryAfterSeconds: 1 })
}

function whatIsUnavailable(error: unknown): string | undefined {
  const failure = failureOf(error)
  if (!failure) return undefined
  const { code, message } = failure
  if (code === '0A000' && isOutdatedPlan(error)) return 'The database was migrated meanwhile'
  if (CERTIFICATE.test(message)) return `A certificate is refused on the way to the database: ${WHAT_CERTIFIES}`
  if (REFUSED.test(message))
    return 'The connection to the database was refused: check the password and sslmode in database.url'
  if (/unsupported startup parameter/.test(message))
    return 'The pooler before the database refuses `options`, which database.url has'
  if (/^E[A-Z]/.test(code)) return 'The database does not answer: start it, or correct database.url'
  if (LOST.test(message)) return lostOr(message)
  return UNAVAILABLE.find(([prefix]) => code.startsWith(prefix))?.[1]
}

function lostOr(message: string): string {
  if (message.startsWith('Knex')) return 'Every connection to the database was busy for too long'
  if (message.includes('timeout')) return 'The database did not answer in time'
  return 'The connection to the database was lost'
}

function failureOf(error: unknown): Failure | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const routine = 'routine' in error && typeof error.routine === 'string' ? error.routine : undefined
  return { code, message: error.message, routine }
}
