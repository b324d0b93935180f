import { readFileSync } from 'node:fs'
import { Ajv, type ErrorObject } from 'ajv'
import { validate as isCron } from 'node-cron'
import { type Static, Type } from 'typebox'
import { parse } from 'yaml'
import { PURGES } from './pool/stores.ts'
import { oneOf } from './schema.ts'

const strict = { additionalProperties: false } as const
const Name = Type.String({ minLength: 1, maxLength: 255 })
const Seconds = (fallback: number) => Type.Integer({ minimum: 1, maximum: 86_400, default: fallback })
const Words = (fallback: string[]) => Type.Array(Name, { default: fallback })
const section = { ...strict, default: {} } as const

/** One pool. A target by hit rate is refused before this is looked at. */
const PoolSchema = Type.Object(
  {
    os: Name,
    type: Name,
    target: Type.Integer({ minimum: 0, maximum: 100_000 }),
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536 }))
  },
  strict
)

export const ACCESS_MODES = ['keystone', 'token', 'none'] as const
export const ROLES = ['claimer', 'service', 'reader', 'admin'] as const
export type Role = (typeof ROLES)[number]

const TokenSchema = Type.Object(
  {
    name: Name,
    sha256: Type.String({ pattern: '^[0-9a-fA-F]{64}$' }),
    role: oneOf(ROLES),
    project_id: Type.Optional(Name)
  },
  strict
)

const OpenstackSchema = Type.Object(
  {
    cloud: Type.Optional(Name),
    auth_type: Type.Optional(Name),
    auth: Type.Optional(Type.Record(Type.String(), Type.String())),
    region_name: Type.Optional(Name),
    interface: oneOf(['public', 'internal', 'admin'], 'public'),
    cacert: Type.Optional(Name),
    cert: Type.Optional(Name),
    key: Type.Optional(Name),
    verify: Type.Optional(Type.Boolean()),
    block_storage_endpoint_override: Type.Optional(Name),
    timeout_seconds: Seconds(70)
  },
  section
)

const ConfigSchema = Type.Object(
  {
    deployment: Type.String({ pattern: '^[a-zA-Z0-9_.-]{1,64}$', default: 'default' }),
    server: Type.Object(
      {
        host: Type.String({ minLength: 1, default: '127.0.0.1' }),
        port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8790 }),
        shutdown_seconds: Seconds(20),
        claims_in_flight_max: Type.Integer({ minimum: 1, maximum: 100_000, default: 256 })
      },
      section
    ),
    database: Type.Object(
      {
        url: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
        embedded: Type.Optional(Type.Object({ data_dir: Type.String({ minLength: 1, default: './data' }) }, strict))
      },
      section
    ),
    secret_file: Type.String({ minLength: 1, default: './data/secret' }),
    openstack: OpenstackSchema,
    images: Type.Object(
      {
        snapshot_name: Type.String({ minLength: 1, default: '^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)$' }),
        source: oneOf(['os_table', 'cinder', 'os_table_then_cinder'], 'os_table_then_cinder'),
        purge_on_sync: oneOf(PURGES, 'all')
      },
      section
    ),
    claims: Type.Object(
      {
        volume_name: Type.String({ minLength: 1, default: '{hostname}_{category}' }),
        system_categories: Words(['sys']),
        on_empty: oneOf(['create', 'fail'], 'create'),
        check_existing: oneOf(['cinder', 'claims'], 'cinder'),
        handover: oneOf(['transfer', 'rename'], 'transfer'),
        prearm: Type.Boolean({ default: true }),
        keep_days: Type.Integer({ minimum: 1, maximum: 36_500, default: 90 })
      },
      section
    ),
    pools: Type.Array(PoolSchema, { default: [] }),
    limits: Type.Object(
      {
        creating_max: Type.Integer({ minimum: 1, maximum: 10_000, default: 4 }),
        creating_max_per_snapshot: Type.Integer({ minimum: 1, maximum: 10_000, default: 2 }),
        budget_gib: Type.Optional(Type.Integer({ minimum: 0 }))
      },
      section
    ),
    ticks: Type.Object(
      {
        replenish: Type.String({ default: '*/10 * * * * *' }),
        check_state: Type.String({ default: '*/5 * * * * *' }),
        reconcile: Type.String({ default: '0 */5 * * * *' })
      },
      section
    ),
    access: Type.Object(
      {
        mode: oneOf(ACCESS_MODES, 'keystone'),
        roles: Type.Object(
          {
            claimer: Words(['member']),
            service: Words(['service']),
            reader: Words(['reader']),
            admin: Words(['admin'])
          },
          section
        ),
        tokens: Type.Array(TokenSchema, { default: [] })
      },
      section
    ),
    log: Type.Object({ level: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info') }, section)
  },
  strict
)

export type Config = Static<typeof ConfigSchema>

/** Everything that is wrong with a configuration, each with its path and what is allowed. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(source: string, problems: readonly string[]) {
    super(`${source} cannot be used:\n${problems.map(problem => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads a YAML file; environment variables beat it. Throws a ConfigError that names all that is wrong at once. */
export function readConfig(file: string, env: Environment): Config {
  return parseConfig(readYaml(file), env, file)
}

function readYaml(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8')) ?? {}
  } catch (error) {
    throw new ConfigError(file, [error instanceof Error ? error.message : String(error)])
  }
}

