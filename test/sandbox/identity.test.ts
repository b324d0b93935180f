import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aCloud, assertFault, passwordAuth, Session, send } from './support.ts'

const REFUSED = 'The request you have made requires authentication.'

describe('logging in', () => {
  it('gives a token with roles, catalogue and times, for an hour', async t => {
    const { sandbox, pool } = await aCloud(t)
    const { status, headers, body } = await send(
      'POST',
      `${sandbox.authUrl}/auth/tokens`,
      {},
      passwordAuth('pool-svc', 'pool')
    )
    const { token } = body
    assert.equal(status, 201)
    assert.match(headers['x-subject-token'] ?? '', /^gAAAAAB[\w-]{183}$/)
    assert.deepEqual(
      [token.issued_at, token.expires_at],
      ['2026-11-23T10:00:00.250000Z', '2026-11-23T11:00:00.250000Z']
    )
    assert.deepEqual(
      token.roles.map(({ name }: { name: string }) => name),
      ['reader', 'member']
    )
    assert.deepEqual(token.user, {
      domain: { id: 'default', name: 'Default' },
      id: pool.userId,
      name: 'pool-svc',
      password_expires_at: null
    })
    const storage = token.catalog.find(({ type }: { type: string }) => type === 'block-storage')
    assert.deepEqual(
      storage.endpoints.map((endpoint: { interface: string }) => endpoint.interface),
      ['public', 'internal', 'admin']
    )
    assert.equal(storage.endpoints[0].url, `${sandbox.url}/volume/v3/${pool.projectId}`)
    assert.ok(token.catalog.some(({ type }: { type: string }) => type === 'volumev3'))
  })

  it('works by ids, without a project, with a token, and with an application credential', async t => {
    const { sandbox, pool, login } = await aCloud(t)
    const auth = async (identity: object, scope?: object) =>
      await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, { auth: { identity, ...(scope ? { scope } : {}) } })
    const byIds = await auth(
      { methods: ['password'], password: { user: { id: pool.userId, password: 'sandbox' } } },
      { project: { id: pool.projectId } }
    )
    assert.equal(byIds.status, 201)
    const unscoped = await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth('pool-svc'))
    assert.deepEqual(
      [unscoped.status, unscoped.body.token.project, unscoped.body.token.catalog],
      [201, undefined, undefined]
    )
    const token = { methods: ['token'], token: { id: unscoped.headers['x-subject-token'] } }
    const rescoped = await auth(token, { project: { name: 'tenant-a', domain: { id: 'default' } } })
    assert.equal(rescoped.body.token.project.name, 'tenant-a')
    const [seeded] = sandbox.cloud.applicationCredentials.values()
    const credential = { id: seeded?.id, secret: 'sandbox' }
    const bound = await auth({ methods: ['application_credential'], application_credential: credential })
    assert.equal(new Session(bound).projectId, pool.projectId)
    const named = { name: 'pool', secret: 'sandbox', user: { name: 'pool-svc', domain: { name: 'Default' } } }
    assert.equal((await auth({ methods: ['application_credential'], application_credential: named })).status, 201)
    const again = await login('pool-svc', 'tenant-a')
    const path = `${sandbox.authUrl}/users/${again.userId}/application_credentials`
    const made = await send('POST', path, { 'x-auth-token': again.token }, { application_credential: { name: 'mine' } })
    const { id, secret } = made.body.application_credential
    const own = await auth({ methods: ['application_credential'], application_credential: { id, secret } })
    assert.equal(own.body.token.project.name, 'tenant-a')
  })
})

