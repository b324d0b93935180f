/** A value, and how the place that it comes from calls it. */
export interface Told {
  readonly value: unknown
  readonly name: string
}

/** Settings from one place, by their keys in clouds.yaml; those under `auth` stand beside the others. */
export type Layer = ReadonlyMap<string, Told>

/** What each place says, the strongest last; null says nothing, and an empty text takes back what a weaker one said. */
export function layerOf(entries: Iterable<readonly [key: string, told: Told]>): Layer {
  const layer = new Map<string, Told>()
  for (const [key, told] of entries) {
    if (told.value === '') layer.delete(key)
    else if (told.value !== undefined && told.value !== null) layer.set(key, told)
  }
  return inTodaysWords(layer)
}

const RENAMED = [
  ['tenant_id', 'project_id'],
  ['tenant_name', 'project_name'],
  ['user_name', 'username'],
  ['auth_token', 'token']
] as const

/** Under which names the clients know block storage, the first of them first. */
const BLOCK_STORAGE = ['block_storage', 'volumev3', 'volumev2', 'volume', 'block_store'] as const

/** Old names of keys, as the clients take them: today's name is stronger, but for `endpoint_type`. */
function inTodaysWords(layer: Map<string, Told>): Layer {
  for (const [old, today] of RENAMED) {
    const told = layer.get(old)
    if (told && !layer.has(today)) layer.set(today, told)
    layer.delete(old)
  }
  for (const [key, told] of layer) {
    if (key.endsWith('endpoint_type')) layer.set(key.replace('endpoint_type', 'interface'), told)
  }
  for (const key of ['endpoint_override', 'endpoint', 'interface', 'region_name']) {
    const told = BLOCK_STORAGE.map(service => layer.get(`${service}_${key}`)).find(one => one !== undefined)
    if (told) layer.set(`block_storage_${key}`, told)
  }
  return layer
}

/** Two ways to say one thing: a stronger layer that says it in one way takes back what a weaker one said in the other. */
const ALTERNATIVES = [
  ['username', 'user_id'],
  ['user_domain_name', 'user_domain_id'],
  ['project_name', 'project_id'],
  ['project_domain_name', 'project_domain_id'],
  ['application_credential_name', 'application_credential_id'],
  ['verify', 'insecure']
] as const

/** Never to be put into another value, which a message may show. */
const SECRETS = ['password', 'token', 'application_credential_secret']

/** What was said by all layers together, the strongest last. */
export class Said {
  readonly problems: string[]
  readonly #values = new Map<string, Told>()

  constructor(layers: readonly Layer[], problems: string[]) {
    this.problems = problems
    for (const layer of layers) {
      for (const [one, other] of ALTERNATIVES) {
        if (layer.has(one)) this.#values.delete(other)
        if (layer.has(other)) this.#values.delete(one)
      }
      for (const [key, told] of layer) this.#values.set(key, told)
    }
  }

  value(key: string): unknown {
    return this.#values.get(key)?.value
  }

  nameOf(key: string): string {
    return this.#values.get(key)?.name ?? `openstack.auth.${key} (or OS_${key.toUpperCase()})`
  }

  refuse(key: string, why: string): void {
    this.problems.push(`${this.nameOf(key)}: ${why}.`)
  }

  text(key: string): string | undefined {
    const value = this.value(key)
    if (value === undefined || typeof value === 'string') return value
    this.refuse(key, typeof value === 'boolean' ? 'must be text; put quotes around it' : 'must be one text')
    return undefined
  }

  needed(key: string, what: string): string {
    const text = this.text(key)
    // A value of a wrong kind has been told already.
    if (!this.has(key)) this.refuse(key, `missing, ${what}`)
    return text ?? ''
  }

  has(key: string): boolean {
    return this.#values.has(key)
  }

  /** Where a key may be said for block storage alone: which of the two is. */
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
