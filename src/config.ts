import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'
import { type Static, Type } from 'typebox'
import { isScalar, parseDocument } from 'yaml'
import {
  ConfigError,
  explain,
  explainYaml,
  HOSTNAME,
  type IsSound,
  inconsistencies,
  isRecord,
  MICROVERSION,
  soundness,
  withVariable
} from './config-faults.ts'
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
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536 })),
    max_age_hours: Type.Optional(Type.Integer({ minimum: 1, maximum: 876_000 }))
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
    interface: Type.Optional(oneOf(['public', 'internal', 'admin'])),
    cacert: Type.Optional(Name),
    cert: Type.Optional(Name),
    key: Type.Optional(Name),
    verify: Type.Optional(Type.Boolean()),
    block_storage_endpoint_override: Type.Optional(Name),
    volume_api_version: Type.String({ pattern: MICROVERSION, default: 'auto' }),
    timeout_seconds: Seconds(70)
  },
  section
)

/** Whatever has no default here and is optional may be left out. */
export const ConfigSchema = Type.Object(
  {
    deployment: Type.String({ pattern: '^[a-zA-Z0-9_.-]{1,64}$', default: 'default' }),
    server: Type.Object(
      {
        host: Type.String({ minLength: 1, default: '127.0.0.1' }),
        port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8790 }),
        shutdown_seconds: Seconds(20),
        claims_in_flight_max: Type.Integer({ minimum: 1, maximum: 100_000, default: 256 }),
        allowed_hosts: Type.Array(Type.String({ maxLength: 255, pattern: HOSTNAME }), { default: [] }),
        trusted_proxies: Type.Array(Type.String(), { default: [] }),
        keep_alive_seconds: Seconds(72),
        rate_limit: Type.Optional(Type.Object({ per_minute: Type.Integer({ minimum: 1, maximum: 1_000_000 }) }, strict))
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
        creating_max_per_project: Type.Integer({ minimum: 1, maximum: 10_000, default: 4 }),
        budget_gib: Type.Optional(Type.Integer({ minimum: 0 })),
        surplus_seconds: Seconds(600)
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

export { ConfigError }

type Environment = Readonly<Record<string, string | undefined>>

/** Finds what is wrong beyond the file itself, such as a login that is incomplete; may look only at sections that are sound. */
type FurtherCheck = (config: Config, isSound: IsSound) => readonly string[]

/** Reads a YAML file; environment variables beat it. Throws a ConfigError that names all that is wrong at once. */
export function readConfig(file: string, env: Environment, further?: FurtherCheck): Config {
  return parseConfig(readYaml(file), env, file, further)
}

function readYaml(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(file, [error instanceof Error ? error.message : String(error)])
  }
  const document = parseDocument(text, { prettyErrors: true })
  const problems = [...document.errors, ...document.warnings].map(explainYaml)
  if (problems.length > 0) throw new ConfigError(file, problems)
  keepVersionAsText(document)
  try {
    return document.toJS() ?? {}
  } catch {
    throw new ConfigError(file, [
      'is no YAML: an alias (*name) leads nowhere; put quotes around a text that starts with *'
    ])
  }
}

/** Without quotes, YAML takes 3.50 for the number 3.5, which is another microversion. */
function keepVersionAsText(document: ReturnType<typeof parseDocument>): void {
  const path = ['openstack', 'volume_api_version']
  const version = document.getIn(path, true)
  if (isScalar(version) && typeof version.value === 'number') document.setIn(path, version.source)
}

/** Checks a configuration whole and fills in the defaults; the source is named in errors. */
export function parseConfig(document: unknown, env: Environment, source: string, further?: FurtherCheck): Config {
  if (!isRecord(document)) throw new ConfigError(source, ['must be a mapping of keys, as in config.example.yaml'])
  const config = withoutNulls(document)
  const fromEnvironment = applyEnvironment(config, env)
  const later = refuseHitRates(config)
  const validate = validator()
  const isWhole = validate(config)
  const errors = validate.errors ?? []
  const isSound = soundness(errors)
  const filled = config as Config // What is not so is faulty, and not looked at.
  const problems = [
    ...errors.map(error => explain(error, fromEnvironment)),
    ...inconsistencies(filled, isSound),
    ...later,
    ...(further?.(filled, isSound) ?? []).map(problem => withVariable(problem, fromEnvironment))
  ]
  if (problems.length > 0 || !isWhole) throw new ConfigError(source, problems)
  for (const pool of filled.pools) pool.type = pool.type.toLowerCase()
  return filled
}

let compiled: ValidateFunction<Config> | undefined

/** Compiled when first needed, which takes a while. */
const validator = (): ValidateFunction<Config> => {
  compiled ??= new Ajv({ allErrors: true, useDefaults: true, strictTypes: false, verbose: true }).compile(ConfigSchema)
  return compiled
}

/** A key with nothing after it says nothing: the default holds. */
function withoutNulls(document: Record<string, unknown>): Record<string, unknown> {
  const said = Object.entries(document).filter(([, value]) => value !== null)
  return Object.fromEntries(
    said.map(([key, value]) => [key, isRecord(value) ? withoutNulls(value) : structuredClone(value)])
  )
}

/**
 * Puts in what variables say, and gives their names by the keys that they set. The OS_* variables are read with
 * clouds.yaml, which they belong to.
 */
function applyEnvironment(config: Record<string, unknown>, env: Environment): Map<string, string> {
  const names = new Map<string, string>()
  const set = (variable: string, section: string, key: string, replace = false): void => {
    const value = env[variable]
    const before = config[section] ?? {}
    if (!value || !isRecord(before)) return
    const said = key === 'port' && /^\d+$/.test(value) ? Number(value) : value
    config[section] = { ...(replace ? {} : before), [key]: said }
    names.set(`${section}.${key}`, variable)
  }
  set('DATABASE_URL', 'database', 'url', true)
  set('PORT', 'server', 'port')
  set('HOST', 'server', 'host')
  set('LOG_LEVEL', 'log', 'level')
  return names
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
