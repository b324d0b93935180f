import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, it, type TestContext, vi } from 'vitest'
import { as } from '../support/access.ts'
import { loginAs } from '../support/cloud.ts'
import { type Answer, aService, type TestService } from '../support/service.ts'

type Headers = Record<string, string>

const PER_MINUTE = 5
const aLimited = (t: TestContext, access: object): Promise<TestService> =>
  aService(t, { filled: false, config: { access, server: { port: 0, rate_limit: { per_minute: PER_MINUTE } } } })

/** Uses up what is left of a caller's minute; gives the refusal. */
async function exhaust(
  service: TestService,
  headers: Headers,
  allowed: number,
  served = 200
): Promise<Answer<unknown>> {
  for (let n = 0; n < allowed; n += 1) {
    assert.equal((await service.call('GET', '/pool/claims', undefined, headers)).status, served, `request ${n + 1}`)
  }
  const refused = await service.call('GET', '/pool/claims', undefined, headers)
  assert.deepEqual([refused.status, refused.body.code], [429, 'rate_limited'])
  const wait = Number(refused.headers['retry-after'])
  assert.ok(wait > 0 && wait <= 60, `Retry-After: ${wait}`)
  return refused
}

const isServed = async (service: TestService, headers: Headers): Promise<boolean> =>
  (await service.call('GET', '/pool/claims', undefined, headers)).status === 200

describe('server.rate_limit', () => {
  // The limit's own minute is the machine's.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
  afterEach(() => void vi.useRealTimers())

  const tokens = ['one', 'two'].map(name => ({
    name,
    sha256: createHash('sha256').update(name).digest('hex'),
    role: 'service'
  }))
  const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` })

  it('counts each token of ours apart, and anew after a minute', async t => {
    const service = await aLimited(t, { mode: 'token', tokens })
    await exhaust(service, bearer('one'), PER_MINUTE)
    assert.equal(await isServed(service, bearer('two')), true)
    vi.setSystemTime(Date.now() + 59_000)
    assert.equal(await isServed(service, bearer('one')), false)
    vi.setSystemTime(Date.now() + 1_000)
    await exhaust(service, bearer('one'), PER_MINUTE)
  })

  it('counts a user in a project, however many tokens it has', async t => {
    const service = await aLimited(t, { mode: 'keystone' })
    const login = async (user: string): Promise<Headers> => ({
      'x-auth-token': await loginAs(service, user, 'tenant-a')
    })
    await exhaust(service, await login('tenant-a-user'), PER_MINUTE)
    assert.equal(await isServed(service, await login('tenant-a-user')), false)
    assert.equal(await isServed(service, await as(service, 'tenant-a', 'member')), true)
  })

  it('counts wrong tokens by address: a flood of them does not reach Keystone, nor hinder known callers', async t => {
    const service = await aLimited(t, { mode: 'keystone' })
    const known = { 'x-auth-token': await loginAs(service, 'tenant-a-user', 'tenant-a') }
    assert.equal(await isServed(service, known), true)
    service.sandbox.cloud.addFault({ operation: 'token_validate', kind: 'delay', ms: 0 })
    for (let n = 0; n < 50; n += 1) {
      const { status } = await service.call('GET', '/pool/claims', undefined, { 'x-auth-token': `wrong-${n}` })
      assert.equal(status, n < PER_MINUTE - 1 ? 401 : 429)
    }
    assert.equal(service.sandbox.cloud.faults.list()[0]?.strikes, PER_MINUTE - 1, 'that Keystone was asked')
    assert.equal(await isServed(service, known), true)
  })

  it('counts callers without a token by address', async t => {
    const service = await aLimited(t, { mode: 'none' })
    await exhaust(service, {}, PER_MINUTE)
    const elsewhere = { method: 'GET', url: '/pool/claims', remoteAddress: '10.0.0.7' } as const
    assert.equal((await service.service.app.inject(elsewhere)).statusCode, 200)
    const guarded = await aLimited(t, { mode: 'token', tokens })
    await exhaust(guarded, {}, PER_MINUTE, 401)
  })

  it('counts reads of metrics and readiness by address, also of known callers', async t => {
    const service = await aLimited(t, { mode: 'token', tokens })
    assert.equal(await isServed(service, bearer('one')), true) // Counts as a stranger, as whoever comes for the first time.
    const statuses: number[] = []
    for (const path of ['/metrics', '/readyz', '/metrics', '/readyz', '/metrics', '/readyz']) {
      const { status, headers } = await service.call('GET', path, undefined, bearer('one'))
      statuses.push(status)
      if (status === 429) assert.ok(Number(headers['retry-after']) > 0)
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429])
    assert.equal(await isServed(service, bearer('one')), true)
    const elsewhere = { method: 'GET', url: '/metrics', remoteAddress: '10.0.0.7' } as const
    assert.equal((await service.service.app.inject(elsewhere)).statusCode, 200)
    vi.setSystemTime(Date.now() + 60_000)
    for (const path of ['/metrics', '/readyz']) assert.equal((await service.call('GET', path)).status, 200)
  })

  it('does not limit what needs no token and reads nothing', async t => {
    const service = await aLimited(t, { mode: 'none' })
    await exhaust(service, {}, PER_MINUTE)
    for (let n = 0; n <= PER_MINUTE; n += 1) await service.call('GET', '/readyz')
    for (const path of ['/healthz', '/openapi.json', '/']) {
      assert.equal((await service.call('GET', path)).status, 200, path)
    }
  })

  it('refuses before anything is done, and limits nothing where it is not set', async t => {
    const limited = await aLimited(t, { mode: 'none' })
    await exhaust(limited, {}, PER_MINUTE)
    const { status } = await limited.claim({ hostname: randomUUID() })
    assert.equal(status, 429)
    assert.deepEqual(await limited.rows('select id from claims'), [])
    const free = await aService(t, { filled: false })
    for (let n = 0; n < 50; n += 1) assert.equal(await isServed(free, {}), true)
  })
})
