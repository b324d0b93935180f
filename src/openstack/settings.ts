import { join } from 'node:path'
import { cloudLayers, type Environment, type Files, type Layer, realFiles } from './clouds-yaml.ts'
import { minorOf, withoutMajorVersion } from './microversion.ts'
import type { Tls } from './sockets.ts'

/** The section `openstack` of the configuration; its keys mean what they mean in clouds.yaml. */
export interface OpenStackConfig {
  readonly cloud?: string | undefined
  readonly auth?: Readonly<Record<string, unknown>> | undefined
  readonly auth_type?: string | undefined
  readonly region_name?: string | undefined
  readonly interface?: string | undefined
  readonly verify?: boolean | undefined
  readonly cacert?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly block_storage_endpoint_override?: string | undefined
  readonly volume_api_version?: string | undefined
}

type Domain = { id: string } | { name: string }
type Named = { id: string } | { name: string; domain: Domain }

/** Who logs in, and to what; the parts are written as Keystone wants them. */
export type Login =
  | {
      kind: 'password'
      user: Named
      password: string
      scope: { project: Named } | { 'OS-TRUST:trust': { id: string } }
    }
  | { kind: 'application_credential'; credential: { id: string } | { name: string; user: Named }; secret: string }

export type Interface = 'public' | 'internal' | 'admin'

export interface CloudSettings {
  /** Ends in /v3. */
  readonly authUrl: string
  readonly login: Login
  readonly regionName: string | undefined
  readonly interface: Interface
  readonly blockStorageUrl: string | undefined
  /** N of the microversion 3.N that Cinder is asked for; undefined: of those that it offers, the one that suits best. */
  readonly pinnedMinor: number | undefined
  readonly tls: Tls
}

/** Every setting that is wrong or missing, by name. */
export class SettingsError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    const distinct = [...new Set(problems)]
    super(['The settings for OpenStack are not usable:', ...distinct].join('\n  '))
    this.name = 'SettingsError'
    this.problems = distinct
  }
}

/** Two ways to say one thing: a stronger layer that says it in one way takes back what a weaker one said in the other. */
const ALTERNATIVES = [
  ['username', 'user_id'],
  ['user_domain_name', 'user_domain_id'],
  ['project_name', 'project_id'],
  ['project_domain_name', 'project_domain_id'],
  ['application_credential_name', 'application_credential_id']
] as const

/** Where the service logs in: `OS_*` beats the configuration, which beats secure.yaml, which beats clouds.yaml. */
export function cloudSettings(config: OpenStackConfig, env: Environment, files: Files = realFiles): CloudSettings {
  const problems: string[] = []
  const { OS_CLOUD } = env
  const cloud = OS_CLOUD || config.cloud
  const weaker = cloud ? cloudLayers(cloud, env, files, problems) : []
  const layers = [...weaker, configLayer(config), environmentLayer(env)]
  const said = new Said(layers.map(withoutMajorVersion), problems)
  const settings = problems.length === 0 ? read(said, files) : undefined
  if (!settings || problems.length > 0) throw new SettingsError(problems)
  return settings
}

/** What would keep `cloudSettings` from giving any; empty: nothing. */
export function settingsProblems(config: OpenStackConfig, env: Environment): readonly string[] {
  try {
    cloudSettings(config, env)
    return []
  } catch (error) {
    if (error instanceof SettingsError) return error.problems
    throw error
  }
}

function configLayer(config: OpenStackConfig): Layer {
  const auth = config.auth ?? {}
  const { cloud: _cloud, auth: _auth, ...others } = config
  return { values: { ...others, ...auth }, nameOf: key => `openstack.${key in auth ? 'auth.' : ''}${key}` }
}

function environmentLayer(env: Environment): Layer {
  const nameOf = (key: string) => (key === 'verify' ? 'OS_INSECURE' : `OS_${key.toUpperCase()}`)
  // Set but empty is as good as not set.
  const said = Object.entries(env).filter(([name, value]) => name.startsWith('OS_') && value)
  const values = Object.fromEntries(said.map(([name, value]) => [name.slice(3).toLowerCase(), value]))
  const { endpoint_type, insecure } = values
  const verify = insecure && !/^(1|true|yes|on)$/i.test(insecure)
  return { values: { interface: endpoint_type, ...values, verify }, nameOf }
}

/** What was said by all layers together, the strongest last. */
class Said {
  readonly problems: string[]
  readonly #values = new Map<string, { value: unknown; name: string }>()

  constructor(layers: readonly Layer[], problems: string[]) {
    this.problems = problems
    for (const { values, nameOf } of layers) {
      const says = (key: string) => values[key] !== undefined && values[key] !== null
      for (const [one, other] of ALTERNATIVES) {
        if (says(one)) this.#values.delete(other)
        if (says(other)) this.#values.delete(one)
      }
      for (const [key, value] of Object.entries(values)) {
        if (value !== undefined && value !== null) this.#values.set(key, { value, name: nameOf(key) })
      }
    }
  }

  nameOf(key: string): string {
    return this.#values.get(key)?.name ?? `openstack.auth.${key} (or OS_${key.toUpperCase()})`
  }

