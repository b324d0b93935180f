/** Configurations of OpenStack's clients, made by chance: mostly whole, with keys in old and new words at all places. */
import { type Arbitrary, constantFrom, nat, noBias, oneof, option, record, tuple } from 'fast-check'

/** Files by their path (`~` is the home directory), and variables. */
export interface ClientConfig {
  readonly env: Readonly<Record<string, string>>
  readonly files: Readonly<Record<string, string>>
}

const of = (...values: unknown[]): Arbitrary<unknown> => constantFrom(...values)

/** Keys that most configurations have. */
const USUAL: Readonly<Record<string, Arbitrary<unknown>>> = {
  auth_url: of('https://k/v3', 'https://k', 'https://k:5000/id/'),
  username: of('u', 'v'),
  password: of('hush', '{x}', 'a$b'),
  project_name: of('p', 'q')
}

const OTHER_LOGINS: Readonly<Record<string, Arbitrary<unknown>>> = {
  user_id: of('uid'),
  user_domain_name: of('Default', 'D'),
  user_domain_id: of('default', 'd'),
  project_id: of('pid'),
  tenant_name: of('t'),
  tenant_id: of('tid'),
  project_domain_name: of('Default', 'D'),
  project_domain_id: of('default', 'd'),
  domain_name: of('DN'),
  domain_id: of('DI'),
  default_domain_name: of('DDN'),
  default_domain_id: of('DDI'),
  trust_id: of('tr'),
  token: of('tok')
}

const WITH_VALUES = { name: 'r1', values: { interface: 'admin', auth: { project_name: 'rp' } } }

const OTHERS: Readonly<Record<string, Arbitrary<unknown>>> = {
  region_name: of('r1', 'r2', ''),
  regions: of(['r1', 'r2'], ['r2'], [WITH_VALUES, 'r2']),
  interface: of('public', 'internal', 'internalURL'),
  endpoint_type: of('adminURL', 'public'),
  volume_interface: of('internal'),
  block_storage_interface: of('admin'),
  volumev3_endpoint_type: of('publicURL'),
  volume_region_name: of('r9'),
  volume_endpoint_override: of('https://v/{interface}'),
  block_storage_endpoint_override: of('https://b'),
  volumev2_endpoint: of('https://v2'),
  verify: of(true, false, 'ca.pem'),
  insecure: of(true, false, 'true', 'False', 'yes'),
  cacert: of('ca.pem', '~/ca.pem'),
  cert: of('c.pem'),
  key: of('k.pem'),
  auth_type: of('password', 'v3password'),
  volume_api_version: of(2)
}

/** Of each key's choices one, with a likelihood in percent. */
const some = (keys: Readonly<Record<string, Arbitrary<unknown>>>, percent: number) =>
  record(
    Object.fromEntries(
      Object.entries(keys).map(([key, values]) => [
        key,
        tuple(noBias(nat(99)), values).map(([dice, value]) => (dice < percent ? value : undefined))
      ])
    )
  ).map(all => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))

const section = (usual: number, percent: number): Arbitrary<Record<string, unknown>> =>
  tuple(some(USUAL, usual), some(OTHER_LOGINS, percent), some(OTHER_LOGINS, percent / 4), some(OTHERS, percent)).map(
    ([usualAuth, auth, beside, others]) => ({ ...others, ...beside, auth: { ...usualAuth, ...auth } })
  )

const PEMS = { 'ca.pem': 'CA', '~/ca.pem': 'CA of home', 'c.pem': 'CERT', 'k.pem': 'KEY' }

const inFiles = record({
  entry: section(92, 8),
  profile: option(section(30, 8)),
  secure: option(section(20, 4)),
  OS_CLOUD: constantFrom(undefined, 'c'),
  OS_REGION_NAME: constantFrom(undefined, undefined, undefined, 'r1', 'r2')
}).map(({ entry, profile, secure, ...env }): ClientConfig => {
  const cloud = profile === null ? entry : { ...entry, profile: 'vendor' }
  return {
    env: Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    files: {
      ...PEMS,
      'clouds.yaml': JSON.stringify({ clouds: { c: cloud } }),
      ...(profile && {
        '~/.config/openstack/clouds-public.yaml': JSON.stringify({ 'public-clouds': { vendor: profile } })
      }),
      ...(secure && { 'secure.yaml': JSON.stringify({ clouds: { c: secure } }) })
    }
  }
})

/** What a file alone can say: lists, booleans. */
const OF_FILES = ['auth', 'regions', 'verify']

const inVariables = section(95, 8).map((all): ClientConfig => {
  const others = Object.entries(all).filter(([key, value]) => !OF_FILES.includes(key) && value !== '')
  const said = [...others, ...Object.entries(all['auth'] as object)]
  return {
    env: Object.fromEntries(said.map(([key, value]) => [`OS_${key.toUpperCase()}`, String(value)])),
    files: PEMS
  }
})

export const clientConfigs: Arbitrary<ClientConfig> = oneof(inFiles, inFiles, inVariables)
