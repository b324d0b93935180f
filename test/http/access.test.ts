import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { beforeAll, beforeEach, describe, it } from 'vitest'
import { as, fillAs } from '../support/access.ts'
import { loginAs } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

type Headers = Record<string, string>

const hostnames = (function* () {
  for (let n = 1; ; n += 1) yield `web-${n}`
})()
const aName = (): string => hostnames.next().value ?? ''

/** Every route that asks for a token, and the roles besides admin that may call it. */
const ROUTES = [
  ['POST', '/pool/claim', ['claimer', 'service']],
  ['GET', `/pool/claims/${randomUUID()}`, ['claimer', 'service', 'reader']],
  ['GET', '/pool/claims', ['claimer', 'service', 'reader']],
  ['GET', '/pool/stats', ['reader']],
  ['GET', '/pool/plan', ['reader']],
  ['GET', '/pool/volumes', ['reader']],
  ['GET', '/os', ['reader']],
  ['DELETE', '/pool/volumes/none', []],
  ['POST', '/pool/replenish', []],
  ['POST', '/pool/check', []],
  ['POST', '/pool/reconcile', []],
  ['POST', '/pool/pause', []],
  ['POST', '/pool/resume', []],
  ['POST', '/os/sync', []]
] as const
const OPEN = ['/healthz', '/readyz', '/metrics', '/openapi.json', '/docs', '/']
const ROLES = ['claimer', 'service', 'reader', 'admin'] as const

/** The stock is for the claims of other tests. */
function bodyFor(path: string): object | undefined {
  if (path === '/os/sync') return { dry_run: true }
  return path === '/pool/claim' ? { hostname: aName(), ...DEBIAN, on_empty: 'fail' } : undefined
}

/** Each role may do what the contract says, and nothing else: what it may not is 403 before anything is looked at. */
async function checkRoles(service: TestService, headersOf: (role: (typeof ROLES)[number]) => Headers): Promise<void> {
  for (const [method, path, roles] of ROUTES) {
    for (const role of ROLES) {
      const { status, body } = await service.call(method, path, bodyFor(path), headersOf(role))
      const may = role === 'admin' || (roles as readonly string[]).includes(role)
      assert.equal(status === 403, !may, `${role}: ${method} ${path}: ${status} ${JSON.stringify(body)}`)
      if (!may) assert.equal(body.code, 'forbidden')
      assert.notEqual(status, 401)
    }
  }
}

async function checkStrangers(service: TestService, headers: Headers): Promise<void> {
  for (const [method, path] of ROUTES) {
    const answer = await service.call(method, path, bodyFor(path), headers)
    assert.deepEqual([answer.status, answer.body.code], [401, 'unauthenticated'], `${method} ${path}`)
    assert.equal(answer.headers['www-authenticate'], 'Bearer')
  }
}

async function checkOpenRoutes(service: TestService): Promise<void> {
  for (const path of OPEN) {
    const { status } = await service.call('GET', path)
    assert.ok(status < 400, `${path}: ${status}`)
  }
}

describe('access mode none', () => {
  const t = whileTestsRun()
  let service: TestService
  beforeAll(async () => {
    service = await aService(t)
  })

  it('takes a Keystone token for its project, and refuses one that Keystone does not know', async () => {
    const token = await loginAs(service, 'tenant-a-user', 'tenant-a')
    const claim = await service.claim({ hostname: aName(), project_id: undefined }, { 'x-auth-token': token })
    assert.deepEqual([claim.status, claim.body.project_id], [200, service.project('tenant-a')])
    const refused = await service.claim({ hostname: aName() }, { 'x-auth-token': 'unknown' })
    assert.deepEqual([refused.status, refused.body.code], [401, 'unauthenticated'])
  })

  it('lets everybody do everything', async () => {
    for (const [method, path] of ROUTES) {
      const { status } = await service.call(method, path, bodyFor(path))
      assert.ok(status !== 401 && status !== 403, `${method} ${path}: ${status}`)
    }
  })
})

