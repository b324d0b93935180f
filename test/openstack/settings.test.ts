import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import type { Files } from '../../src/openstack/client-files.ts'
import { type CloudSettings, cloudSettings, type OpenStackConfig, SettingsError } from '../../src/openstack/settings.ts'

const AUTH = {
  auth_url: 'https://keystone.example:5000/v3',
  username: 'pool-svc',
  password: 'hush',
  user_domain_name: 'Default',
  project_name: 'pool',
  project_domain_name: 'Default'
}
const CLOUDS = `
clouds:
  mycloud:
    auth:
      auth_url: https://keystone.example/identity
      username: pool-svc
      user_domain_id: default
      project_id: p1
    region_name: north
    interface: internal
    cacert: /etc/ssl/cloud.pem
  other: { auth: {} }
`
const SECURE = 'clouds: { mycloud: { auth: { password: hush } } }'

const filesOf = (content: Record<string, string>): Files => ({ home: '/home/pool', read: path => content[path] })
const FILES = filesOf({
  'clouds.yaml': CLOUDS,
  '/etc/openstack/secure.yaml': SECURE,
  '/etc/ssl/cloud.pem': 'PEM'
})

function problems(config: OpenStackConfig, env: Record<string, string> = {}, files: Files = filesOf({})): string[] {
  try {
    cloudSettings(config, env, files)
  } catch (error) {
    assert.ok(error instanceof SettingsError)
    for (const problem of error.problems) assert.ok(error.message.includes(problem))
    return [...error.problems]
  }
  throw new Error('nothing was wrong')
}

/** A login with the password of these tests, or another one. */
const byPassword = (user: object, project: object, password = 'hush'): CloudSettings['login'] => ({
  identity: { methods: ['password'], password: { user: { ...user, password } } },
  scope: { project } as CloudSettings['login']['scope'],
  secret: password,
  warnings: []
})

const loginOf = (config: OpenStackConfig, env: Record<string, string> = {}): CloudSettings['login'] =>
  cloudSettings(config, env, FILES).login