describe('tokens', () => {
  it('expire', async t => {
    const { pool, clock } = await aCloud(t, { tokenSeconds: 60 })
    await clock.advance(59_999)
    assert.equal((await pool.call('GET', '/volumes')).status, 200)
    await clock.advance(1)
    const answer = await pool.call('GET', '/volumes')
    assertFault(answer, 401, 'error', REFUSED)
    assert.match(answer.headers['www-authenticate'] ?? '', /^Keystone uri="http:\/\/127\.0\.0\.1:\d+\/identity"$/)
  })

  it('are shown to administrators, services and their own user, and to nobody else', async t => {
    const { sandbox, pool, tenant, admin } = await aCloud(t)
    const path = `${sandbox.authUrl}/auth/tokens`
    const ask = async (mine: string, subject: string, query = '') =>
      await send('GET', path + query, { 'x-auth-token': mine, 'x-subject-token': subject })
    const shown = await ask(admin.token, tenant.token, '?nocatalog')
    assert.deepEqual(
      [shown.status, shown.body.token.user.id, shown.body.token.catalog],
      [200, tenant.userId, undefined]
    )
    assert.equal((await ask(tenant.token, tenant.token)).status, 200)
    assertFault(
      await ask(pool.token, tenant.token),
      403,
      'error',
      'You are not authorized to perform the requested action: identity:validate_token.'
    )
    assert.equal((await ask(admin.token, 'unknown')).status, 404)
    assertFault(await ask('unknown', tenant.token), 401, 'error', REFUSED)
    const roles = await send('GET', `${sandbox.authUrl}/roles?name=service`, { 'x-auth-token': admin.token })
    const grant = `${sandbox.authUrl}/projects/${pool.projectId}/users/${pool.userId}/roles/${roles.body.roles[0].id}`
    assert.equal((await send('PUT', grant, { 'x-auth-token': admin.token })).status, 204)
    const service = await send('POST', path, {}, passwordAuth('pool-svc', 'pool'))
    assert.equal((await ask(service.headers['x-subject-token'] ?? '', tenant.token)).status, 200)
    assert.equal(
      (await send('HEAD', path, { 'x-auth-token': admin.token, 'x-subject-token': tenant.token })).status,
      200
    )
  })

  it('are revoked with DELETE', async t => {
    const { sandbox, tenant } = await aCloud(t)
    const headers = { 'x-auth-token': tenant.token, 'x-subject-token': tenant.token }
    assert.equal((await send('DELETE', `${sandbox.authUrl}/auth/tokens`, headers)).status, 204)
    assert.equal((await tenant.call('GET', '/volumes')).status, 401)
  })
})

describe('the directory', () => {
  it('tells administrators everything, and users what is their own', async t => {
    const { sandbox, tenant, admin } = await aCloud(t)
    const get = async (path: string, token: string) =>
      await send('GET', sandbox.authUrl + path, { 'x-auth-token': token })
    assert.deepEqual(
      (await get('/projects', admin.token)).body.projects.map(({ name }: { name: string }) => name),
      ['pool', 'tenant-a', 'tenant-b']
    )
    assert.equal((await get('/projects?name=pool', admin.token)).body.projects.length, 1)
    assert.equal((await get('/projects', tenant.token)).status, 403)
    assert.equal((await get(`/projects/${tenant.projectId}`, tenant.token)).body.project.name, 'tenant-a')
    assert.equal((await get(`/users/${tenant.userId}`, tenant.token)).body.user.name, 'tenant-a-user')
    assert.equal((await get('/users/nobody', admin.token)).status, 404)
    assert.equal((await get('/auth/projects', tenant.token)).body.projects.length, 1)
  })

  it('takes more projects, in which a user may then work', async t => {
    const { sandbox, admin, pool, login } = await aCloud(t)
    const headers = { 'x-auth-token': admin.token }
    const made = await send('POST', `${sandbox.authUrl}/projects`, headers, { project: { name: 'tenant-c' } })
    const roles = await send('GET', `${sandbox.authUrl}/roles?name=member`, headers)
    const { id } = made.body.project
    await send('PUT', `${sandbox.authUrl}/projects/${id}/users/${pool.userId}/roles/${roles.body.roles[0].id}`, headers)
    assert.equal((await login('pool-svc', 'tenant-c')).projectId, id)
  })

  it('shows its versions without a token', async t => {
    const { sandbox } = await aCloud(t)
    assert.equal((await send('GET', `${sandbox.url}/identity`)).status, 300)
    assert.equal((await send('GET', sandbox.authUrl)).body.version.id, 'v3.14')
  })
})
