import { userInfo } from 'node:os'
import { readPasswordFile } from './client-files.ts'
import { PARAMETERS, type Parameter, type Parameters, parameterProblems } from './database-parameters.ts'
import { tlsProblems } from './database-tls.ts'

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
  readonly connectSeconds: number | undefined
  /** Whether a server that takes no writes is passed over. */
  readonly writable: boolean
  /** Those that are given, and `sslmode`. */
  readonly parameters: Parameters
}

class DatabaseUrlError extends Error {
  readonly problems: readonly string[]

  /** A problem begins with its parameter, and shows nothing else of the address. */
  constructor(...problems: readonly string[]) {
    const named = problems.map(problem => `database.url: ${problem}`)
    super(named.join('\n'))
    this.problems = named
  }
}

/** What keeps an address from being used, files that it names included. */
export function databaseUrlProblems(url: string | undefined, env: Environment): readonly string[] {
  if (url === undefined) return []
  try {
    const { parameters } = readDatabaseUrl(url, env)
    return new DatabaseUrlError(...passwordFileProblems(parameters), ...tlsProblems(parameters)).problems
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.problems
    throw error
  }
}

function passwordFileProblems({ password, passfile }: Parameters): string[] {
  try {
    if (password === undefined && passfile !== undefined) readPasswordFile(passfile)
    return []
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

/** Reads an address as libpq does, which every other client of PostgreSQL uses; the PG* variables fill in what it leaves out. */
export function readDatabaseUrl(url: string, env: Environment): DatabaseTarget {
  const given = allThatIsGiven(url, env)
  const { sslrootcert, sslmode = sslrootcert === 'system' ? 'verify-full' : 'prefer', sslnegotiation } = given
  if (sslnegotiation === 'direct' && ['disable', 'allow', 'prefer'].includes(sslmode)) {
    throw new DatabaseUrlError('sslnegotiation=direct needs sslmode require, verify-ca or verify-full')
  }
  const { user = ownName(), dbname: database = user, host, port, connect_timeout } = given
  const { target_session_attrs = host?.includes(',') ? 'read-write' : 'any' } = given
  return {
    hosts: hostsOf(host, port),
    user,
    database,
    connectSeconds: Number(connect_timeout) || undefined,
    writable: target_session_attrs !== 'any',
    parameters: { ...given, sslmode }
  }
}

function allThatIsGiven(url: string, env: Environment): Parameters {
  const given = split(url)
  if (given.get('ssl') === 'true') {
    // How other clients say it; libpq takes it too.
    given.delete('ssl')
    if (!given.has('sslmode')) given.set('sslmode', 'require')
  }
  const problems = [...given].flatMap(([name, value]) => parameterProblems(name, value))
  for (const [name, { variable = '' }] of Object.entries<Parameter>(PARAMETERS)) {
    const value = env[variable]
    if (!value || given.has(name)) continue
    given.set(name, value)
    problems.push(...parameterProblems(name, value).map(problem => `${problem} (from ${variable})`))
  }
  if (problems.length > 0) throw new DatabaseUrlError(...problems)
  return Object.fromEntries(given)
}

const malformed = (): DatabaseUrlError =>
  new DatabaseUrlError(
    'is no address of a database: write postgres://user:password@host:5432/database?parameter=value, ' +
      'and in a user or password @ as %40, : as %3A, / as %2F, ? as %3F and % as %25'
  )

function match(pattern: RegExp, text: string): RegExpExecArray {
  const found = pattern.exec(text)
  if (!found) throw malformed()
  return found
}

/** `new URL` is no help: it takes one host only, and reads passwords otherwise than libpq. */
function split(url: string): Map<string, string> {
  const [, userInfo = '', authority = '', path, query = ''] = match(
    /^postgres(?:ql)?:\/\/(?:([^@/]*)@)?([^/?@]*)(?:\/([^?@]*))?(?:\?([^@]*))?$/,
    url
  )
  const [user, ...password] = userInfo.split(':')
  const hosts = authority.split(',').map(text => match(/^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/, text))
  const ports = hosts.map(([, , , port = '']) => port)
  const pairs = query.split('&').map(pair => /^([^=]*)=?(.*)$/s.exec(pair)?.slice(1) ?? [])
  const parts: readonly (readonly (string | undefined)[])[] = [
    ['user', user],
    ['password', password.join(':')],
    ['host', hosts.map(([, bracketed, plain = '']) => bracketed ?? plain).join(',')],
    ['port', ports.some(Boolean) ? ports.join(',') : ''],
    ['dbname', path],
    ...pairs
  ]
  const given = parts.filter(([, value]) => value)
  return new Map(given.map(([name = '', value = '']) => [decode(name), decode(value)]))
}

function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text)
    if (!decoded.includes('\0')) return decoded
  } catch {
    // A % that encodes nothing.
  }
  throw malformed()
}

/** Where libpq of most systems looks for the server of the same machine, and where else it may be. */
const OWN_MACHINE = '/var/run/postgresql,localhost'
const DEFAULT_PORT = 5432

function hostsOf(host = OWN_MACHINE, port = ''): DatabaseHost[] {
  const [hosts, ports] = [host.split(','), port.split(',')]
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new DatabaseUrlError('port must be one for all hosts, or one for each')
  }
  return hosts.map((host, index) => ({
    host: host || 'localhost',
    port: Number(ports[ports.length === 1 ? 0 : index]) || DEFAULT_PORT
  }))
}

function ownName(): string {
  try {
    return userInfo().username
  } catch {
    throw new DatabaseUrlError('user is missing, and the user that the service runs as has no name')
  }
}