describe('where the service logs in', () => {
  it('is what the configuration says', () => {
    assert.deepEqual(cloudSettings({ auth: AUTH, region_name: 'north' }, {}, filesOf({})), {
      authUrl: 'https://keystone.example:5000/v3',
      login: byPassword(
        { name: 'pool-svc', domain: { name: 'Default' } },
        { name: 'pool', domain: { name: 'Default' } }
      ),
      regionName: 'north',
      interface: 'public',
      blockStorageUrl: undefined,
      pinnedMinor: undefined,
      tls: { insecure: false, ca: undefined, cert: undefined, key: undefined }
    })
  })

  it('is what clouds.yaml says, completed by secure.yaml', () => {
    const expected: CloudSettings = {
      authUrl: 'https://keystone.example/identity/v3',
      login: byPassword({ name: 'pool-svc', domain: { id: 'default' } }, { id: 'p1' }),
      regionName: 'north',
      interface: 'internal',
      blockStorageUrl: undefined,
      pinnedMinor: undefined,
      tls: { insecure: false, ca: 'PEM', cert: undefined, key: undefined }
    }
    assert.deepEqual(cloudSettings({ cloud: 'mycloud' }, {}, FILES), expected)
    assert.deepEqual(cloudSettings({}, { OS_CLOUD: 'mycloud' }, FILES), expected)
  })

  it.for(['https://k.example', 'https://k.example/', 'https://k.example/v3', 'https://k.example/v3/'])(
    'ends in /v3 when it is given as %s',
    url => {
      assert.equal(cloudSettings({ auth: { ...AUTH, auth_url: url } }, {}).authUrl, 'https://k.example/v3')
    }
  )

  it('is found in the first place that has a clouds.yaml', () => {
    const at = (path: string) => ({
      [path]: `{"clouds": {"c": {"auth": {"auth_url": "https://place-${path.length}"}}}}`
    })
    const places = [
      '/chosen.yaml',
      'clouds.yaml',
      'clouds.yml',
      'clouds.json',
      '/home/pool/.config/openstack/clouds.yaml',
      '/etc/xdg/openstack/clouds.yaml'
    ]
    const env = { OS_CLIENT_CONFIG_FILE: '/chosen.yaml', OS_USER_ID: 'u', OS_PASSWORD: 'p', OS_PROJECT_ID: 'p' }
    while (places.length > 0) {
      const files = filesOf(Object.assign({}, at('/etc/openstack/clouds.yaml'), ...places.map(at)))
      const expected = `https://place-${places[0]?.length}/v3`
      assert.equal(cloudSettings({ cloud: 'c' }, env, files).authUrl, expected)
      places.shift()
    }
  })

  it('is what the environment says, before the configuration, before clouds.yaml', () => {
    const env = { OS_USERNAME: 'env', OS_REGION_NAME: 'south', OS_ENDPOINT_TYPE: 'adminURL', OS_PASSWORD: '' }
    const settings = cloudSettings({ cloud: 'mycloud', auth: { username: 'file', password: 'told' } }, env, FILES)
    assert.deepEqual(settings.login, byPassword({ name: 'env', domain: { id: 'default' } }, { id: 'p1' }, 'told'))
    assert.deepEqual([settings.regionName, settings.interface], ['south', 'admin'])
  })

  it('is not mixed from a name here and an id there', () => {
    const env = { OS_PROJECT_NAME: 'special', OS_PROJECT_DOMAIN_ID: 'd', OS_USER_ID: 'u9' }
    const expected = byPassword({ id: 'u9' }, { name: 'special', domain: { id: 'd' } })
    assert.deepEqual(loginOf({ cloud: 'mycloud' }, env), expected)
  })

  it('may be a trust, or an application credential by id or by name', () => {
    const { project_name: _name, project_domain_name: _domain, ...user } = AUTH
    assert.deepEqual(loginOf({ auth: { ...user, trust_id: 't1' } }).scope, { 'OS-TRUST:trust': { id: 't1' } })
    const secret = { auth_url: AUTH.auth_url, application_credential_secret: 'hush' }
    const byCredential = (credential: object): CloudSettings['login'] => ({
      identity: {
        methods: ['application_credential'],
        application_credential: { ...credential, secret: 'hush' }
      },
      scope: undefined,
      secret: 'hush',
      warnings: []
    })
    assert.deepEqual(
      loginOf({ auth_type: 'v3applicationcredential', auth: { ...secret, application_credential_id: 'ac' } }),
      byCredential({ id: 'ac' })
    )
    assert.deepEqual(
      loginOf({ auth: { ...secret, application_credential_name: 'ac', user_id: 'u' } }),
      byCredential({ name: 'ac', user: { id: 'u' } })
    )
  })

  it('trusts whom it is told to trust', () => {
    const files = filesOf({ '/home/pool/ca.pem': 'CA', 'client.pem': 'CERT', 'client.key': 'KEY' })
    const tls = (env: Record<string, string>) => cloudSettings({ auth: AUTH, cacert: '~/ca.pem' }, env, files).tls
    assert.deepEqual(tls({ OS_CERT: 'client.pem', OS_KEY: 'client.key' }), {
      insecure: false,
      ca: 'CA',
      cert: 'CERT',
      key: 'KEY'
    })
    assert.equal(tls({ OS_INSECURE: 'True' }).insecure, true)
    assert.equal(cloudSettings({ auth: AUTH, verify: false }, {}, files).tls.insecure, true)
    assert.equal(cloudSettings({ auth: AUTH, verify: false }, { OS_INSECURE: 'false' }, files).tls.insecure, false)
    assert.equal(tls({ OS_CERT: 'client.pem' }).key, 'CERT', 'the key stands in the same file')
    assert.equal(tls({ OS_INSECURE: 'true', OS_CACERT: 'nowhere.pem' }).ca, undefined)
  })

  it('is the entry that the configuration names, or the variables, or the only one', () => {
    const files = filesOf({
      'clouds.yaml': CLOUDS.replace('  other: { auth: {} }\n', ''),
      'secure.yaml': SECURE,
      '/etc/ssl/cloud.pem': 'PEM'
    })
    const regionOf = (config: OpenStackConfig, env: Record<string, string> = {}) =>
      cloudSettings(config, env, files).regionName
    assert.equal(regionOf({}), 'north')
    assert.equal(regionOf({}, { OS_CLOUD_NAME: 'variables' }), 'north')
    assert.equal(regionOf({ auth: AUTH }), undefined)
    const variables = Object.fromEntries(Object.entries(AUTH).map(([key, value]) => [`OS_${key.toUpperCase()}`, value]))
    assert.equal(regionOf({}, variables), undefined)
    assert.equal(regionOf({}, { ...variables, OS_CLOUD: 'envvars' }), undefined)
    assert.equal(regionOf({}, { ...variables, OS_CLOUD: 'mine', OS_CLOUD_NAME: 'mine' }), undefined)
    assert.equal(regionOf({ cloud: 'mycloud' }, variables), 'north')
  })

  it('is not said by a variable that is set but empty, as deployment tools leave them', () => {
    const files = filesOf({
      'clouds.yaml': JSON.stringify({ clouds: { mycloud: { auth: AUTH, region_name: 'north' } } })
    })
    const empty = { OS_AUTH_URL: '', OS_PASSWORD: '', OS_PROJECT_NAME: '' }
    assert.deepEqual(cloudSettings({}, empty, files), cloudSettings({}, {}, files))
    assert.equal(cloudSettings({}, empty, files).regionName, 'north')
  })

  it('is not overruled by what the configuration does not say', () => {
    const { openstack } = parseConfig({ database: { embedded: {} }, openstack: { cloud: 'mycloud' } }, {}, 'a test')
    assert.deepEqual(cloudSettings(openstack, {}, FILES), cloudSettings({ cloud: 'mycloud' }, {}, FILES))
    assert.equal(cloudSettings(openstack, {}, FILES).interface, 'internal')
  })

  it('is in the default domain where neither the variables nor the type of login say another', () => {
    const { user_domain_name: _user, project_domain_name: _project, ...auth } = AUTH
    const projectOf = (env: Record<string, string>) => cloudSettings({ auth }, env, filesOf({})).login.scope
    const inDomain = (id: string) => ({ project: { name: 'pool', domain: { id } } })
    assert.deepEqual(projectOf({}), inDomain('default'))
    assert.deepEqual(projectOf({ OS_DEFAULT_DOMAIN: 'd1' }), inDomain('d1'))
    const v3 = { OS_AUTH_TYPE: 'v3password', OS_IDENTITY_API_VERSION: '3' }
    assert.deepEqual(projectOf(v3), inDomain('default'))
    assert.match(problems({ auth }, { OS_AUTH_TYPE: 'v3password' })[0] ?? '', /user_domain_name.*: missing/)
  })

  it('may be by a token, with a warning that it will end', () => {
    const auth = { auth_url: AUTH.auth_url, token: 'gAAAA', project_id: 'p1' }
    const { warnings, ...login } = cloudSettings({ auth_type: 'v3token', auth }, {}, filesOf({})).login
    const identity = { methods: ['token'], token: { id: 'gAAAA' } }
    assert.deepEqual(login, { identity, scope: { project: { id: 'p1' } }, secret: 'gAAAA' })
    assert.match(warnings[0]?.found ?? '', /logs in with a token, and stops when that ends/)
    assert.match(warnings[0]?.advice ?? '', /a user with a password, or an application credential/)
  })

  it('takes the address of block storage from the strongest place, whatever it is called there', () => {
    const files = filesOf({
      'clouds.yaml': CLOUDS.replace('region_name: north', 'volume_endpoint_override: https://file')
    })
    const url = (config: OpenStackConfig, env: Record<string, string> = {}) =>
      cloudSettings({ cloud: 'mycloud', auth: AUTH, cacert: 'ca.pem', ...config }, env, {
        ...files,
        read: path => (path === 'ca.pem' ? 'PEM' : files.read(path))
      }).blockStorageUrl
    assert.equal(url({}), 'https://file')
    const config = { block_storage_endpoint_override: 'https://config' }
    assert.equal(url(config), 'https://config')
    assert.equal(url(config, { OS_VOLUMEV3_ENDPOINT_OVERRIDE: 'https://variable' }), 'https://variable')
  })
})