/** Checks a configuration whole and fills in the defaults; the source is named in errors. */
export function parseConfig(document: unknown, env: Environment, source: string): Config {
  if (!isRecord(document)) throw new ConfigError(source, ['must be a mapping of keys, as in config.example.yaml'])
  const config = withEnvironment(structuredClone(document), env)
  const later = refuseHitRates(config)
  const validate = new Ajv({ allErrors: true, useDefaults: true, strictTypes: false, verbose: true }).compile<Config>(
    ConfigSchema
  )
  const problems = validate(config) ? [] : (validate.errors ?? []).map(explain)
  if (problems.length === 0 && validate(config)) problems.push(...inconsistencies(config))
  problems.push(...later)
  if (problems.length > 0 || !validate(config)) throw new ConfigError(source, [...new Set(problems)])
  for (const pool of config.pools) pool.type = pool.type.toLowerCase()
  return config
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Which variable sets which key. The OS_* variables are read with clouds.yaml, which they belong to. */
function withEnvironment(config: Record<string, unknown>, env: Environment): Record<string, unknown> {
  const set = (key: string, value: Record<string, unknown> | undefined, replace = false): void => {
    if (!value) return
    const before = config[key]
    config[key] = isRecord(before) && !replace ? { ...before, ...value } : value
  }
  const { DATABASE_URL, PORT, HOST, LOG_LEVEL } = env
  set('database', DATABASE_URL ? { url: DATABASE_URL } : undefined, true)
  set('server', PORT ? { port: /^\d+$/.test(PORT) ? Number(PORT) : PORT } : undefined)
  set('server', HOST ? { host: HOST } : undefined)
  set('log', LOG_LEVEL ? { level: LOG_LEVEL } : undefined)
  return config
}

/** Part of the contract, and not there yet. The rest of the file is checked all the same. */
function refuseHitRates(config: Record<string, unknown>): string[] {
  const { pools } = config
  if (!Array.isArray(pools)) return []
  return pools.flatMap((pool: unknown, index) => {
    if (!isRecord(pool) || !isRecord(pool['target'])) return []
    pool['target'] = 0
    return [`pools[${index}].target: targets by hit rate are not available in this version; give a whole number`]
  })
}

function explain({ instancePath, keyword, params, parentSchema, message }: ErrorObject): string {
  const at = (...keys: string[]): string =>
    [...instancePath.split('/').slice(1), ...keys]
      .map(part => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
      .join('')
      .replace(/^\./, '') || 'the file'
  switch (keyword) {
    case 'additionalProperties':
      return `${at(String(params['additionalProperty']))}: unknown key; known here: ${Object.keys(parentSchema?.['properties'] ?? {}).join(', ')}`
    case 'required':
      return `${at(String(params['missingProperty']))}: is missing`
    case 'enum':
      return `${at()}: must be one of ${params['allowedValues'].join(', ')}`
    case 'type':
      return `${at()}: must be ${describeType(String(params['type']))}`
    default:
      return `${at()}: ${message}`
  }
}

const TYPES: Record<string, string> = {
  object: 'a mapping of keys',
  array: 'a list',
  integer: 'a whole number',
  boolean: 'true or false',
  string: 'a text'
}

const describeType = (type: string): string => TYPES[type] ?? `a ${type}`

/** What a schema cannot say. */
function inconsistencies(config: Config): string[] {
  return [
    ...databaseProblems(config),
    ...ruleProblems(config),
    ...poolProblems(config),
    ...accessProblems(config),
    ...Object.entries(config.ticks)
      .filter(([, cron]) => cron.trim().split(/\s+/).length !== 6 || !isCron(cron))
      .map(([name]) => `ticks.${name}: must be a cron expression of six fields, seconds first, e.g. "*/10 * * * * *"`)
  ]
}

function databaseProblems({ database: { url, embedded } }: Config): string[] {
  if (url && embedded) return ['database: give url or embedded, not both']
  if (!url && !embedded) return ['database: is missing: give url (postgres://…), or embedded: { data_dir: ./data }']
  return []
}

const NAME_PARTS = ['hostname', 'category', 'os', 'type']

function ruleProblems({ images, claims }: Config): string[] {
  const problems: string[] = []
  try {
    const rule = new RegExp(images.snapshot_name)
    const missing = ['os', 'type', 'version'].filter(group => !rule.source.includes(`(?<${group}>`))
    if (missing.length > 0) problems.push(`images.snapshot_name: must have the named groups ${missing.join(', ')}`)
  } catch (error) {
    problems.push(`images.snapshot_name: is no regular expression: ${String(error)}`)
  }
  const parts = [...claims.volume_name.matchAll(/\{(\w*)\}/g)].map(([, part = '']) => part)
  const unknown = parts.filter(part => !NAME_PARTS.includes(part))
  if (unknown.length > 0) {
    problems.push(`claims.volume_name: unknown part {${unknown.join('}, {')}}; known: {${NAME_PARTS.join('}, {')}}`)
  }
  if (!parts.includes('hostname'))
    problems.push('claims.volume_name: must contain {hostname}, or names would not differ')
  return problems
}

function poolProblems({ pools }: Config): string[] {
  const names = pools.map(({ os, type }) => `${os} on ${type.toLowerCase()}`)
  return names.flatMap((name, index) =>
    names.indexOf(name) < index ? [`pools[${index}]: ${name} is there twice (pools[${names.indexOf(name)}])`] : []
  )
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/

function accessProblems({ access, server }: Config): string[] {
  const problems: string[] = []
  if (access.mode === 'none' && !LOOPBACK.test(server.host)) {
    problems.push(`access.mode: "none" is for a loopback server.host only, not ${server.host}; use keystone or token`)
  }
  if (access.mode === 'token' && access.tokens.length === 0) {
    problems.push('access.tokens: is empty, so with mode "token" nobody would get in')
  }
  for (const [index, { role, project_id }] of access.tokens.entries()) {
    if (role === 'claimer' && !project_id) {
      problems.push(`access.tokens[${index}].project_id: is missing; role claimer claims into one project`)
    }
  }
  return problems
}
