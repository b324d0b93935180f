import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent as HttpAgent, type IncomingMessage, request as send } from 'node:http'
import type { Server, Socket } from 'node:net'
import { Agent, request } from 'undici'
import { beforeAll, describe, it, type TestContext } from 'vitest'
import { aProxy, isMissing, PROGRAM, type ProxySettings } from '../support/haproxy.ts'
import { aService, type TestService } from '../support/service.ts'

const { CI } = process.env
const mayBeMissing = CI === undefined || CI === ''
const WHY_SKIPPED = isMissing && mayBeMissing ? `, skipped: there is no ${PROGRAM} (set HAPROXY to another)` : ''
if (WHY_SKIPPED) process.stdout.write(`HAProxy in front${WHY_SKIPPED}.\n`)

/** HAProxy's own idle time ends long before an hour, and long after this. */
const [SOON, NEVER]: ProxySettings[] = [{ purgeMs: 20 }, { purgeMs: 3_600_000 }]

async function behindProxy(t: TestContext, server: object, settings = SOON): Promise<[TestService, string]> {
  const service = await aService(t, { filled: false, config: { server: { port: 0, ...server } } })
  assert.ok(settings)
  return [service, await aProxy(t, service.service.url, settings)]
}

/** The connections that a server has, and how many of them it has closed itself because nothing came. */
class Watch {
  readonly open = new Set<Socket>()
  opened = 0
  closedIdle = 0
  #wake: () => void = () => undefined

  constructor(server: Server) {
    server.on('connection', socket => {
      this.opened += 1
      this.open.add(socket)
      socket.on('timeout', () => {
        this.closedIdle += 1
      })
      socket.on('close', () => {
        this.open.delete(socket)
        this.#wake()
      })
    })
  }

  async untilAtMost(count: number): Promise<void> {
    while (this.open.size > count) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }
}

const CONNECTIONS = 50
const ROUNDS = 10
const REQUESTS_A_ROUND = 1000

describe.skipIf(WHY_SKIPPED)(`behind HAProxy${WHY_SKIPPED}`, () => {
  beforeAll(() => {
    assert.ok(!isMissing, `there is no ${PROGRAM}, and CI must not pass without it: apt-get install haproxy`)
  })

  /** Each answer's status, and how often it came. */
  async function statusesOf(t: TestContext, url: string, pause: (round: number) => Promise<void>): Promise<object> {
    const dispatcher = new Agent({ connections: CONNECTIONS })
    t.onTestFinished(() => dispatcher.close())
    const counts: Record<number, number> = {}
    for (let round = 0; round < ROUNDS; round++) {
      const asking = Array.from({ length: REQUESTS_A_ROUND }, async () => {
        const { statusCode, body } = await request(`${url}/healthz`, { dispatcher })
        await body.dump()
        counts[statusCode] = (counts[statusCode] ?? 0) + 1
      })
      await Promise.all(asking)
      await pause(round)
    }
    return counts
  }

  it('10,000 requests with idle pauses between them never meet a connection that the service has closed', {
    timeout: 60_000
  }, async t => {
    const [{ service }, url] = await behindProxy(t, { keep_alive_seconds: 10 })
    const watch = new Watch(service.app.server)
    // HAProxy closes connections while the next requests come: some are left, one is, none is.
    const counts = await statusesOf(t, url, round => watch.untilAtMost([CONNECTIONS / 2, 1, 0][round % 3] ?? 0))
    assert.deepEqual(counts, { 200: ROUNDS * REQUESTS_A_ROUND })
    assert.equal(watch.closedIdle, 0)
    assert.ok(watch.opened > CONNECTIONS, `${watch.opened} connections`) // It did close some in between.
  })

  it('it is the service that closes them where server.keep_alive_seconds is below the idle time of the proxy', async t => {
    const [{ service }, url] = await behindProxy(t, { keep_alive_seconds: 1 }, NEVER)
    const watch = new Watch(service.app.server)
    const { statusCode, body } = await request(`${url}/healthz`)
    await body.dump()
    assert.deepEqual([statusCode, watch.open.size], [200, 1])
    await watch.untilAtMost(0)
    assert.equal(watch.closedIdle, 1)
  })

  const PER_MINUTE = 5
  const LIMITED = { rate_limit: { per_minute: PER_MINUTE } }

  /** As a caller at one of this machine's own addresses. */
  async function statusFrom(url: string, localAddress: string, forged?: string): Promise<number | undefined> {
    const headers = forged === undefined ? {} : { 'x-forwarded-for': forged }
    const sent = send(`${url}/pool/stats`, { localAddress, headers, agent: new HttpAgent() }).end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.resume()
    return answer.statusCode
  }

  it('a caller that asks too often is limited, whatever it writes, and another is not', async t => {
    const [, url] = await behindProxy(t, { ...LIMITED, trusted_proxies: ['127.0.0.1'] })
    for (let n = 0; n < 2 * PER_MINUTE; n++) {
      assert.equal(await statusFrom(url, '127.0.0.2', `192.0.2.${n}`), n < PER_MINUTE ? 200 : 429)
    }
    assert.equal(await statusFrom(url, '127.0.0.3'), 200)
    assert.equal(await statusFrom(url, '127.0.0.3', '127.0.0.2'), 200)
  })

  it('all callers are one where the proxy is not trusted', async t => {
    const [, url] = await behindProxy(t, LIMITED)
    for (let n = 0; n < PER_MINUTE; n++) assert.equal(await statusFrom(url, `127.0.0.${n + 2}`), 200)
    assert.equal(await statusFrom(url, '127.0.0.100'), 429)
  })
})