describe('the microversion to ask for', () => {
  const pinned = (said: string | undefined, env: Record<string, string> = {}, files = filesOf({})) =>
    cloudSettings({ auth: AUTH, volume_api_version: said }, env, files).pinnedMinor

  it('is what the environment says, before the configuration: N of 3.N', () => {
    assert.equal(pinned('3.50'), 50)
    assert.equal(pinned('3.5'), 5)
    assert.equal(pinned('3.0'), 0)
    assert.equal(pinned('3.50', { OS_VOLUME_API_VERSION: '3.27' }), 27)
    assert.equal(pinned('auto', { OS_VOLUME_API_VERSION: '3.0' }), 0)
  })

  it('is not said by a major version, which many have in their environment', () => {
    for (const OS_VOLUME_API_VERSION of ['3', '2', '1', '2.0', '', 'auto']) {
      assert.equal(pinned('3.50', { OS_VOLUME_API_VERSION }), 50)
      assert.equal(pinned('auto', { OS_VOLUME_API_VERSION }), undefined)
    }
    assert.equal(pinned(undefined), undefined)
  })

  it('may be in clouds.yaml, where it needs quotes', () => {
    const cloud = (version: string) =>
      filesOf({ 'clouds.yaml': `clouds: { c: { volume_api_version: ${version}, auth: ${JSON.stringify(AUTH)} } }` })
    const minorOf = (version: string) => cloudSettings({ cloud: 'c' }, {}, cloud(version)).pinnedMinor
    assert.deepEqual([minorOf("'3.50'"), minorOf('3'), minorOf('"2"')], [50, undefined, undefined])
    assert.deepEqual(problems({ cloud: 'c' }, {}, cloud('3.50')), [
      'clouds.c.volume_api_version in clouds.yaml: 3.5 may be 3.50 without its quotes: say it as openstack.volume_api_version.'
    ])
  })

  it('must be one', () => {
    assert.deepEqual(problems({ auth: AUTH }, { OS_VOLUME_API_VERSION: 'latest' }), [
      'OS_VOLUME_API_VERSION: "latest" is no microversion, such as 3.50, nor auto.'
    ])
  })
})

