import { type Static, Type } from 'typebox'
import { PURGES } from '../pool/stores.ts'
import { oneOf } from './one-of.ts'

/** A text that does not match is told that it must be what the description says. */
const described = (description: string, pattern: string) => ({ description, pattern })

const HOST_NAME = described(
  'a host name or address alone, such as pool.example: no scheme, port or path, and no wildcard',
  '^([\\w.-]+|\\[[0-9a-fA-F:.]+\\]|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*)$' // IPv6 with brackets or without.
)
const DEPLOYMENT = described('1 to 64 letters, digits, "_", "." and "-"', '^[a-zA-Z0-9_.-]{1,64}$')
const MICROVERSION = described('auto, or a microversion of Cinder such as 3.50', '^(auto|3\\.[0-9]{1,3})$')
const DATABASE_URL = described('an address such as postgres://user:password@host/database', '^postgres(ql)?://')
const SHA256 = described(
  'the SHA-256 of the token in hex (64 characters): printf %s "$TOKEN" | sha256sum',
  '^[0-9a-fA-F]{64}$'
)

const strict = { additionalProperties: false } as const
const Name = Type.String({ minLength: 1, maxLength: 255 })
const Seconds = (fallback: number) => Type.Integer({ minimum: 1, maximum: 86_400, default: fallback })
const Words = (fallback: string[]) => Type.Array(Name, { default: fallback })
const section = { ...strict, default: {} } as const

const PoolSchema = Type.Object(
  {
    os: Name,
    type: Name,
    target: Type.Integer({
      minimum: 0,
      maximum: 100_000,
      description: 'a whole number; targets by hit rate are not available in this version'
    }),
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
    sha256: Type.String(SHA256),
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
    volume_api_version: Type.String({ ...MICROVERSION, default: 'auto' }),
    timeout_seconds: Seconds(70)
  },
  section
)

/** Whatever has no default here and is optional may be left out. */
export const ConfigSchema = Type.Object(
  {
    deployment: Type.String({ ...DEPLOYMENT, default: 'default' }),
    server: Type.Object(
      {
        host: Type.String({ minLength: 1, default: '127.0.0.1' }),
        port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8790 }),
        shutdown_seconds: Seconds(20),
        claims_in_flight_max: Type.Integer({ minimum: 1, maximum: 100_000, default: 256 }),
        allowed_hosts: Type.Array(Type.String({ ...HOST_NAME, maxLength: 255 }), { default: [] }),
        trusted_proxies: Type.Array(Type.String(), { default: [] }),
        keep_alive_seconds: Seconds(72),
        rate_limit: Type.Optional(Type.Object({ per_minute: Type.Integer({ minimum: 1, maximum: 1_000_000 }) }, strict))
      },
      section
    ),
    database: Type.Object(
      {
        url: Type.Optional(Type.String(DATABASE_URL)),
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
