import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { beforeAll, describe, it } from 'vitest'
import type { App } from '../../src/http/app.ts'
import { fillAs } from '../support/access.ts'
import { loginAs } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { answerTo } from '../support/raw-http.ts'
import { routesOf } from '../support/requests.ts'
import { aService, type TestService } from '../support/service.ts'

type Headers = Record<string, string>

const TOKEN = 'the-token-of-an-admin'
const sha256 = createHash('sha256').update(TOKEN).digest('hex')
const ACCESS = {
  none: { mode: 'none' },
  token: { mode: 'token', tokens: [{ name: 'admin', role: 'admin', sha256 }] },
  keystone: { mode: 'keystone' }
} as const
type Mode = keyof typeof ACCESS

async function adminOf(service: TestService, mode: Mode): Promise<Headers> {
  if (mode === 'none') return {}
  return mode === 'token'
    ? { authorization: `Bearer ${TOKEN}` }
    : { 'x-auth-token': await loginAs(service, 'admin', 'pool') }
}

/** Also those that the document leaves out, and addresses that lead nowhere. */
const UNDOCUMENTED = [
  ...['/', '/app.js', '/docs', '/docs/', '/docs/json', '/openapi.json', '/nowhere'].map(path => ['GET', path]),
  ...['GET', 'POST'].map(method => [method, '/pool/reservations']),
  ['DELETE', `/pool/reservations/${randomUUID()}`],
  ...['POST', 'PUT'].map(method => [method, '/healthz'])
] as [Method, string][]
type Method = 'GET' | 'POST' | 'DELETE' | 'PUT'

const everyRoute = (app: App): [Method, string][] => [
  ...routesOf(app).map(({ method, path }): [Method, string] => [
    method as Method,
    path.replace(/\{\w+\}/, randomUUID())
  ]),
  ...UNDOCUMENTED
]