describe('settings that do not do', () => {
  it('are all named at once, with what to do', () => {
    const auth = { auth_url: 'keystone', project_name: 'pool' }
    assert.deepEqual(problems({ auth, auth_type: 'v3password', interface: 'inner' }), [
      'openstack.auth.auth_url: must be an address that starts with http:// or https://.',
      'openstack.auth.username (or OS_USERNAME): missing, the user to log in as (or its user_id).',
      'openstack.auth.user_domain_name (or OS_USER_DOMAIN_NAME): missing, the domain of the user, often Default (or its user_domain_id).',
      "openstack.auth.password (or OS_PASSWORD): missing, the user's password.",
      'openstack.auth.project_domain_name (or OS_PROJECT_DOMAIN_NAME): missing, the domain of the project, often Default (or its project_domain_id).',
      'openstack.interface: "inner" is not one of public, internal, admin.'
    ])
  })

  it('of a cloud that does not exist are answered with those that do', () => {
    assert.deepEqual(problems({ cloud: 'mine' }, {}, FILES), [
      'openstack.cloud: there is no cloud "mine" in clouds.yaml and /etc/openstack/secure.yaml; known there: mycloud, other.'
    ])
    assert.match(
      problems({}, { OS_CLOUD: 'constructor' }, FILES)[0] ?? '',
      /^OS_CLOUD: there is no cloud "constructor"/
    )
  })

  it('without a clouds.yaml are told where it was looked for', () => {
    assert.deepEqual(problems({ cloud: 'mine' }), [
      'openstack.cloud: found no clouds.yaml (.yml, .json) in ., /home/pool/.config/openstack, /etc/xdg/openstack, /etc/openstack. Write one, have OS_CLIENT_CONFIG_FILE name one, or set openstack.auth.'
    ])
  })

  it('of several clouds of which none is named are answered with their names', () => {
    assert.deepEqual(problems({}, {}, FILES), [
      'openstack.cloud (or OS_CLOUD): missing; name one of mycloud, other (in clouds.yaml and /etc/openstack/secure.yaml).'
    ])
  })

  it('are named as the file has them', () => {
    const files = filesOf({ 'clouds.yaml': 'clouds: { c: { profile: vexxhost, auth: { password: 0123 } } }' })
    assert.deepEqual(problems({ cloud: 'c' }, {}, files), [
      'clouds.c.profile in clouds.yaml: there is no profile "vexxhost" for want of a clouds-public.yaml (in ., /home/pool/.config/openstack, /etc/xdg/openstack, /etc/openstack), and those that openstacksdk brings along are not known here; write auth_url and the other settings of the profile out in its place.'
    ])
    const boolean = filesOf({
      'clouds.yaml': CLOUDS,
      'secure.yaml': 'clouds: { mycloud: { auth: { password: yes } } }'
    })
    assert.deepEqual(problems({ cloud: 'mycloud', cacert: 'missing.pem' }, {}, boolean), [
      'clouds.mycloud.auth.password in secure.yaml: must be text; put quotes around it.',
      'openstack.cacert: there is no file missing.pem.'
    ])
  })

  it('of a region are named with the list that it is not in', () => {
    const clouds = (regions: string) => filesOf({ 'clouds.yaml': `clouds: { c: { regions: ${regions} } }` })
    assert.deepEqual(problems({ cloud: 'c', region_name: 'west' }, {}, clouds('[north, { name: south }]')), [
      'clouds.c.regions in clouds.yaml: has no region "west"; known there: north, south.'
    ])
    assert.deepEqual(problems({ cloud: 'c' }, {}, clouds('[{ values: {} }]')), [
      'clouds.c.regions in clouds.yaml: each region must be a name, or a mapping with name and values.'
    ])
    const values = clouds('[{ name: north, values: { auth: { auth_url: yes } } }]')
    assert.match(
      problems({ cloud: 'c' }, {}, values)[0] ?? '',
      /^clouds\.c\.regions in clouds\.yaml \(north: auth\.auth_url\): /
    )
  })

  it('include a list where there can be one value only', () => {
    const files = filesOf({ 'clouds.yaml': CLOUDS.replace('internal', '[internal, public]') })
    assert.match(
      problems({ cloud: 'mycloud', auth: AUTH }, {}, files)[0] ?? '',
      /^clouds\.mycloud\.interface in clouds\.yaml: must be one text\.$/
    )
  })

  it('include keys under auth that no login knows', () => {
    const auth = { ...AUTH, pasword: 'hush' }
    assert.match(
      problems({ auth })[0] ?? '',
      /^openstack\.auth: unknown key pasword; known there: auth_url, username, /
    )
  })

  it('mention a file that was passed over since it may not be read', () => {
    const files: Files = {
      home: '/home/pool',
      read(path) {
        if (path === 'clouds.yaml') throw new Error("EACCES: permission denied, open 'clouds.yaml'")
        return undefined
      }
    }
    assert.deepEqual(problems({ cloud: 'c' }, {}, files).slice(1), [
      "clouds.yaml: was passed over, it cannot be read (EACCES: permission denied, open 'clouds.yaml')."
    ])
  })

  it('never show a secret, not even where the file is broken', () => {
    const broken = 'clouds:\n  c:\n    auth:\n      password: "hush\n    x: [\n'
    const [problem, ...others] = problems({ cloud: 'c' }, {}, filesOf({ 'clouds.yaml': broken }))
    assert.deepEqual(others, [])
    assert.match(problem ?? '', /^clouds\.yaml: cannot be read, it is not valid YAML \([A-Z_]+ in line \d\)\.$/)
    const files = filesOf({ 'clouds.json': '{"clouds": {"c": {"auth": {"password": "hush}' })
    assert.equal(problems({ cloud: 'c' }, {}, files)[0], 'clouds.json: cannot be read, it is not valid JSON.')
    const long = filesOf({ 'clouds.json': '{"clouds": {"c": {"auth": {"password": 12345678901234567890}}}}' })
    assert.deepEqual(problems({ cloud: 'c' }, {}, long), [
      'clouds.json: cannot be read, a number in it is too long; put quotes around it.'
    ])
    assert.match(
      problems({ auth: { ...AUTH, 'pass{hush': 'x' } })[0] ?? '',
      /^openstack\.auth: unknown key pass…; known/
    )
    const braces = { ...AUTH, auth_url: 'https://{password}.example' }
    assert.deepEqual(problems({ auth: braces }), [
      'openstack.auth.auth_url: {password} stands for no other key; write a brace that is meant as one twice.'
    ])
  })

  it('include ways to log in that are not supported', () => {
    assert.deepEqual(problems({ auth: AUTH }, { OS_AUTH_TYPE: 'v3oidcpassword' }), [
      'OS_AUTH_TYPE: "v3oidcpassword" is not supported; use password (v3password), v3applicationcredential or token (v3token): give the service a user with a password, or an application credential (openstack application credential create).'
    ])
  })
})
