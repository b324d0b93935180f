/** The parameters of libpq that `database.url` may have, with the variables that stand in for them. */

interface Parameter {
  readonly variable?: string
  readonly allowed: RegExp
  /** What it must be, where it may not be anything. */
  readonly must: string
}

const anything = (variable?: string): Parameter => ({
  ...(variable ? { variable } : {}),
  allowed: /^/,
  must: 'may be anything'
})
const oneOf = (values: string, variable?: string): Parameter => ({
  ...(variable ? { variable } : {}),
  allowed: new RegExp(`^(${values.replaceAll(', ', '|')})$`, 'i'),
  must: `must be one of ${values}`
})

/** A name, an address of either kind, or the folder of a socket, and commas between several. */
const HOST = String.raw`(/[^,]*|[\w.:%-]*)`

export const PARAMETERS = {
  host: {
    variable: 'PGHOST',
    allowed: new RegExp(`^${HOST}(,${HOST})*$`),
    must: 'must be a name, an address or the folder of a Unix socket, or several with commas between them'
  },
  port: { variable: 'PGPORT', allowed: /^\d{0,5}(,\d{0,5})*$/, must: 'must be a number, or one for each host' },
  dbname: anything('PGDATABASE'),
  user: anything('PGUSER'),
  password: anything('PGPASSWORD'),
  passfile: anything('PGPASSFILE'),
  application_name: anything('PGAPPNAME'),
  options: anything('PGOPTIONS'),
  connect_timeout: {
    variable: 'PGCONNECT_TIMEOUT',
    allowed: /^\d{1,6}$/,
    must: 'must be a number of seconds; 0 is the default'
  },
  target_session_attrs: {
    ...oneOf('any, read-write, primary', 'PGTARGETSESSIONATTRS'),
    must: 'must be one of any, read-write, primary: the service writes'
  },
  sslmode: oneOf('disable, allow, prefer, require, verify-ca, verify-full', 'PGSSLMODE'),
  sslrootcert: anything('PGSSLROOTCERT'),
  sslcert: anything('PGSSLCERT'),
  sslkey: anything('PGSSLKEY'),
  sslpassword: anything(),
  sslnegotiation: oneOf('postgres, direct', 'PGSSLNEGOTIATION'),
  // What comes next changes nothing: these are the values that the service goes by.
  client_encoding: oneOf('utf8, utf-8, auto'),
  channel_binding: {
    ...oneOf('disable, prefer'),
    must: 'must be disable or prefer; sslmode=verify-full is what keeps others from standing in between here'
  },
  gssencmode: oneOf('disable, prefer'),
  keepalives: oneOf('1'),
  load_balance_hosts: oneOf('disable')
} as const satisfies Record<string, Parameter>

export type ParameterName = keyof typeof PARAMETERS

const UNSUPPORTED = 'is not supported here: take it out'

/** Those that libpq, or another client, knows besides. */
export const KNOWN_UNUSED: Readonly<Record<string, string>> = {
  ssl: 'must be true; else use sslmode',
  database: 'is called dbname',
  hostaddr: 'is not supported here: put the address in place of the host',
  schema: 'is not supported here: give the role a search_path',
  pgbouncer: 'is not needed: a pooler is found by itself',
  ...Object.fromEntries(
    [
      'service servicefile require_auth requirepeer sslcompression sslcertmode sslcrl sslcrldir sslsni sslkeylogfile',
      'ssl_min_protocol_version ssl_max_protocol_version min_protocol_version max_protocol_version krbsrvname gsslib',
      'gssdelegation scram_client_key scram_server_key keepalives_idle keepalives_interval keepalives_count',
      'tcp_user_timeout replication fallback_application_name uselibpqcompat'
    ]
      .join(' ')
      .split(' ')
      .map(name => [name, UNSUPPORTED])
  )
}
