import { isIP } from 'node:net'
import { validate as isCron } from 'node-cron'
import { type Static, type TProperties, Type } from 'typebox'
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

const CRON = { format: 'cron', description: 'a cron expression of six fields, seconds first, e.g. "*/10 * * * * *"' }
const NETWORK = {
  format: 'network',
  description: 'an address or a network, such as 10.0.0.5, 10.0.0.0/24 or fd00::/64: no name, and not everybody (/0)'
}

/** Formats that no pattern can tell. */
export const FORMATS = {
  cron: (text: string): boolean => text.trim().split(/\s+/).length === 6 && isCron(text),
  network(text: string): boolean {
    const [, address = '', bits] = /^([^/]+)(?:\/([1-9]\d{0,2}))?$/.exec(text) ?? []
    const kind = isIP(address)
    return kind !== 0 && Number(bits ?? 1) <= (kind === 4 ? 32 : 128)
  }
}

/** Unknown keys are refused. */
const record = <Keys extends TProperties>(keys: Keys, options: { default?: object } = {}) =>
  Type.Object(keys, { additionalProperties: false, ...options })
/** A part that may be left out. */
const section = <Keys extends TProperties>(keys: Keys) => record(keys, { default: {} })

const Name = Type.String({ minLength: 1, maxLength: 255 })
const Text = (fallback: string) => Type.String({ minLength: 1, default: fallback })
const Words = (fallback: string[]) => Type.Array(Name, { default: fallback })
const Whole = (minimum: number, maximum: number, fallback: number) =>
  Type.Integer({ minimum, maximum, default: fallback })
const Seconds = (fallback: number) => Whole(1, 86_400, fallback)
const Cron = (fallback: string) => Type.String({ ...CRON, default: fallback })

const PoolSchema = record({
  os: Name,
  type: Name,
  target: Type.Integer({
    minimum: 0,
    maximum: 100_000,
    description: 'a whole number; targets by hit rate are not available in this version'
  }),
  size: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536 })),
  max_age_hours: Type.Optional(Type.Integer({ minimum: 1, maximum: 876_000 }))
})

export const ACCESS_MODES = ['keystone', 'token', 'none'] as const
export const ROLES = ['claimer', 'service', 'reader', 'admin'] as const
export type Role = (typeof ROLES)[number]

const TokenSchema = record({
  name: Name,
  sha256: Type.String(SHA256),
  role: oneOf(ROLES),
  project_id: Type.Optional(Name)
})

/** Whatever has no default here and is optional may be left out. */
export const ConfigSchema = record({
  deployment: Type.String({ ...DEPLOYMENT, default: 'default' }),
  server: section({
    host: Text('127.0.0.1'),
    port: Whole(0, 65_535, 8790),
    shutdown_seconds: Seconds(20),
    claims_in_flight_max: Whole(1, 100_000, 256),
    allowed_hosts: Type.Array(Type.String({ ...HOST_NAME, maxLength: 255 }), { default: [] }),
    trusted_proxies: Type.Array(Type.String(NETWORK), { default: [] }),
    keep_alive_seconds: Seconds(72),
    rate_limit: Type.Optional(record({ per_minute: Type.Integer({ minimum: 1, maximum: 1_000_000 }) }))
  }),
  database: section({
    url: Type.Optional(Type.String(DATABASE_URL)),
    embedded: Type.Optional(record({ data_dir: Text('./data') }))
  }),
  secret_file: Text('./data/secret'),
  openstack: section({
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
  }),
  images: section({
    snapshot_name: Text('^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)$'),
    source: oneOf(['os_table', 'cinder', 'os_table_then_cinder'], 'os_table_then_cinder'),
    purge_on_sync: oneOf(PURGES, 'all')
  }),
  claims: section({
    volume_name: Text('{hostname}_{category}'),
    system_categories: Words(['sys']),
    on_empty: oneOf(['create', 'fail'], 'create'),
    check_existing: oneOf(['cinder', 'claims'], 'cinder'),
    handover: oneOf(['transfer', 'rename'], 'transfer'),
    prearm: Type.Boolean({ default: true }),
    keep_days: Whole(1, 36_500, 90)
  }),
  pools: Type.Array(PoolSchema, { default: [] }),
  limits: section({
    creating_max: Whole(1, 10_000, 4),
    creating_max_per_snapshot: Whole(1, 10_000, 2),
    creating_max_per_project: Whole(1, 10_000, 4),
    budget_gib: Type.Optional(Type.Integer({ minimum: 0 })),
    surplus_seconds: Seconds(600)
  }),
  ticks: section({
    replenish: Cron('*/10 * * * * *'),
    check_state: Cron('*/5 * * * * *'),
    reconcile: Cron('0 */5 * * * *')
  }),
  access: section({
    mode: oneOf(ACCESS_MODES, 'keystone'),
    roles: section({
      claimer: Words(['member']),
      service: Words(['service']),
      reader: Words(['reader']),
      admin: Words(['admin'])
    }),
    tokens: Type.Array(TokenSchema, { default: [] })
  }),
  log: section({ level: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info') })
})

export type Config = Static<typeof ConfigSchema>
