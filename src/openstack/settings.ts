import { type Environment, type Files, type Look, realFiles } from './client-files.ts'
import { AUTH_KEYS, cloudLayer, unknownKey, type Wish } from './clouds-yaml.ts'
import type { Tls } from './connections.ts'
import { type Layer, layerOf, Said, type Told } from './layers.ts'
import { endOf, type Login, loginOf, type Warning } from './login.ts'
import { pinnedMinorOf, withoutMajorVersion } from './microversion.ts'
import { tlsOf } from './tls.ts'

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
  readonly warnings: readonly Warning[]
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

const DEFAULTS = layerOf([['interface', { value: 'public', name: 'the default interface' }]])

/** Where the service logs in: `OS_*` beats the configuration, which beats the files of OpenStack's own clients. */
export function cloudSettings(config: OpenStackConfig, env: Environment, files: Files = realFiles): CloudSettings {
  const problems: string[] = []
  const look: Look = { env, files, problems, hints: [] }
  const wish = wishOf(config, env)
  const weaker = wish ? [cloudLayer(wish, look)] : []
  const layers = [DEFAULTS, ...weaker, configLayer(config, problems), environmentLayer(env)]
  const said = new Said(layers.map(withoutMajorVersion), problems)
  const settings = problems.length === 0 ? read(said, env, files) : undefined
  if (!settings || problems.length > 0) throw new SettingsError([...problems, ...look.hints])
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

/** Which entry of clouds.yaml is meant; undefined: none, the login stands in the variables or in the configuration. */
function wishOf(config: OpenStackConfig, env: Environment): Wish | undefined {
  const { OS_CLOUD, OS_CLOUD_NAME, OS_REGION_NAME } = env
  const region = OS_REGION_NAME || config.region_name
  const isOfVariables = saysMore(env)
  if (OS_CLOUD) {
    const isVariables = isOfVariables && OS_CLOUD === (OS_CLOUD_NAME || 'envvars')
    return isVariables ? undefined : { cloud: OS_CLOUD, asked: 'OS_CLOUD', region }
  }
  if (config.cloud) return { cloud: config.cloud, asked: 'openstack.cloud', region }
  return config.auth || isOfVariables ? undefined : { cloud: undefined, asked: 'openstack.cloud (or OS_CLOUD)', region }
}

const SELECTORS = ['OS_CLOUD', 'OS_REGION_NAME', 'OS_CLIENT_CONFIG_FILE', 'OS_CLIENT_SECURE_FILE', 'OS_CLOUD_NAME']

/** Whether the variables do more than choose from files, so that they are a cloud of their own. */
const saysMore = (env: Environment): boolean => variablesOf(env).some(([name]) => !SELECTORS.includes(name))

/** Set but empty is as good as not set. */
const variablesOf = (env: Environment): [string, string][] =>
  Object.entries(env).flatMap(([name, value]) =>
    value && name.startsWith('OS_') && !/^OS_(TEST|STD|LOG)/.test(name) ? [[name, value]] : []
  )

function configLayer(config: OpenStackConfig, problems: string[]): Layer {
  const { cloud: _cloud, auth = {}, ...others } = config
  for (const key of Object.keys(auth).filter(name => !AUTH_KEYS.includes(name))) {
    problems.push(`openstack.auth: ${unknownKey(key)}.`)
  }
  return layerOf([...toldBy(others, 'openstack.'), ...toldBy(auth, 'openstack.auth.')])
}

const toldBy = (section: object, prefix: string): [string, Told][] =>
  Object.entries(section).map(([key, value]) => [key, { value, name: `${prefix}${key}` }])

const environmentLayer = (env: Environment): Layer =>
  layerOf(variablesOf(env).map(([name, value]) => [name.slice('OS_'.length).toLowerCase(), { value, name }]))

function read(said: Said, env: Environment, files: Files): CloudSettings {
  const authUrl = authUrlOf(said)
  const login = loginOf(said)
  return {
    authUrl,
    login,
    regionName: said.text(said.ofBlockStorage('region_name')),
    interface: interfaceOf(said),
    blockStorageUrl: blockStorageUrlOf(said),
    pinnedMinor: pinnedMinorOf(said),
    tls: tlsOf(said, env, files),
    warnings: [endOf(login)].filter(warning => warning !== undefined)
  }
}

function authUrlOf(said: Said): string {
  said.needed('auth_url', "Keystone's address, such as https://keystone.example/v3")
  const text = urlOf(said, 'auth_url')
  const url = text && new URL(text).href.replace(/\/+$/, '')
  if (url && /\/v2(\.\d+)?$/.test(url)) {
    said.refuse('auth_url', "ends in Keystone's version 2, which is not supported; end it in /v3, or in no version")
  }
  return `${url?.replace(/\/v3$/, '') ?? ''}/v3`
}

function urlOf(said: Said, key: string): string | undefined {
  const text = said.filled(key)
  if (text === undefined) return undefined
  if (/^https?:$/.test(URL.canParse(text) ? new URL(text).protocol : '')) return text
  said.refuse(key, 'must be an address that starts with http:// or https://')
  return undefined
}

function blockStorageUrlOf(said: Said): string | undefined {
  const key = ['block_storage_endpoint_override', 'block_storage_endpoint'].find(name => said.has(name))
  return key && urlOf(said, key)
}

function interfaceOf(said: Said): Interface {
  const key = said.ofBlockStorage('interface')
  const name = (said.text(key) ?? '').replace(/URL$/, '')
  if (name === 'public' || name === 'internal' || name === 'admin') return name
  said.refuse(key, `"${name}" is not one of public, internal, admin`)
  return 'public'
}
