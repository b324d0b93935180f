/** What is in the cloud that `up` has started: accounts, catalogue, volume types, quotas, golden snapshots. Run again at will. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import { eventually } from '../support/eventually.ts'
import { type Body, logIn, type Session } from '../support/session.ts'
import { CLOUDS_YAML } from './cloud.ts'
import { type GoldenDisk, goldenSnapshot } from './golden.ts'

const env = (name: string): string => {
  const value = process.env[name]
  assert.ok(value, `${name} is not set: this is run by test/openstack/up`)
  return value
}
const authUrl = env('OPENSTACK_AUTH_URL')
const cinderUrl = env('OPENSTACK_CINDER_URL')
const password = env('OPENSTACK_PASSWORD')

const PROJECTS = ['admin', 'service', 'pool', 'tenant-a', 'tenant-b']
const USERS = ['admin', 'cinder', 'pool-svc', 'tenant-a-user', 'tenant-b-user', 'cld-api-server']
/** User, project, role: as in the sandbox, what Cinder itself needs, and a caller that claims for everybody. */
const GRANTS: readonly (readonly [string, string, string])[] = [
  ...PROJECTS.map(project => ['admin', project, 'admin'] as const),
  ['cinder', 'service', 'admin'],
  ['cinder', 'service', 'service'],
  ...['pool', 'tenant-a', 'tenant-b'].map(project => ['pool-svc', project, 'member'] as const),
  ['tenant-a-user', 'tenant-a', 'member'],
  ['tenant-b-user', 'tenant-b', 'member'],
  ['cld-api-server', 'service', 'service']
]
const TYPES = ['ceph-ssd', 'ceph-sas']
const QUOTAS = { pool: [-1, -1], 'tenant-a': [1000, 100_000], 'tenant-b': [1000, 100_000] }
const DISKS: readonly GoldenDisk[] = [
  { name: 'debian12_ssd_20261101', type: 'ceph-ssd', sizeGib: 1, dataMib: 256 },
  { name: 'debian12_sas_20261101', type: 'ceph-sas', sizeGib: 1, dataMib: 256 },
  { name: 'windows2022_ssd_20261101', type: 'ceph-ssd', sizeGib: 1, dataMib: 512 }
]

const say = (what: string): void => void process.stdout.write(`        ${what}\n`)

async function ensure(admin: Session, kind: string, name: string, fields: object = {}): Promise<string> {
  const found = await admin.keystone('GET', `/${kind}s?name=${name}`)
  const [existing] = found.body[`${kind}s`]
  if (existing) return existing.id
  const made = await admin.keystone('POST', `/${kind}s`, { [kind]: { name, ...fields } })
  assert.equal(made.status, 201, made.text)
  return made.body[kind].id
}

/** Their ids by name. */
async function ensureAll(admin: Session, kind: string, names: readonly string[], fields: object = {}) {
  const ids = new Map<string, string>()
  for (const name of names) ids.set(name, await ensure(admin, kind, name, fields))
  return ids
}

async function makeAccounts(admin: Session): Promise<Map<string, string>> {
  const roles = await ensureAll(admin, 'role', ['admin', 'member', 'reader', 'service'])
  const projects = await ensureAll(admin, 'project', PROJECTS, { domain_id: 'default' })
  const users = await ensureAll(admin, 'user', USERS, { domain_id: 'default', password })
  for (const [user, project, role] of GRANTS) {
    const path = `/projects/${projects.get(project)}/users/${users.get(user)}/roles/${roles.get(role)}`
    const granted = await admin.keystone('PUT', path)
    assert.equal(granted.status, 204, granted.text)
  }
  return projects
}

async function makeCatalogue(admin: Session): Promise<void> {
  for (const [type, name] of [
    ['volumev3', 'cinderv3'],
    ['block-storage', 'cinder']
  ] as const) {
    const id = await ensure(admin, 'service', name, { type })
    const { endpoints } = (await admin.keystone('GET', `/endpoints?service_id=${id}`)).body
    for (const face of ['public', 'internal', 'admin']) {
      if (endpoints.some((endpoint: Body) => endpoint.interface === face)) continue
      const url = `${cinderUrl}/v3/%(project_id)s`
      const endpoint = { service_id: id, interface: face, region_id: 'RegionOne', url }
      const made = await admin.keystone('POST', '/endpoints', { endpoint })
      assert.equal(made.status, 201, made.text)
    }
  }
}

/** Cinder's own parts report to it now and then; until then it takes them for dead. */
async function cinderIsUp(admin: Session): Promise<boolean> {
  const { services } = await admin.get('/os-services')
  const up = services.filter(({ state }: Body) => state === 'up').map(({ binary }: Body) => binary)
  return (
    up.includes('cinder-scheduler') && up.filter((name: string) => name === 'cinder-volume').length === TYPES.length
  )
}

/** Public ones, whatever a test that was broken off has left of them. */
async function makeTypes(admin: Session): Promise<void> {
  const { volume_types: types } = await admin.get('/types')
  for (const name of TYPES) {
    const existing = types.find((type: Body) => type.name === name)
    const made = existing
      ? await admin.call('PUT', `/types/${existing.id}`, { volume_type: { name, is_public: true } })
      : await admin.call('POST', '/types', { volume_type: { name, extra_specs: { volume_backend_name: name } } })
    assert.equal(made.status, 200, made.text)
  }
}

async function setQuotas(admin: Session, projects: ReadonlyMap<string, string>): Promise<void> {
  for (const [project, [volumes, gigabytes]] of Object.entries(QUOTAS)) {
    const quota = { volumes, snapshots: volumes, gigabytes }
    const set = await admin.call('PUT', `/os-quota-sets/${projects.get(project)}`, { quota_set: quota })
    assert.equal(set.status, 200, set.text)
  }
}

/** One entry a user, named after it, as the sandbox has them. Only its owner can read it. */
function writeCloudsYaml(): void {
  const entry = (username: string, project_name: string): object => ({
    auth: {
      auth_url: authUrl,
      username,
      password,
      project_name,
      user_domain_name: 'Default',
      project_domain_name: 'Default'
    },
    region_name: 'RegionOne',
    interface: 'public',
    identity_api_version: 3,
    volume_api_version: 3
  })
  const clouds = {
    'pool-svc': entry('pool-svc', 'pool'),
    'tenant-a-user': entry('tenant-a-user', 'tenant-a'),
    'tenant-b-user': entry('tenant-b-user', 'tenant-b'),
    'cld-api-server': entry('cld-api-server', 'service'),
    admin: entry('admin', 'pool')
  }
  writeFileSync(CLOUDS_YAML, stringify({ clouds }), { mode: 0o600 })
}

const as = (user: string, project: string) => () => logIn({ authUrl, user, password, project }, cinderUrl)

const bootstrap = await eventually('Keystone lets its admin in', as('admin', 'admin'))
const projects = await makeAccounts(bootstrap)
await makeCatalogue(bootstrap)
say('keystone: projects, users, roles, catalogue')
const admin = await eventually('Keystone lets its admin into project pool', as('admin', 'pool'))
await eventually("Cinder's parts are up", () => cinderIsUp(admin))
await makeTypes(admin)
await setQuotas(admin, projects)
say('cinder: volume types, quotas')
const pool = await as('pool-svc', 'pool')()
for (const disk of DISKS) {
  const { id } = await goldenSnapshot(pool, disk)
  say(`cinder: golden snapshot ${disk.name} ${id}`)
}
writeCloudsYaml()
