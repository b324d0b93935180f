import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { beforeAll, describe, it, type TestContext } from 'vitest'
import { whileTestsRun } from '../support/lifetime.ts'
import { answerTo } from '../support/raw-http.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const t = whileTestsRun()
let service: TestService
beforeAll(async () => {
  service = await aService(t, { filled: false })
})

describe('a slow client', () => {
  /** As short as the server's own look at its connections allows; what they are in earnest is checked below. */
  const hurry = (u: TestContext): void => {
    const { server } = service.service.app
    const { requestTimeout, headersTimeout } = server
    Object.assign(server, { requestTimeout: 10, headersTimeout: 10 })
    u.onTestFinished(async () => void Object.assign(server, { requestTimeout, headersTimeout }))
  }

  it.for([
    ['in its headers', 'POST /pool/claim HTTP/1.1\r\nhost: a\r\n'],
    [
      'in its body',
      'POST /pool/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{'
    ]
  ] as const)('%s gets an answer, and is disconnected', async ([, bytes], u) => {
    hurry(u)
    const { head, problem } = await answerTo(service.service.url, bytes)
    assert.match(head, /^HTTP\/1\.1 400 /)
    assert.equal(problem.code, 'invalid_request')
    assert.match(problem.detail, /did not arrive in time/)
    assert.deepEqual(await service.claims(), [])
  })

  it('has 30 seconds for a request, and 15 minutes in silence', () => {
    const { requestTimeout, headersTimeout, keepAliveTimeout, timeout } = service.service.app.server
    assert.deepEqual([requestTimeout, headersTimeout, keepAliveTimeout, timeout], [30_000, 15_000, 72_000, 900_000])
  })
})

describe('an idle connection', () => {
  const REQUEST = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'

  async function ask(socket: Socket): Promise<void> {
    socket.write(REQUEST)
    const [answer] = await once(socket, 'data')
    assert.match(String(answer), /^HTTP\/1\.1 200 /)
  }

  it('stays open for server.keep_alive_seconds, however short the limit of a request, and is then closed', async u => {
    const kept = await aService(u, { filled: false, config: { server: { port: 0, keep_alive_seconds: 2 } } })
    const { server } = kept.service.app
    Object.assign(server, { requestTimeout: 10, headersTimeout: 10 })
    const { hostname, port } = new URL(kept.service.url)
    const idle = connect(Number(port), hostname)
    const closed = once(idle, 'close')
    await ask(idle)
    // By the time that this one is refused, the server has looked at all of its connections.
    const slow = await answerTo(kept.service.url, 'GET /healthz HTTP/1.1\r\nhost: a\r\n')
    assert.match(slow.problem.detail, /did not arrive in time/)
    await ask(idle)
    const answeredAt = performance.now()
    await closed
    const seconds = (performance.now() - answeredAt) / 1000
    assert.ok(seconds > 1.9, `closed after ${seconds} s`)
  })

  it('by default stays open for longer than load balancers keep one', async u => {
    assert.equal(service.config.server.keep_alive_seconds, 72)
    const longer = await aService(u, { filled: false, config: { server: { port: 0, keep_alive_seconds: 3600 } } })
    assert.equal(longer.service.app.server.keepAliveTimeout, 3_600_000)
  })
})

describe('a large request', () => {
  it('with large headers is told so', async () => {
    const { head, problem } = await answerTo(
      service.service.url,
      `GET /os HTTP/1.1\r\nhost: a\r\nx-long: ${'a'.repeat(17_000)}\r\n\r\n`
    )
    assert.match(head, /^HTTP\/1\.1 400 /)
    assert.deepEqual([problem.code, problem.detail], ['invalid_request', 'The headers are too large.'])
  })

  it('with a body is refused from one byte above 64 KiB', async () => {
    const empty = JSON.stringify({ hostname: '', ...DEBIAN })
    const sized = (bytes: number) => JSON.stringify({ hostname: 'a'.repeat(bytes - empty.length), ...DEBIAN })
    for (const [bytes, status] of [
      [65_536, 400],
      [65_537, 413]
    ] as const) {
      const answer = await service.call('POST', '/pool/claim', sized(bytes), { 'content-type': 'application/json' })
      assert.deepEqual([answer.status, answer.body.code], [status, 'invalid_request'])
    }
  })
})

describe('the headers of', () => {
  it.for(['/', '/docs', '/docs/static/index.html', '/pool/stats', '/nowhere'])('%s keep a browser safe', async path => {
    const { headers } = await service.call('GET', path)
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /default-src 'self'/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /script-src|unsafe-eval|\*|https?:/, 'scripts come from nowhere else')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.match(String(headers['x-frame-options']), /DENY|SAMEORIGIN/)
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
    assert.equal(headers['x-powered-by'], undefined)
  })
})