const EVIL = 'https://evil.example'
/** What browsers say of a page of another site that asks us. */
const FOREIGN: readonly Headers[] = [
  { host: 'evil.example', origin: EVIL, 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
  { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
  { origin: EVIL },
  { origin: 'null' },
  { origin: 'http://localhost:3000' }, // Another server on the same machine.
  { origin: 'https://localhost:80@evil.example' },
  { origin: 'https://localhost:80.evil.example' },
  { origin: 'chrome-extension://localhost:80' },
  { origin: 'http://localhost:80, https://evil.example' },
  { origin: '' }
]

async function assertForbidden(service: TestService, method: Method, path: string, headers: Headers): Promise<string> {
  const answer = await service.call(method, path, undefined, headers)
  const what = `${method} ${path} ${JSON.stringify(headers)}: ${JSON.stringify(answer.body)}`
  assert.deepEqual([answer.status, answer.body.code], [403, 'forbidden'], what)
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
  assert.equal(answer.headers['x-openstack-request-id'], answer.body.request_id)
  assert.equal(answer.headers['access-control-allow-origin'], undefined)
  return answer.body.detail
}

async function isServed(service: TestService, headers: Headers, path = '/pool/stats'): Promise<boolean> {
  const { status } = await service.call('GET', path, undefined, headers)
  assert.ok(status === 200 || status === 403, `${status}`)
  return status === 200
}

describe.each(['none', 'token', 'keystone'] as const)('with access.mode %s, a page of another site', mode => {
  const t = whileTestsRun()
  let service: TestService
  let admin: Headers
  beforeAll(async () => {
    service = await aService(t, { filled: false, config: { access: ACCESS[mode] } })
    admin = await adminOf(service, mode)
    await fillAs(service, admin)
  })

  it('gets nothing from any path, whatever its browser sends and whoever uses it', async () => {
    const routes = everyRoute(service.service.app)
    assert.ok(routes.length > 25)
    for (const [method, path] of routes) {
      for (const headers of FOREIGN) await assertForbidden(service, method, path, { ...admin, ...headers })
    }
  })

  it('cannot empty the pool', async () => {
    const stock = () => service.volumes('pool').map(({ id, status }) => [id, status])
    const before = stock()
    assert.equal(before.length, 5)
    for (const path of ['/os/sync', '/pool/replenish', '/pool/check', '/pool/reconcile', '/pool/pause']) {
      await assertForbidden(service, 'POST', path, { ...admin, origin: EVIL })
      // Its own name was made to lead here. With tokens that may be a name of ours; but it has none.
      const rebound = await service.call('POST', path, undefined, { host: 'evil.example', origin: EVIL })
      assert.equal(rebound.status, mode === 'none' ? 403 : 401, path)
    }
    for (const [id = ''] of before) {
      await assertForbidden(service, 'DELETE', `/pool/volumes/${id}`, { ...admin, origin: EVIL })
    }
    assert.deepEqual(stock(), before)
    const rows = await service.rows<{ status: string }>('select distinct status from backup_volumes')
    assert.deepEqual(rows, [{ status: 'available' }])
  })

  it('is told which header was refused, and what to set if it is not another site', async () => {
    const detail = await assertForbidden(service, 'POST', '/os/sync', { ...admin, origin: EVIL })
    assert.match(detail, /^Origin "https:\/\/evil\.example".*Nothing was done.*server\.allowed_hosts/)
    const crossSite = await assertForbidden(service, 'POST', '/os/sync', { ...admin, 'sec-fetch-site': 'cross-site' })
    assert.match(crossSite, /^Sec-Fetch-Site "cross-site".*Nothing was done.*server\.allowed_hosts/)
  })

  it('may link to our page, and nothing else', async () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
    for (const path of ['/', '/docs', '/pool/stats']) {
      const { status } = await service.call('GET', path, undefined, { ...admin, ...link })
      assert.ok(status < 400, `${path}: ${status}`)
    }
    for (const method of ['POST', 'DELETE'] as const) await assertForbidden(service, method, '/', link)
    await assertForbidden(service, 'GET', '/', { ...link, origin: EVIL })
  })

  it('does not hinder our own page or programs', async () => {
    for (const host of ['localhost:8790', '127.0.0.1', '[::1]:8790', 'LocalHost:8790']) {
      const own = { host, origin: `http://${host.toLowerCase()}`, 'sec-fetch-site': 'same-origin' }
      assert.ok(
        await isServed(service, { ...admin, ...own, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }),
        host
      )
      assert.ok(await isServed(service, { ...admin, host, 'sec-fetch-site': 'none' }))
      assert.ok(await isServed(service, { ...admin, host }))
      const posted = await service.call('POST', '/pool/check', undefined, { ...admin, ...own })
      assert.equal(posted.status, 200)
    }
  })
})

describe('with access.mode none', () => {
  const t = whileTestsRun()
  let service: TestService
  beforeAll(async () => {
    service = await aService(t, { filled: false })
  })

  const loopback =
    'localhost localhost:8790 LOCALHOST localhost. localhost.:8790 127.0.0.1 127.1.2.3:8790 [::1] [::1]:80'
  it.for(loopback.split(' '))('it is served under the loopback address %s', async host => {
    assert.equal(await isServed(service, { host }), true)
  })

  const elsewhere =
    'evil.example evil.example:8790 localhost.evil.example 127.0.0.1.evil.example 127.evil.example evil.localhost ' +
    '0.0.0.0:8790 10.0.0.1 [::]:8790 [::ffff:10.0.0.1] [fe80::1]:8790 localhost:80@evil.example localhost/ :8790 ::1'
  it.for(elsewhere.split(' '))('a foreign name that resolves to us gets nothing from any path: "%s"', async host => {
    for (const [method, path] of everyRoute(service.service.app)) {
      // Such a page is of the same origin to its browser, which sends no Origin with what only reads.
      for (const headers of [{ host }, { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }]) {
        const detail = await assertForbidden(service, method, path, headers)
        assert.match(detail, /^Host ".*Nothing was done.*server\.allowed_hosts/)
      }
    }
  })

  it('a request without Host is not from a browser', async () => {
    const { head } = await answerTo(service.service.url, 'GET /readyz HTTP/1.0\r\n\r\n')
    assert.match(head, /^HTTP\/1\.[01] 200 /)
    const { problem } = await answerTo(service.service.url, 'GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n')
    assert.equal(problem.code, 'forbidden')
  })
})

describe('server.allowed_hosts', () => {
  const PROXY = { server: { port: 0, allowed_hosts: ['Pool.Example.', '[fd00::1]', 'fd00::2'] } }
  const NAMES = ['pool.example', 'POOL.example:8443', 'pool.example.', '[fd00::1]:8443', '[FD00::2]']

  it('has our other names, without the port', async t => {
    const service = await aService(t, { filled: false, config: PROXY })
    for (const host of NAMES) {
      assert.ok(await isServed(service, { host }), host)
      assert.ok(await isServed(service, { host, origin: `https://${host}` }), host)
    }
    for (const host of ['example', 'pool.example.evil.example', 'evil-pool.example', '[fd00::3]']) {
      assert.equal(await isServed(service, { host }), false, host)
    }
  })

  it.for(['none', 'token'] as const)(
    'names the page of a proxy that sends its own Host on, mode %s',
    async (mode, t) => {
      const service = await aService(t, { filled: false, config: { ...PROXY, access: ACCESS[mode] } })
      const admin = await adminOf(service, mode)
      for (const name of NAMES) {
        assert.ok(await isServed(service, { ...admin, host: '127.0.0.1:8790', origin: `https://${name}` }), name)
      }
      for (const origin of ['https://example', 'https://pool.example.evil.example', 'null', 'ftp://pool.example']) {
        assert.equal(await isServed(service, { ...admin, host: '127.0.0.1:8790', origin }), false, origin)
      }
    }
  )

  it.for(['token', 'keystone'] as const)(
    'need not name a Host where tokens are asked for: mode %s',
    async (mode, t) => {
      const service = await aService(t, { filled: false, config: { access: ACCESS[mode] } })
      const admin = await adminOf(service, mode)
      assert.ok(await isServed(service, { ...admin, host: '10.1.2.3:8790' }))
      assert.ok(await isServed(service, { ...admin, host: 'pool.intern', origin: 'https://pool.intern' }))
      assert.equal(await isServed(service, { ...admin, host: 'pool.intern', origin: 'https://pool.intern:444' }), false)
    }
  )
})
