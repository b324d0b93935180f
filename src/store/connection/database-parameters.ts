export interface Parameter {
  /** The environment variable that stands in for it. */
  readonly variable?: string
  /** Undefined: anything. */
  readonly allowed?: RegExp
  readonly must?: string
}

const oneOf = (...values: string[]) => ({
  allowed: new RegExp(`^(${values.join('|')})$`),
  must: `must be one of ${values.join(', ')}`
})

/** A name, an address of either kind, or the folder of a socket. */
const HOST = String.raw`(/[^,]*|[\w.:%-]*)`

/** The parameters of libpq that `database.url` may have. */
export const PARAMETERS = {
  host: {
    variable: 'PGHOST',
    allowed: new RegExp(`^${HOST}(,${HOST})*$`),
    must: 'must be a name, an address or the folder of a Unix socket, or several with commas between them'
  },
  port: { variable: 'PGPORT', allowed: /^\d{0,5}(,\d{0,5})*$/, must: 'must be a number, or one for each host' },
  dbname: { variable: 'PGDATABASE' },
  user: { variable: 'PGUSER' },
  password: { variable: 'PGPASSWORD' },
  passfile: { variable: 'PGPASSFILE' },
  application_name: { variable: 'PGAPPNAME' },
  options: { variable: 'PGOPTIONS' },
  connect_timeout: {
    variable: 'PGCONNECT_TIMEOUT',
    allowed: /^\d{1,6}$/,
    must: 'must be a number of seconds; 0 is the default'
  },
  target_session_attrs: {
    variable: 'PGTARGETSESSIONATTRS',
    allowed: /^(any|read-write|primary)$/,
    must: 'must be one of any, read-write, primary: the service writes'
  },
  sslmode: { variable: 'PGSSLMODE', ...oneOf('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full') },
  sslrootcert: { variable: 'PGSSLROOTCERT' },
  sslcert: { variable: 'PGSSLCERT' },
  sslkey: { variable: 'PGSSLKEY' },
  sslpassword: {},
  sslnegotiation: { variable: 'PGSSLNEGOTIATION', ...oneOf('postgres', 'direct') },
  // The rest changes nothing: these are the values that the service always uses.
  client_encoding: { allowed: /^(utf-?8|auto)$/i, must: 'must be one of utf8, auto' },
  channel_binding: {
    allowed: /^(disable|prefer)$/,
    must: 'must be disable or prefer; sslmode=verify-full is what keeps others from standing in between here'
  },
  gssencmode: oneOf('disable', 'prefer'),
  keepalives: oneOf('1'),
  load_balance_hosts: oneOf('disable')
} as const satisfies Record<string, Parameter>

export type ParameterName = keyof typeof PARAMETERS
export type Parameters = Readonly<Partial<Record<ParameterName, string>>>

/** What to do about parameters that libpq or another client knows. */
const INSTEAD: Readonly<Record<string, string>> = {
  ssl: 'must be true; else use sslmode',
  database: 'is called dbname',
  hostaddr: 'is not supported here: put the address in place of the host',
  schema: 'is not supported here: give the role a search_path',
  pgbouncer: 'is not needed: a pooler is found by itself'
}

/** A value is never shown, nor an odd name: where an address is put together wrongly, it may be half a password. */
export function parameterProblems(name: string, value: string): string[] {
  if (isParameter(name)) {
    const { allowed, must = '' }: Parameter = PARAMETERS[name]
    return allowed?.test(value) === false ? [`${name} ${must}`] : []
  }
  if (Object.hasOwn(INSTEAD, name)) return [`${name} ${INSTEAD[name]}`]
  const unknown = /^[a-z_]{1,40}$/.test(name) ? name : 'a parameter'
  return [`${unknown} is not supported here: take it out; supported are ${Object.keys(PARAMETERS).join(', ')}`]
}

const isParameter = (name: string): name is ParameterName => Object.hasOwn(PARAMETERS, name)