  text(key: string): string | undefined {
    const said = this.#values.get(key)
    if (said === undefined || said.value === '') return undefined
    if (typeof said.value === 'string') return said.value
    this.problems.push(`${said.name}: must be text; put quotes around it.`)
    return undefined
  }

  needed(key: string, what: string): string {
    const text = this.text(key)
    // A value of a wrong kind has been told already.
    if (text === undefined && (this.#values.get(key)?.value ?? '') === '') {
      this.problems.push(`${this.nameOf(key)}: missing, ${what}.`)
    }
    return text ?? ''
  }

  isFalse(key: string): boolean {
    const value = this.#values.get(key)?.value
    return value === false || value === 'false'
  }
}

function read(said: Said, files: Files): CloudSettings {
  return {
    authUrl: authUrlOf(said),
    login: loginOf(said),
    regionName: said.text('region_name'),
    interface: interfaceOf(said),
    blockStorageUrl: urlOf(said, 'block_storage_endpoint_override', said.text('block_storage_endpoint_override')),
    pinnedMinor: pinnedMinorOf(said),
    tls: tlsOf(said, files)
  }
}

function authUrlOf(said: Said): string {
  const url = urlOf(
    said,
    'auth_url',
    said.needed('auth_url', "Keystone's address, such as https://keystone.example/v3")
  )
  const root = url && new URL(url).href.replace(/\/+$/, '').replace(/\/v[23](\.0)?$/, '')
  return `${root ?? ''}/v3`
}

function urlOf(said: Said, key: string, text: string | undefined): string | undefined {
  if (!text) return undefined
  if (/^https?:$/.test(URL.canParse(text) ? new URL(text).protocol : '')) return text
  said.problems.push(`${said.nameOf(key)}: must be an address that starts with http:// or https://.`)
  return undefined
}

function pinnedMinorOf(said: Said): number | undefined {
  const version = said.text('volume_api_version')
  if (version === undefined) return undefined
  const minor = minorOf(version)
  if (minor === undefined) {
    said.problems.push(`${said.nameOf('volume_api_version')}: "${version}" is no microversion, such as 3.50, nor auto.`)
  }
  return minor
}

function loginOf(said: Said): Login {
  const hasCredential = said.text('application_credential_id') ?? said.text('application_credential_name')
  const kind = said.text('auth_type') ?? (hasCredential ? 'v3applicationcredential' : 'v3password')
  if (kind === 'v3applicationcredential') return credentialLogin(said)
  if (kind !== 'password' && kind !== 'v3password') {
    said.problems.push(
      `${said.nameOf('auth_type')}: "${kind}" is not supported; use v3password or v3applicationcredential.`
    )
  }
  return passwordLogin(said)
}

function credentialLogin(said: Said): Login {
  const secret = said.needed('application_credential_secret', 'the secret of the application credential')
  const id = said.text('application_credential_id')
  const name = said.text('application_credential_name')
  if (id !== undefined || name === undefined) {
    const credential = { id: id ?? said.needed('application_credential_id', 'the id of the application credential') }
    return { kind: 'application_credential', credential, secret }
  }
  return { kind: 'application_credential', credential: { name, user: userOf(said) }, secret }
}

function passwordLogin(said: Said): Login {
  const user = userOf(said)
  const password = said.needed('password', "the user's password")
  const trustId = said.text('trust_id')
  if (trustId !== undefined) return { kind: 'password', user, password, scope: { 'OS-TRUST:trust': { id: trustId } } }
  const projectId = said.text('project_id')
  if (projectId !== undefined) return { kind: 'password', user, password, scope: { project: { id: projectId } } }
  const name = said.needed('project_name', 'the project that holds the spares (or its project_id)')
  return { kind: 'password', user, password, scope: { project: { name, domain: domainOf(said, 'project') } } }
}

function userOf(said: Said): Named {
  const id = said.text('user_id')
  if (id !== undefined) return { id }
  return { name: said.needed('username', 'the user to log in as (or its user_id)'), domain: domainOf(said, 'user') }
}

function domainOf(said: Said, of: 'user' | 'project'): Domain {
  const id = said.text(`${of}_domain_id`)
  if (id !== undefined) return { id }
  return { name: said.needed(`${of}_domain_name`, `the domain of the ${of}, often Default (or its ${of}_domain_id)`) }
}

function interfaceOf(said: Said): Interface {
  const name = (said.text('interface') ?? 'public').replace(/URL$/, '')
  if (name === 'public' || name === 'internal' || name === 'admin') return name
  said.problems.push(`${said.nameOf('interface')}: "${name}" is not one of public, internal, admin.`)
  return 'public'
}

function tlsOf(said: Said, files: Files): Tls {
  return {
    insecure: said.isFalse('verify'),
    ca: pemOf(said, 'cacert', files),
    cert: pemOf(said, 'cert', files),
    key: pemOf(said, 'key', files)
  }
}

function pemOf(said: Said, key: string, files: Files): string | undefined {
  const path = said.text(key)
  if (path === undefined) return undefined
  try {
    const text = files.read(path.startsWith('~/') ? join(files.home, path.slice(2)) : path)
    if (text !== undefined) return text
    said.problems.push(`${said.nameOf(key)}: there is no file ${path}.`)
  } catch (error) {
    said.problems.push(`${said.nameOf(key)}: ${error instanceof Error ? error.message : String(error)}.`)
  }
  return undefined
}
