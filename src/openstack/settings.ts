import { type Environment, type Files, type Look, realFiles } from './client-files.ts'
import { cloudParts, type Wish } from './clouds-yaml.ts'
import type { Tls } from './connections.ts'
import { layerOf, type Part, Said } from './layers.ts'
import { type Login, loginOf } from './login.ts'
import { tlsOf } from './tls.ts'

/** The section `openstack` of the configuration. Its keys mean what they mean in clouds.yaml. */
export interface OpenStackConfig {
  readonly cloud?: string | undefined
  readonly auth?: Readonly<Record<string, unknown>> | undefined
  readonly region_name?: string | undefined
  readonly [key: string]: unknown
}

export interface CloudSettings {
  /** Ends in /v3. */
  readonly authUrl: string
  readonly login: Login
  readonly regionName: string | undefined
  readonly interface: string
  readonly blockStorageUrl: string | undefined
  /** N of the microversion 3.N that Cinder is asked for; undefined: the best of those that it offers. */
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

/** Where the service logs in: `OS_*` beats the configuration, which beats the files of OpenStack's own clients. */
export function cloudSettings(config: OpenStackConfig, env: Environment, files: Files = realFiles): CloudSettings {
  const look: Look = { env, files, problems: [], hints: [] }
  const { problems, hints } = look
  const wish = wishOf(config, env)
  const places = [[DEFAULTS], wish ? cloudParts(wish, look) : [], [configPart(config)], [environmentPart(env)]]
  const said = new Said(
    places.map(parts => layerOf(parts, look)),
    look
  )
  const settings = problems.length === 0 ? read(said) : undefined
  if (!settings || problems.length > 0) throw new SettingsError([...problems, ...hints])
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

const SELECTORS = ['OS_CLOUD', 'OS_REGION_NAME', 'OS_CLIENT_CONFIG_FILE', 'OS_CLIENT_SECURE_FILE', 'OS_CLOUD_NAME']

/** Which entry of clouds.yaml is meant; undefined: none, the login stands in the variables or in the configuration. */
function wishOf(config: OpenStackConfig, env: Environment): Wish | undefined {
  const { OS_CLOUD, OS_CLOUD_NAME, OS_REGION_NAME } = env
  const region = OS_REGION_NAME || config.region_name
  // Variables that do more than choose from files are a cloud of their own.
  const isCloud = variablesOf(env).some(([name]) => !SELECTORS.includes(name))
  if (OS_CLOUD) {
    const isVariables = isCloud && OS_CLOUD === (OS_CLOUD_NAME || 'envvars')
    return isVariables ? undefined : { cloud: OS_CLOUD, asked: 'OS_CLOUD', region }
  }
  if (config.cloud) return { cloud: config.cloud, asked: 'openstack.cloud', region }
  return config.auth || isCloud ? undefined : { cloud: undefined, asked: 'openstack.cloud (or OS_CLOUD)', region }
}

/** A variable that is empty is as good as not set. */
const variablesOf = (env: Environment): [string, string][] =>
  Object.entries(env).flatMap(([name, value]) =>
    value && name.startsWith('OS_') && !/^OS_(TEST|STD|LOG)/.test(name) ? [[name, value]] : []
  )

const DEFAULTS: Part = { values: { interface: 'public' }, nameOf: () => 'the default interface' }

const configPart = ({ cloud: _cloud, ...values }: OpenStackConfig): Part => ({
  values,
  nameOf: key => `openstack.${key}`
})

const environmentPart = (env: Environment): Part => ({
  values: Object.fromEntries(variablesOf(env).map(([name, value]) => [name.slice('OS_'.length).toLowerCase(), value])),
  nameOf: key => `OS_${key.toUpperCase()}`
})

function read(said: Said): CloudSettings {
  const authUrl = authUrlOf(said)
  const login = loginOf(said)
  const addressKey = ['block_storage_endpoint_override', 'block_storage_endpoint'].find(key => said.has(key))
  return {
    authUrl,
    login,
    regionName: said.text(said.ofBlockStorage('region_name')),
    interface: interfaceOf(said),
    blockStorageUrl: addressKey && urlOf(said, addressKey),
    pinnedMinor: pinnedMinorOf(said),
    tls: tlsOf(said)
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
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
  said.refuse(key, 'must be an address that starts with http:// or https://')
  return undefined
}

function interfaceOf(said: Said): string {
  const key = said.ofBlockStorage('interface')
  const name = (said.text(key) ?? '').replace(/URL$/, '')
  if (!/^(public|internal|admin)$/.test(name)) said.refuse(key, `"${name}" is not one of public, internal, admin`)
  return name
}

const VERSION = 'volume_api_version'

function pinnedMinorOf(said: Said): number | undefined {
  const version = said.text(VERSION)
  if (version === undefined) return undefined
  const minor = /^3\.(\d{1,3})$/.exec(version)?.[1]
  if (minor === undefined) said.refuse(VERSION, `"${version}" is no microversion, such as 3.50, nor auto`)
  // Without quotes, clouds.yaml has the number 3.5 for both 3.5 and 3.50.
  else if (minor.length === 1 && minor !== '0' && said.nameOf(VERSION).startsWith('clouds.')) {
    said.refuse(VERSION, `${version} may be 3.${minor}0 without its quotes: say it as openstack.${VERSION}`)
  }
  return Number(minor)
}
