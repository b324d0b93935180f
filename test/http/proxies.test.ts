import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { aService, type TestService } from '../support/service.ts'

const PER_MINUTE = 3

interface Sender {
  /** Who opened the connection. */
  readonly from: string
  readonly headers?: Readonly<Record<string, string>>
}

const aProxied = (
  t: TestContext,
  server: object,
  { access = { mode: 'none' }, ...rest }: { onLog?: (line: string) => void; access?: object } = {}
): Promise<TestService> =>
  aService(t, {
    filled: false,
    config: { access, server: { port: 0, rate_limit: { per_minute: PER_MINUTE }, ...server } },
    ...rest
  })

async function statusFor(
  { service }: TestService,
  { from, headers = {} }: Sender,
  url = '/pool/stats'
): Promise<number> {
  const answer = await service.app.inject({ method: 'GET', url, remoteAddress: from, headers })
  return answer.statusCode
}

const forwardedFor = (from: string, forwarded: string): Sender => ({ from, headers: { 'x-forwarded-for': forwarded } })

async function exhaust(service: TestService, senders: readonly Sender[]): Promise<void> {
  const statuses = []
  for (const sender of senders) statuses.push(await statusFor(service, sender))
  assert.deepEqual(
    statuses,
    senders.map((_, n) => (n < PER_MINUTE ? 200 : 429))
  )
}

const PROXIES = { trusted_proxies: ['10.0.0.5', '10.1.0.0/16', 'fd00::/64'] }

describe('server.trusted_proxies', () => {
  it.for([
    ['an address', '10.0.0.5'],
    ['a network', '10.1.2.3'],
    ['a network of IPv6', 'fd00::17'],
    ['an address, on a socket that takes both kinds', '::ffff:10.0.0.5']
  ] as const)('let callers behind %s be limited each by itself', async ([, proxy], t) => {
    const service = await aProxied(t, PROXIES)
    await exhaust(
      service,
      Array.from({ length: PER_MINUTE + 2 }, () => forwardedFor(proxy, '192.0.2.1'))
    )
    assert.equal(await statusFor(service, forwardedFor(proxy, '192.0.2.2')), 200)
    assert.equal(await statusFor(service, forwardedFor(proxy, '2001:db8::1')), 200)
    assert.equal(await statusFor(service, { from: proxy }), 200)
  })

  it('let no caller hide by writing other addresses before its own', async t => {
    const service = await aProxied(t, PROXIES)
    const forged = [1, 2, 3, 4, 5].map(n => forwardedFor('10.0.0.5', `198.51.100.${n}, 10.1.0.1, 192.0.2.1`))
    await exhaust(service, forged)
    // A chain of two proxies of ours: the first of them names the caller.
    assert.equal(await statusFor(service, forwardedFor('10.0.0.5', '192.0.2.1, 10.1.0.1')), 429)
    assert.equal(await statusFor(service, forwardedFor('10.0.0.5', '192.0.2.9, 10.1.0.1')), 200)
  })

  it.for([
    ['with a wrong token', '/pool/stats', 401],
    ['who reads metrics', '/metrics', 200]
  ] as const)('let each stranger behind them be limited by itself: %s', async ([, url, served], t) => {
    const service = await aProxied(t, PROXIES, { access: { mode: 'keystone' } })
    const ask = (address: string, token: number): Promise<number> => {
      const headers = { 'x-forwarded-for': address, 'x-auth-token': `wrong-${token}` }
      return statusFor(service, { from: '10.0.0.5', headers }, url)
    }
    const statuses = []
    for (let n = 0; n <= PER_MINUTE; n += 1) statuses.push(await ask('192.0.2.1', n))
    assert.deepEqual(statuses, [...Array.from({ length: PER_MINUTE }, () => served), 429])
    assert.equal(await ask('192.0.2.2', 0), served)
  })

  it.for([
    ['who is none of them', PROXIES, '10.0.0.6'],
    ['anybody, by default', {}, '10.0.0.5'],
    ['who is near a network', PROXIES, '10.2.0.1'],
    ['who has a like address of IPv6', PROXIES, 'fd00:0:0:1::17']
  ] as const)('give no weight to X-Forwarded-For of %s', async ([, server, from], t) => {
    const service = await aProxied(t, server)
    await exhaust(
      service,
      [1, 2, 3, 4].map(n => forwardedFor(from, `192.0.2.${n}`))
    )
  })

  it.for([
    ['10.0.0.5', '192.0.2.1'],
    ['10.0.0.6', '10.0.0.6']
  ] as const)('name the client in the log: from %s it is %s', async ([from, ip], t) => {
    const lines: string[] = []
    const service = await aProxied(t, PROXIES, { onLog: line => lines.push(line) })
    await statusFor(service, forwardedFor(from, '192.0.2.1'))
    const logged = lines.map(line => JSON.parse(line)).filter(({ msg }) => msg === 'request answered')
    assert.deepEqual(
      logged.map(line => line.ip),
      [ip]
    )
  })

  it('open nothing to other sites: X-Forwarded-Host and -Proto are not read', async t => {
    const service = await aProxied(t, PROXIES)
    const refused = [
      { host: 'evil.example', 'x-forwarded-host': 'localhost' },
      { host: 'evil.example', 'x-forwarded-host': 'localhost', origin: 'http://localhost' },
      { host: 'localhost', 'x-forwarded-host': 'evil.example', origin: 'http://evil.example' },
      { host: 'localhost', forwarded: 'host=evil.example', origin: 'http://evil.example' }
    ]
    for (const headers of refused) assert.equal(await statusFor(service, { from: '10.0.0.5', headers }), 403)
    const served = { host: 'localhost', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'gopher' }
    assert.equal(await statusFor(service, { from: '10.0.0.5', headers: served }), 200)
    const named = await aProxied(t, { ...PROXIES, allowed_hosts: ['pool.example'] })
    const page = { host: '127.0.0.1:8790', origin: 'https://pool.example', 'x-forwarded-host': 'pool.example' }
    assert.equal(await statusFor(named, { from: '10.0.0.5', headers: page }), 200)
  })
})
