import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Files } from '../../src/openstack/clouds-yaml.ts'
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

const loginOf = (config: OpenStackConfig, env: Record<string, string> = {}): CloudSettings['login'] =>
  cloudSettings(config, env, FILES).login

describe('where the service logs in', () => {
  it('is what the configuration says', () => {
    assert.deepEqual(cloudSettings({ auth: AUTH, region_name: 'north' }, {}, filesOf({})), {
      authUrl: 'https://keystone.example:5000/v3',
      login: {
        kind: 'password',
        user: { name: 'pool-svc', domain: { name: 'Default' } },
        password: 'hush',
        scope: { project: { name: 'pool', domain: { name: 'Default' } } }
      },
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
      login: {
        kind: 'password',
        user: { name: 'pool-svc', domain: { id: 'default' } },
        password: 'hush',
        scope: { project: { id: 'p1' } }
      },
      regionName: 'north',
      interface: 'internal',
      blockStorageUrl: undefined,
      pinnedMinor: undefined,
      tls: { insecure: false, ca: 'PEM', cert: undefined, key: undefined }
    }
    assert.deepEqual(cloudSettings({ cloud: 'mycloud' }, {}, FILES), expected)
    assert.deepEqual(cloudSettings({}, { OS_CLOUD: 'mycloud' }, FILES), expected)
  })

  it.for([
    'https://k.example',
    'https://k.example/',
    'https://k.example/v3',
    'https://k.example/v3/',
    'https://k.example/v2.0'
  ])('ends in /v3 when it is given as %s', url => {
    assert.equal(cloudSettings({ auth: { ...AUTH, auth_url: url } }, {}).authUrl, 'https://k.example/v3')
  })

  it('is found in the first place that has a clouds.yaml', () => {
    const at = (path: string) => ({ [path]: `clouds: { c: { auth: { auth_url: "https://place-${path.length}" } } }` })
    const places = ['/chosen.yaml', 'clouds.yaml', 'clouds.yml', '/home/pool/.config/openstack/clouds.yaml']
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
    assert.deepEqual(settings.login, {
      kind: 'password',
      user: { name: 'env', domain: { id: 'default' } },
      password: 'told',
      scope: { project: { id: 'p1' } }
    })
    assert.deepEqual([settings.regionName, settings.interface], ['south', 'admin'])
  })

  it('is not mixed from a name here and an id there', () => {
    const env = { OS_PROJECT_NAME: 'special', OS_PROJECT_DOMAIN_ID: 'd', OS_USER_ID: 'u9' }
    assert.deepEqual(loginOf({ cloud: 'mycloud' }, env), {
      kind: 'password',
      user: { id: 'u9' },
      password: 'hush',
      scope: { project: { name: 'special', domain: { id: 'd' } } }
    })
  })

  it('may be a trust, or an application credential by id or by name', () => {
    const { project_name: _name, project_domain_name: _domain, ...user } = AUTH
    const trust = loginOf({ auth: { ...user, trust_id: 't1' } })
    assert.deepEqual(trust.kind === 'password' && trust.scope, { 'OS-TRUST:trust': { id: 't1' } })
    const secret = { auth_url: AUTH.auth_url, application_credential_secret: 'hush' }
    assert.deepEqual(
      loginOf({ auth_type: 'v3applicationcredential', auth: { ...secret, application_credential_id: 'ac' } }),
      {
        kind: 'application_credential',
        credential: { id: 'ac' },
        secret: 'hush'
      }
    )
    assert.deepEqual(loginOf({ auth: { ...secret, application_credential_name: 'ac', user_id: 'u' } }), {
      kind: 'application_credential',
      credential: { name: 'ac', user: { id: 'u' } },
      secret: 'hush'
    })
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
      'clouds.c.volume_api_version in clouds.yaml: must be text; put quotes around it.'
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
    assert.deepEqual(problems({ auth: { auth_url: 'keystone', project_name: 'pool' }, interface: 'inner' }), [
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
      'openstack.cloud: there is no cloud "mine" in clouds.yaml; it has mycloud, other.'
    ])
    assert.match(
      problems({}, { OS_CLOUD: 'constructor' }, FILES)[0] ?? '',
      /^OS_CLOUD: there is no cloud "constructor"/
    )
  })

  it('without a clouds.yaml are told where it was looked for', () => {
    assert.deepEqual(problems({ cloud: 'mine' }), [
      'openstack.cloud: found no clouds.yaml; looked for clouds.yaml, clouds.yml, /home/pool/.config/openstack/clouds.yaml, /home/pool/.config/openstack/clouds.yml, /etc/openstack/clouds.yaml, /etc/openstack/clouds.yml. Write one, or set openstack.auth.'
    ])
  })

  it('are named as the file has them', () => {
    const files = filesOf({ 'clouds.yaml': 'clouds: { c: { profile: vexxhost, auth: { password: 0123 } } }' })
    assert.deepEqual(problems({ cloud: 'c' }, {}, files), [
      'clouds.c.profile in clouds.yaml: vendor profiles are not supported; write the auth_url and the other settings of the profile out.'
    ])
    const number = filesOf({ 'clouds.yaml': CLOUDS, 'secure.yaml': 'clouds: { mycloud: { auth: { password: 123 } } }' })
    assert.deepEqual(problems({ cloud: 'mycloud', cacert: 'missing.pem' }, {}, number), [
      'clouds.mycloud.auth.password in secure.yaml: must be text; put quotes around it.',
      'openstack.cacert: there is no file missing.pem.'
    ])
  })

  it('never show a secret, not even where the file is broken', () => {
    const broken = 'clouds:\n  c:\n    auth:\n      password: "hush\n    x: [\n'
    const [problem] = problems({ cloud: 'c' }, {}, filesOf({ 'clouds.yaml': broken }))
    assert.match(problem ?? '', /^clouds\.yaml: cannot be read, it is not valid YAML \([A-Z_]+ in line \d\)\.$/)
  })

  it('include ways to log in that are not supported', () => {
    assert.deepEqual(problems({ auth: AUTH }, { OS_AUTH_TYPE: 'v3oidcpassword' }), [
      'OS_AUTH_TYPE: "v3oidcpassword" is not supported; use v3password or v3applicationcredential.'
    ])
  })
})