describe('access mode token', () => {
  const t = whileTestsRun()
  let service: TestService
  const tokenOf = (role: string) => `the-token-of-${role}`
  const bearer = (role: string): Headers => ({ authorization: `Bearer ${tokenOf(role)}` })
  beforeAll(async () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
    const tokens = ROLES.map(role => ({
      name: role,
      role,
      sha256: sha256(tokenOf(role)),
      ...(role === 'claimer' ? { project_id: 'set below' } : {})
    }))
    service = await aService(t, {
      filled: false,
      config: { access: { mode: 'token', tokens }, pools: [{ ...DEBIAN, target: 30 }] }
    })
    for (const token of service.config.access.tokens)
      if (token.project_id) token.project_id = service.project('tenant-a')
    await fillAs(service, bearer('admin'))
  })

  it('asks for a token of access.tokens on every route that needs one', async () => {
    await checkStrangers(service, {})
    await checkStrangers(service, { authorization: 'Bearer unknown' })
    await checkStrangers(service, { authorization: 'Basic dXNlcjpwYXNz' })
    await checkOpenRoutes(service)
  })

  it('gives each role its rights', async () => {
    await checkRoles(service, bearer)
    await checkRoles(service, role => ({ 'x-auth-token': tokenOf(role) }))
  })

  it('takes the scheme without regard to case', async () => {
    const { status } = await service.call('GET', '/os', undefined, { authorization: `bearer ${tokenOf('reader')}` })
    assert.equal(status, 200)
  })

  it('lets a claimer claim into its project only', async () => {
    const own = await service.claim({ hostname: aName(), project_id: undefined }, bearer('claimer'))
    assert.deepEqual([own.status, own.body.project_id], [200, service.project('tenant-a')])
    const named = await service.claim({ hostname: aName() }, bearer('claimer'))
    assert.equal(named.status, 200)
    const other = await service.claim({ hostname: aName(), project_id: service.project('tenant-b') }, bearer('claimer'))
    assert.deepEqual([other.status, other.body.code], [403, 'forbidden'])
    assert.equal(service.volumes('tenant-b').length, 0)
  })

  it('lets the role service claim into any project, by default into the pool’s own', async () => {
    const named = await service.claim({ hostname: aName(), project_id: service.project('tenant-b') }, bearer('service'))
    assert.deepEqual([named.status, named.body.project_id], [200, service.project('tenant-b')])
    const own = await service.claim({ hostname: aName(), project_id: undefined }, bearer('service'))
    assert.deepEqual([own.status, own.body.project_id], [200, service.project('pool')])
  })

  it('accepts with a Keystone token that comes in X-Auth-Token beside the bearer’s', async () => {
    const token = await loginAs(service, 'tenant-b-user', 'tenant-b')
    const headers = { ...bearer('service'), 'x-auth-token': token }
    const { status, body } = await service.claim({ hostname: aName(), project_id: undefined }, headers)
    assert.deepEqual([status, body.project_id], [200, service.project('tenant-b')])
    const owner = [...service.sandbox.cloud.users.values()].find(({ name }) => name === 'tenant-b-user')
    assert.equal(service.volumes('tenant-b').find(({ id }) => id === body.volume_id)?.userId, owner?.id)
  })

  it('takes the same token in both headers', async () => {
    const headers = { ...bearer('reader'), 'x-auth-token': tokenOf('reader') }
    assert.equal((await service.call('GET', '/os', undefined, headers)).status, 200)
  })

  it('refuses a Keystone token beside the bearer’s that Keystone does not know', async () => {
    const { status, body } = await service.claim(
      { hostname: aName() },
      { ...bearer('service'), 'x-auth-token': 'unknown' }
    )
    assert.deepEqual([status, body.code], [401, 'unauthenticated'])
  })

  it('takes no Keystone token alone', async () => {
    const headers = { 'x-auth-token': await loginAs(service, 'admin', 'pool') }
    assert.equal((await service.call('GET', '/os', undefined, headers)).status, 401)
  })
})

