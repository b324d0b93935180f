import { userInfo } from 'node:os'
import { KNOWN_UNUSED, PARAMETERS, type ParameterName } from './database-parameters.ts'
import { SSL_MODES, type TlsSettings, tlsProblems } from './database-tls.ts'
import { passwordFileProblem } from './password-file.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface DatabaseHost {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
}

/** What `database.url` and the PG* variables say together. */
export interface DatabaseTarget {
  /** In the order in which they are tried. */
  readonly hosts: readonly DatabaseHost[]
  readonly user: string
  readonly database: string
  readonly password: string | undefined
  /** Undefined: that of the user, if there is one. */
  readonly passwordFile: string | undefined
  readonly applicationName: string | undefined
  readonly options: string | undefined
  readonly connectSeconds: number | undefined
  /** Whether a server that takes no writes is passed over. */
  readonly writable: boolean
  readonly tls: TlsSettings
}

/** What is wrong with an address, each with its parameter. Nothing of the address itself is in it but parameters' names. */
export class DatabaseUrlError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'DatabaseUrlError'
    this.problems = problems
  }
}

/** What keeps an address from being used, files that it names included. */
export function databaseUrlProblems(url: string | undefined, env: Environment): readonly string[] {
  if (url === undefined) return []
  try {
    const { tls, password, passwordFile } = readDatabaseUrl(url, env)
    const isAsked = password === undefined && passwordFile !== undefined
    const problem = isAsked ? passwordFileProblem(passwordFile) : undefined
    return [...(problem ? [problem] : []), ...tlsProblems(tls)].map(named)
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.problems
    throw error
  }
}

const named = (problem: string): string => `database.url: ${problem}`
const refuse = (...problems: readonly string[]): never => {
  throw new DatabaseUrlError(problems.map(named))
}

/** Reads an address as libpq does, which every other client of PostgreSQL uses; the PG* variables fill in what it leaves out. */
export function readDatabaseUrl(url: string, env: Environment): DatabaseTarget {
  const given = split(url)
  const problems = [...given].flatMap(([name, value]) => parameterProblems(name, value))
  if (problems.length > 0) return refuse(...problems)
  const said = (name: ParameterName): string | undefined => given.get(name) || variable(name, env)
  const user = said('user') ?? ownName()
  const hosts = hostsOf(said('host'), said('port') ?? '')
  const session = said('target_session_attrs') ?? (said('host')?.includes(',') ? 'read-write' : 'any')
  const connectSeconds = Number(said('connect_timeout') ?? 0)
  return {
    hosts,
    user,
    database: said('dbname') ?? user,
    password: said('password'),
    passwordFile: said('passfile'),
    applicationName: said('application_name'),
    options: said('options'),
    connectSeconds: connectSeconds > 0 ? connectSeconds : undefined,
    writable: session !== 'any',
    tls: tlsOf(said)
  }
}

type Said = (name: ParameterName) => string | undefined

/** Also of variables, which may hold anything. */
function variable(name: ParameterName, env: Environment): string | undefined {
  const { variable: key } = PARAMETERS[name]
  const value = key === undefined ? undefined : env[key]
  if (key === undefined || !value) return undefined
  const problems = parameterProblems(name, value)
  if (problems.length > 0) return refuse(...problems.map(problem => `${problem} (from ${key})`))
  return value
}

const UNENCODED =
  'is no address of a database: write postgres://user:password@host:5432/database?parameter=value, and in a user or password ' +
  '@ as %40, : as %3A, / as %2F, ? as %3F and % as %25'

/** All that an address says, by the names of libpq's parameters. */
function split(url: string): Map<string, string> {
  const rest = url.replace(/^postgres(ql)?:\/\//, '')
  const [, userInfo, authority = '', path, query = ''] =
    /^(?:([^@/]*)@)?([^/?@]*)(?:\/([^?@]*))?(?:\?([^@]*))?$/.exec(rest) ?? refuse(UNENCODED)
  const given = new Map<string, string>()
  const give = (name: string, encoded: string | undefined): void => {
    if (encoded) given.set(name, decode(encoded))
  }
  const [user, ...password] = (userInfo ?? '').split(':')
  give('user', user)
  give('password', password.join(':'))
  const hosts = authority.split(',').map(splitHost)
  give('host', hosts.map(({ host }) => host).join(','))
  give('port', hosts.some(({ port }) => port) ? hosts.map(({ port }) => port).join(',') : undefined)
  give('dbname', path)
  for (const pair of query.split('&').filter(Boolean)) {
    const [name = '', ...value] = pair.split('=')
    give(decode(name), value.join('='))
  }
  return withAlias(given)
}

function splitHost(text: string): { host: string; port: string } {
  const [, bracketed, plain = '', port = ''] =
    /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(text) ?? refuse(UNENCODED)
  return { host: bracketed ?? plain, port }
}

function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text)
    if (!decoded.includes('\0')) return decoded
  } catch {
    // A % that is none of an encoding.
  }
  return refuse(UNENCODED)
}

/** `ssl=true` is how other clients say `sslmode=require`, and libpq takes it too. */
function withAlias(given: Map<string, string>): Map<string, string> {
  if (given.get('ssl') !== 'true') return given
  given.delete('ssl')
  if (!given.has('sslmode')) given.set('sslmode', 'require')
  return given
}

const isParameter = (name: string): name is ParameterName => Object.hasOwn(PARAMETERS, name)

/** A parameter's value is never shown: where an address is put together wrongly, it may be half a password. */
function parameterProblems(name: string, value: string): string[] {
  if (isParameter(name)) {
    const { allowed, must } = PARAMETERS[name]
    return allowed.test(value) ? [] : [`${name} ${must}`]
  }
  const known = Object.keys(PARAMETERS).join(', ')
  if (Object.hasOwn(KNOWN_UNUSED, name)) return [`${name} ${KNOWN_UNUSED[name]}`]
  const what = /^[a-z_]{1,40}$/.test(name) ? `${name} is no parameter` : 'has a parameter'
  return [`${what} that this service knows; known here: ${known}`]
}

const DEFAULT_PORT = 5432
/** Where no host is named: where libpq of most systems looks for the server of the same machine, and where else it may be. */
const OWN_MACHINE = '/var/run/postgresql,localhost'

function hostsOf(hostList: string | undefined, portList: string): DatabaseHost[] {
  const hosts = (hostList ?? OWN_MACHINE).split(',')
  const ports = portList.split(',')
  if (ports.length !== 1 && ports.length !== hosts.length) {
    return refuse('port must be one for all hosts, or one for each')
  }
  return hosts.map((host, index) => ({
    host: host || 'localhost',
    port: Number((ports.length === 1 ? ports[0] : ports[index]) || DEFAULT_PORT)
  }))
}

function ownName(): string {
  try {
    return userInfo().username
  } catch {
    return refuse('user is missing, and the user that the service runs as has no name')
  }
}

function tlsOf(said: Said): TlsSettings {
  const rootCertificate = said('sslrootcert')
  const fallback = rootCertificate === 'system' ? 'verify-full' : 'prefer'
  const given = said('sslmode') ?? fallback
  const mode = SSL_MODES.find(one => one === given) ?? fallback
  if (said('sslnegotiation') === 'direct' && ['disable', 'allow', 'prefer'].includes(mode)) {
    return refuse('sslnegotiation=direct needs sslmode require, verify-ca or verify-full')
  }
  return {
    mode,
    isDirect: said('sslnegotiation') === 'direct',
    rootCertificate,
    certificate: said('sslcert'),
    key: said('sslkey'),
    passphrase: said('sslpassword')
  }
}
