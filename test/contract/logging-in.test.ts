import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  assertFault,
  authUrl,
  type Body,
  CALL,
  clientWith,
  loginAs,
  NOBODY,
  password,
  passwordAuth,
  pool,
  Session,
  send,
  storageTypes,
  tenant,
  traits,
  unique
} from './support.ts'

const REFUSED = 'The request you have made requires authentication.'
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/

const ask = (body: unknown, headers: object = {}): Promise<Answer> =>
  send('POST', `${authUrl}/auth/tokens`, { ...headers }, body)
const logIn = (user: string, project: string, secret = password): Promise<Answer> =>
  ask(passwordAuth(user, project, secret))
const rolesOf = ({ body }: Answer): string[] => body.token.roles.map(({ name }: Body) => name).toSorted()

describe('logging in', () => {
  it('gives a token in a header, and says whose it is, where, and how long it lasts', async () => {
    const answer = await logIn('pool-svc', 'pool')
    const { token } = answer.body
    assert.equal(answer.status, 201)
    const form = traits.hasFernetTokens ? /^gAAAAAB[\w-]{100,}=*$/ : /^[0-9a-f]{32}$/
    assert.match(answer.headers['x-subject-token'] ?? '', form)
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.match(answer.headers['x-openstack-request-id'] ?? '', /^req-[0-9a-f-]{36}$/)
    assert.deepEqual(Object.keys(token).toSorted(), [
      'audit_ids',
      'catalog',
      'expires_at',
      'is_domain',
      'issued_at',
      'methods',
      'project',
      'roles',
      'user'
    ])
    const domain = { id: 'default', name: 'Default' }
    assert.deepEqual(token.user, { domain, id: pool.userId, name: 'pool-svc', password_expires_at: null })
    assert.deepEqual(token.project, { domain, id: pool.projectId, name: 'pool' })
    assert.deepEqual([token.methods, token.is_domain], [['password'], false])
    for (const time of [token.issued_at, token.expires_at]) assert.match(time, TIME)
    const lifeMs = Date.parse(token.expires_at) - Date.parse(token.issued_at)
    assert.ok(Math.abs(lifeMs - 3_600_000) <= 1_000, `${lifeMs} ms`)
  })

  it('gives each role with all that it implies', async () => {
    assert.deepEqual(rolesOf(await logIn('tenant-a-user', 'tenant-a')), ['member', 'reader'])
    assert.deepEqual(rolesOf(await logIn('admin', 'tenant-a')), ['admin', 'member', 'reader'])
  })

  it("lists block storage in the catalogue, under all its names, with the project's id in its address", async () => {
    const { catalog } = (await logIn('pool-svc', 'pool')).body.token
    for (const type of storageTypes) {
      const version = type === 'volume' ? 'v1' : type === 'volumev2' ? 'v2' : 'v3'
      const { endpoints } = catalog.find((service: Body) => service.type === type)
      assert.deepEqual(endpoints.map((endpoint: Body) => endpoint.interface).toSorted(), [
        'admin',
        'internal',
        'public'
      ])
      for (const { url, region } of endpoints) {
        assert.ok(url.endsWith(`/${version}/${pool.projectId}`), url)
        assert.equal(region, 'RegionOne')
      }
    }
  })

  it.for<[string, object]>([
    ['a wrong password', passwordAuth('pool-svc', 'pool', 'wrong')],
    ['an unknown user', passwordAuth('nobody', 'pool', password)],
    ['a project in which the user has no role', passwordAuth('tenant-a-user', 'tenant-b', password)],
    ['an unknown project', passwordAuth('pool-svc', 'no-such-project', password)]
  ])('refuses %s in the same words as all of them', async ([, auth]) => {
    assertFault(await ask(auth), 401, 'error', REFUSED)
  })

  it('refuses a project without a role also by its id', async () => {
    const user = { id: tenant.userId, password }
    const identity = { methods: ['password'], password: { user } }
    for (const id of [pool.projectId, NOBODY]) {
      assertFault(await ask({ auth: { identity, scope: { project: { id } } } }), 401, 'error', REFUSED)
    }
  })

  it('takes JSON only, and anything without a type for it', async () => {
    const text = JSON.stringify(passwordAuth('pool-svc', 'pool', password))
    const expecting = (what: string): string =>
      `Expecting to find ${what}. The server could not comply with the request since it is either malformed or ` +
      'otherwise incorrect. The client is assumed to be in error.'
    const typed = await ask(text, { 'content-type': 'text/plain' })
    assertFault(typed, 400, 'error', expecting('application/json in Content-Type header'))
    assertFault(await ask('{'), 400, 'error', expecting('valid JSON in request body'))
    assert.equal((await ask(text, { 'content-type': undefined })).status, 201)
  })

  it('needs a method that is known', async () => {
    assertFault(await ask({ auth: { identity: { methods: [] } } }), 401, 'error', REFUSED)
    assertFault(await ask({ auth: {} }), 400, 'error', /^'identity' is a required property/)
  })

  it('works by ids, and without a project gives a token that has none', async () => {
    const identity = { methods: ['password'], password: { user: { id: pool.userId, password } } }
    const scope = { project: { id: pool.projectId } }
    assert.equal((await ask({ auth: { identity, scope } })).body.token.project.name, 'pool')
    const { status, body } = await ask({ auth: { identity } })
    assert.deepEqual(
      [status, body.token.project, body.token.roles, body.token.catalog],
      [201, undefined, undefined, undefined]
    )
  })

  if (!traits.hasApplicationCredentials) {
    it('knows no application credentials before Queens', async () => {
      const path = `/users/${pool.userId}/application_credentials`
      const wish = { application_credential: { name: unique('contract') } }
      assert.equal((await pool.keystone('POST', path, wish)).status, 404)
    })
    return
  }

  it('works with an application credential, for its own project only', async t => {
    const own = await loginAs('pool-svc', 'pool')
    const path = `/users/${own.userId}/application_credentials`
    const made = await own.keystone('POST', path, { application_credential: { name: unique('contract') } })
    assert.equal(made.status, 201, made.text)
    const { id, secret, name } = made.body.application_credential
    t.onTestFinished(async () => void (await own.keystone('DELETE', `${path}/${id}`)))
    const identity = (credential: object) => ({
      methods: ['application_credential'],
      application_credential: credential
    })
    const user = { name: 'pool-svc', domain: { name: 'Default' } }
    for (const credential of [
      { id, secret },
      { name, secret, user }
    ]) {
      const answer = await ask({ auth: { identity: identity(credential) } })
      assert.equal(new Session(answer).projectId, pool.projectId)
      assert.deepEqual(answer.body.token.methods, ['application_credential'])
    }
    const scope = { project: { id: tenant.projectId } }
    const elsewhere = await ask({ auth: { identity: identity({ id, secret }), scope } })
    const bound = 'Error authenticating with application credential: Application credentials cannot request a scope.'
    assert.deepEqual([elsewhere.status, elsewhere.body.error.message], [401, bound])
    assertFault(await ask({ auth: { identity: identity({ id, secret: 'wrong' }) } }), 401, 'error', REFUSED)
  })

  it('does not find an application credential by an id that was deleted, and refuses it by its name', async t => {
    const { userId } = pool
    const own = await loginAs('pool-svc', 'pool')
    const path = `/users/${userId}/application_credentials`
    const made = await own.keystone('POST', path, { application_credential: { name: unique('contract') } })
    const { id, secret, name } = made.body.application_credential
    const auth = { auth_url: authUrl, application_credential_id: id, application_credential_secret: secret }
    const client = () => clientWith(t, { auth_type: 'v3applicationcredential', auth })
    assert.equal((await client().poolProject(CALL)).id, pool.projectId)
    assert.equal((await own.keystone('DELETE', `${path}/${id}`)).status, 204)
    await assert.rejects(client().poolProject(CALL), { code: 'login_refused', status: 404 })
    await assert.rejects(client().identify(tenant.token, CALL), { code: 'unavailable' })
    const withCredential = (credential: object) =>
      ask({ auth: { identity: { methods: ['application_credential'], application_credential: credential } } })
    assertFault(await withCredential({ id, secret }), 404, 'error', `Could not find Application Credential: ${id}.`)
    assertFault(await withCredential({ name, secret, user: { id: userId } }), 401, 'error', REFUSED)
  })
})

describe('the projects of a user', () => {
  it('are those in which it has a role', async () => {
    const names = async (session: Session): Promise<string[]> => {
      const { status, body } = await session.keystone('GET', '/auth/projects')
      assert.equal(status, 200)
      return body.projects.map(({ name }: Body) => name).toSorted()
    }
    assert.deepEqual(await names(pool), ['pool', 'tenant-a', 'tenant-b'])
    assert.deepEqual(await names(tenant), ['tenant-a'])
    const { projects } = (await tenant.keystone('GET', '/auth/projects')).body
    assert.equal(projects[0].id, tenant.projectId)
    assert.ok((await names(admin)).includes('pool'))
  })

  it('are told to nobody without a good token', async () => {
    assertFault(await send('GET', `${authUrl}/auth/projects`, { 'x-auth-token': 'bad' }), 401, 'error', REFUSED)
    assertFault(await send('GET', `${authUrl}/auth/projects`), 401, 'error', REFUSED)
  })
})