describe('access mode keystone', () => {
  const t = whileTestsRun()
  let service: TestService
  let admin: Headers
  let tenant: Headers
  beforeAll(async () => {
    const config = { access: { mode: 'keystone' }, pools: [{ ...DEBIAN, target: 30 }] }
    service = await aService(t, { filled: false, config })
    admin = { 'x-auth-token': await loginAs(service, 'admin', 'pool') }
    await fillAs(service, admin)
  })
  beforeEach(async () => {
    service.sandbox.cloud.faults.remove()
    tenant = { 'x-auth-token': await loginAs(service, 'tenant-a-user', 'tenant-a') }
  })

  it('asks for a Keystone token on every route that needs one', async () => {
    await checkStrangers(service, {})
    await checkStrangers(service, { 'x-auth-token': 'unknown' })
    await checkStrangers(service, { authorization: `Bearer ${admin['x-auth-token']}` })
    await checkOpenRoutes(service)
  })

  it('gives each role its rights in the pool’s own project', async () => {
    const headers = {
      claimer: await as(service, 'pool', 'member'),
      service: await as(service, 'pool', 'service'),
      reader: await as(service, 'pool', 'reader'),
      admin
    }
    headers.claimer = { 'x-auth-token': await withoutReader(service, headers.claimer['x-auth-token'] ?? '') }
    await checkRoles(service, role => headers[role])
  })

  it('gives the reader of another project nothing', async () => {
    const reader = await as(service, 'tenant-b', 'reader')
    for (const path of ['/pool/stats', '/pool/plan', '/pool/volumes', '/pool/claims', '/os']) {
      const { status, body } = await service.call('GET', path, undefined, reader)
      assert.deepEqual([status, body.code], [403, 'forbidden'], path)
    }
  })

  it('gives an admin of any project everything, as Cinder does', async () => {
    const elsewhere = { 'x-auth-token': await loginAs(service, 'admin', 'tenant-b') }
    for (const path of ['/pool/stats', '/pool/volumes']) {
      assert.equal((await service.call('GET', path, undefined, elsewhere)).status, 200)
    }
    const { status } = await service.claim({ hostname: aName(), project_id: service.project('tenant-a') }, elsewhere)
    assert.equal(status, 200)
  })

  it('lets a claimer claim into its token’s project only', async () => {
    const own = await service.claim({ hostname: aName(), project_id: undefined }, tenant)
    assert.deepEqual([own.status, own.body.project_id], [200, service.project('tenant-a')])
    const other = await service.claim({ hostname: aName(), project_id: service.project('tenant-b') }, tenant)
    assert.deepEqual([other.status, other.body.code], [403, 'forbidden'])
    assert.match(other.body.detail, new RegExp(service.project('tenant-b')))
  })

  it('shows a claimer the claims of its own project, and hides all others', async () => {
    const own = await service.claim({ hostname: aName(), project_id: undefined }, tenant)
    const headers = await as(service, 'tenant-b', 'service')
    const other = await service.claim({ hostname: aName(), project_id: service.project('tenant-b') }, headers)
    assert.equal(other.status, 200)
    assert.equal((await service.call('GET', `/pool/claims/${own.body.claim_id}`, undefined, tenant)).status, 200)
    const hidden = await service.call('GET', `/pool/claims/${other.body.claim_id}`, undefined, tenant)
    assert.deepEqual([hidden.status, hidden.body.code], [404, 'claim_not_found'])
    type List = { claims: { project_id: string }[] }
    const list = await service.call<List>('GET', '/pool/claims', undefined, tenant)
    assert.ok(list.body.claims.length > 0)
    assert.ok(list.body.claims.every(({ project_id }) => project_id === service.project('tenant-a')))
    const asked = await service.call('GET', `/pool/claims?project_id=${service.project('tenant-b')}`, undefined, tenant)
    assert.deepEqual([asked.status, asked.body.code], [403, 'forbidden'])
    const volume = `/pool/claims?volume_id=${other.body.volume_id}`
    assert.deepEqual((await service.call<List>('GET', volume, undefined, tenant)).body.claims, [])
    assert.equal((await service.call<List>('GET', volume, undefined, admin)).body.claims.length, 1)
  })

  it('lets the role service claim into any project and see every claim', async () => {
    const headers = await as(service, 'tenant-b', 'service')
    const { status, body } = await service.claim(
      { hostname: aName(), project_id: service.project('tenant-a') },
      headers
    )
    assert.deepEqual([status, body.project_id], [200, service.project('tenant-a')])
    assert.equal((await service.call('GET', `/pool/claims/${body.claim_id}`, undefined, headers)).status, 200)
  })

  it('maps Keystone’s roles to ours by access.roles', async () => {
    const headers = await as(service, 'pool', 'reader')
    const { roles } = service.config.access
    roles.admin = ['reader']
    assert.equal((await service.call('POST', '/pool/check', undefined, headers)).status, 200)
    roles.admin = ['admin']
    assert.equal((await service.call('POST', '/pool/check', undefined, headers)).status, 403)
  })

  it('refuses a token that has expired', async () => {
    assert.equal((await service.call('GET', '/pool/claims', undefined, tenant)).status, 200)
    service.clock.pass(3601)
    const { status, body } = await service.call('GET', '/pool/claims', undefined, tenant)
    assert.deepEqual([status, body.code], [401, 'unauthenticated'])
    admin = { 'x-auth-token': await loginAs(service, 'admin', 'pool') }
  })

  it('refuses a token that was revoked, within five minutes', async () => {
    assert.equal((await service.call('GET', '/pool/claims', undefined, tenant)).status, 200)
    service.sandbox.cloud.tokens.delete(tenant['x-auth-token'] ?? '')
    service.clock.pass(301)
    assert.equal((await service.call('GET', '/pool/claims', undefined, tenant)).status, 401)
  })

  it('refuses a token without a project', async () => {
    const token = await loginAs(service, 'tenant-a-user', 'tenant-a')
    const known = service.sandbox.cloud.tokens.get(token)
    assert.ok(known)
    service.sandbox.cloud.tokens.set(token, { ...known, project: undefined })
    assert.equal((await service.call('GET', '/pool/claims', undefined, { 'x-auth-token': token })).status, 401)
  })

  it.for([500, 502, 503])('answers 503 while Keystone answers %i, and lets nobody in', async status => {
    service.sandbox.cloud.addFault({ operation: 'token_validate', kind: 'status', status })
    const fresh = { 'x-auth-token': await loginAs(service, 'admin', 'pool') }
    const claims = service.volumes('tenant-a').length
    const answers = [
      await service.call('GET', '/pool/stats', undefined, fresh),
      await service.claim({ hostname: aName() }, fresh)
    ]
    for (const { status, body, headers } of answers) {
      assert.deepEqual([status, body.code], [503, 'cloud_unavailable'])
      assert.ok(Number(headers['retry-after']) > 0)
    }
    assert.equal(service.volumes('tenant-a').length, claims)
  })

  it('does not blame the caller’s token when its own login is refused', async () => {
    assert.equal((await service.claim({ hostname: aName() }, tenant)).status, 200)
    const { cloud } = service.sandbox
    const own = [...cloud.tokens.values()].filter(({ user }) => user.name === 'pool-svc')
    for (const { id } of own) cloud.tokens.delete(id)
    cloud.addFault({ operation: 'token_issue', kind: 'status', status: 401, count: 1 })
    const { status, body } = await service.claim({ hostname: aName() }, tenant)
    assert.deepEqual([status, body.code], [502, 'cloud_error'])
    assert.match(body.detail, /^The service's own login is refused\. /)
  })

  it('stays alive and answers metrics without Keystone', async () => {
    service.sandbox.cloud.addFault({ kind: 'status', status: 503 })
    await checkOpenRoutes(service)
  })
})

/** Keystone adds `reader` to every member: here is what a claimer alone may do. */
async function withoutReader(service: TestService, id: string): Promise<string> {
  const token = service.sandbox.cloud.tokens.get(id)
  assert.ok(token)
  service.sandbox.cloud.tokens.set(id, { ...token, roles: token.roles.filter(role => role !== 'reader') })
  return id
}
