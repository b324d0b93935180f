import { type Look, type Section, sectionAt } from './client-files.ts'

/** A value, and how messages call the place that it comes from. */
export type Entry = readonly [key: string, value: unknown, name: string]

/** Settings from one place, by their keys in clouds.yaml. Those under `auth` stand beside the others. */
export type Layer = ReadonlyMap<string, Entry>

/** A mapping of settings, and how messages call its keys. */
export interface Part {
  readonly values: Section
  readonly nameOf: (key: string) => string
}

/** What the clients know under `auth`. They refuse anything else there too. */
const AUTH_KEYS = [
  'auth_url username user_id user_name password user_domain_name user_domain_id',
  'project_name project_id tenant_name tenant_id project_domain_name project_domain_id',
  'domain_name domain_id default_domain_name default_domain_id system_scope trust_id',
  'application_credential_name application_credential_id application_credential_secret token auth_token'
].flatMap(keys => keys.split(' '))

/**
 * The strongest part comes last. What stands under `auth` is stronger than the same keys beside it. Null says nothing, and an empty
 * text takes back what a weaker part said.
 */
export function layerOf(parts: readonly Part[], { problems }: Look): Layer {
  const layer = new Map<string, Entry>()
  for (const { values, nameOf } of [...parts, ...parts.map(part => authOf(part, problems))]) {
    for (const [key, value] of Object.entries(values)) {
      if (value === '' || isMajorVersion(key, value)) layer.delete(key)
      else if (value !== undefined && value !== null) layer.set(key, [key, value, nameOf(key)])
    }
  }
  return withCurrentKeys(layer)
}

/** A wrong key is cut, since it may be half a password. */
function authOf({ values, nameOf }: Part, problems: string[]): Part {
  const auth = sectionAt(values, 'auth') ?? {}
  for (const key of Object.keys(auth).filter(key => !AUTH_KEYS.includes(key))) {
    const known = `known there: ${AUTH_KEYS.join(', ')}`
    problems.push(`${nameOf('auth')}: unknown key ${key.replace(/\W.*$/s, '…')}; ${known}.`)
  }
  return { values: auth, nameOf: key => nameOf(`auth.${key}`) }
}

/** Other clients are told only the major version, which says nothing here. `auto` asks for the best one. */
const isMajorVersion = (key: string, value: unknown): boolean =>
  key === 'volume_api_version' && /^(auto|\d|[12]\.0)$/.test(String(value))

const RENAMED = [
  ['tenant_id', 'project_id'],
  ['tenant_name', 'project_name'],
  ['user_name', 'username'],
  ['auth_token', 'token']
] as const

/** The names by which the clients know block storage, the strongest first. */
const BLOCK_STORAGE = ['block_storage', 'volumev3', 'volumev2', 'volume', 'block_store']

/** Old keys mean what they mean to the clients: the current key is stronger, but for `endpoint_type`. */
function withCurrentKeys(layer: Map<string, Entry>): Layer {
  for (const [old, today] of RENAMED) {
    const entry = layer.get(old)
    if (entry && !layer.has(today)) layer.set(today, entry)
    layer.delete(old)
  }
  for (const [key, entry] of layer) {
    if (key.endsWith('endpoint_type')) layer.set(key.replace('endpoint_type', 'interface'), entry)
  }
  for (const key of ['endpoint_override', 'endpoint', 'interface', 'region_name']) {
    const service = BLOCK_STORAGE.find(name => layer.has(`${name}_${key}`))
    const entry = layer.get(`${service}_${key}`)
    if (entry) layer.set(`block_storage_${key}`, entry)
  }
  return layer
}

/** Two ways to say one thing. A stronger layer that says it in one way takes back what a weaker one said in the other. */
const ALTERNATIVES = [
  ['username', 'user_id'],
  ['user_domain_name', 'user_domain_id'],
  ['project_name', 'project_id'],
  ['project_domain_name', 'project_domain_id'],
  ['application_credential_name', 'application_credential_id'],
  ['verify', 'insecure']
] as const

/** Never put into another value, which a message may show. */
const SECRETS = ['password', 'token', 'application_credential_secret']

/** What all layers say together, the strongest last. */
export class Said {
  readonly look: Look
  readonly #entries = new Map<string, Entry>()

  constructor(layers: readonly Layer[], look: Look) {
    this.look = look
    for (const layer of layers) {
      for (const [one, other] of ALTERNATIVES) {
        if (layer.has(one)) this.#entries.delete(other)
        if (layer.has(other)) this.#entries.delete(one)
      }
      for (const [key, entry] of layer) this.#entries.set(key, entry)
    }
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  value(key: string): unknown {
    return this.#entries.get(key)?.[1]
  }

  nameOf(key: string): string {
    return this.#entries.get(key)?.[2] ?? `openstack.auth.${key} (or OS_${key.toUpperCase()})`
  }

  refuse(key: string, why: string): void {
    this.look.problems.push(`${this.nameOf(key)}: ${why}.`)
  }

  text(key: string): string | undefined {
    const value = this.value(key)
    if (value === undefined || typeof value === 'string') return value
    this.refuse(key, typeof value === 'boolean' ? 'must be text; put quotes around it' : 'must be one text')
    return undefined
  }

  needed(key: string, what: string): string {
    if (!this.has(key)) this.refuse(key, `missing, ${what}`)
    return this.text(key) ?? ''
  }

  /** A key may be said for block storage alone: the name of the one that is said. */
  ofBlockStorage(key: string): string {
    return this.has(`block_storage_${key}`) ? `block_storage_${key}` : key
  }

  /** A text in which other keys may stand in braces, as in `https://{region_name}.example`. */
  filled(key: string): string | undefined {
    return this.text(key)?.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (found, name?: string) => {
      if (found === '{{' || found === '}}') return found.slice(1)
      const value = name === undefined || SECRETS.includes(name) ? undefined : this.value(name)
      if (typeof value === 'string') return value
      this.refuse(key, `${found} stands for no other key; write a brace that is meant as one twice`)
      return ''
    })
  }
}
