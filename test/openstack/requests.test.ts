import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'vitest'
import { Http } from '../../src/openstack/http.ts'
import { connect } from '../../src/openstack/openstack.ts'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { failureOf } from '../support/cloud-failures.ts'
import { Gate } from '../support/gate.ts'
import { ManualClock } from '../support/manual-clock.ts'
import {
  CALL,
  fault,
  POOL,
  type Reply,
  type Script,
  ScriptedCloud,
  type Test,
  volumeBody
} from '../support/scripted-cloud.ts'

const SHOW = 'GET /volumes/v1'
const CREATE = 'POST /volumes'
const ACCEPT = 'POST /volume-transfers/t1/accept'
const WISH = { name: 'spare', snapshotId: 's1', sizeGib: 20, volumeType: 'ceph-ssd' }
const shown: Reply = { body: { volume: volumeBody('v1') } }
const busy = fault(503, 'serviceUnavailable', 'busy')

async function aPool(t: Test, options: { timeoutSeconds?: number } = {}) {
  const cloud = await ScriptedCloud.start(t)
  const pool = await cloud.connect(options).poolProject(CALL)
  return { cloud, ...pool }
}

describe('repeating', () => {
  it.for<[string, Script]>([
    ['a 500', fault(500, 'computeFault', 'oops')],
    ['a 502', { status: 502, body: 'bad' }],
    ['a 503', busy],
    ['a 504', { status: 504 }],
    ['a cut connection', 'reset']
  ])('reads again after %s, a little later', async ([, script], t) => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, shown)
    cloud.onCinder('DELETE /volumes/v1', script, script, { status: 202 })
    await volumes.delete('v1', CALL)
    assert.equal(cloud.countCinder('DELETE /volumes/v1'), 3)
    assert.deepEqual(cloud.clock.slept, [200, 800])
  })

  it('gives up after three attempts', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, fault(500, 'computeFault', 'oops'))
    assert.equal((await failureOf(volumes.find('v1', CALL))).code, 'failed')
    assert.equal(cloud.countCinder(SHOW), 3)
  })

  it('remembers what an earlier attempt may have done', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('PUT /volumes/v1', 'reset', busy)
    const error = await failureOf(volumes.update('v1', { name: 'a' }, CALL))
    assert.deepEqual([error.code, error.mayHaveActed], ['unavailable', true])
  })

  it('waits as long as it is asked to, if that is not long', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, fault(503, 'x', 'busy', { 'retry-after': '3' }), shown)
    await volumes.find('v1', CALL)
    assert.deepEqual(cloud.clock.slept, [3000])
    cloud.onCinder(SHOW, fault(503, 'x', 'busy', { 'retry-after': '600' }))
    assert.equal((await failureOf(volumes.find('v1', CALL))).code, 'unavailable')
    assert.equal(cloud.countCinder(SHOW), 3)
  })

  it('is not done for a full quota', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('PUT /volumes/v1', fault(413, 'overLimit', 'full', { 'retry-after': '0' }))
    assert.equal((await failureOf(volumes.update('v1', { name: 'a' }, CALL))).code, 'over_quota')
    assert.equal(cloud.countCinder('PUT /volumes/v1'), 1)
  })

  it.for<[string, Script]>([
    ['a 503', busy],
    ['a 500', fault(500, 'computeFault', 'oops')],
    ['a cut connection', 'reset']
  ])('is not done for what is not safe to repeat, after %s', async ([, script], t) => {
    const { cloud, volumes, transfers } = await aPool(t)
    const posts = [CREATE, 'POST /volume-transfers', ACCEPT, 'POST /volumes/v1/action']
    for (const post of posts) cloud.onCinder(post, script)
    const errors = [
      await failureOf(volumes.create(WISH, CALL)),
      await failureOf(transfers.create('v1', 'name', CALL)),
      await failureOf(transfers.accept('t1', 'key', CALL)),
      await failureOf(volumes.extend('v1', 40, CALL))
    ]
    assert.deepEqual(
      posts.map(post => cloud.countCinder(post)),
      [1, 1, 1, 1]
    )
    assert.deepEqual(new Set(errors.map(error => error.mayHaveActed)), new Set([script !== busy]))
  })

  it('is done for anything that found no connection, for nothing was sent', async t => {
    const [cloud, other] = [await ScriptedCloud.start(t), await ScriptedCloud.start(t)]
    other.onCinder(SHOW, shown)
    const settings = cloud.settings({ block_storage_endpoint_override: `${other.url}/volume` })
    const { volumes } = await cloud.connect({ settings }).poolProject(CALL)
    await volumes.find('v1', CALL)
    await other.stop()
    const error = await failureOf(volumes.create(WISH, CALL))
    assert.deepEqual([error.code, error.mayHaveActed], ['unavailable', false])
    assert.match(
      error.message,
      /^Cinder: no connection, .*ECONNREFUSED.* \(volume_create, http:\/\/127\.0\.0\.1:\d+\)$/
    )
    assert.deepEqual(cloud.clock.slept, [200, 800])
  })

  it('tells a Keystone that is not there', async () => {
    const closed = await aClosedPort()
    const auth = { auth_url: `http://127.0.0.1:${closed}`, user_id: 'u', password: 'p', project_id: POOL }
    const client = connect({ settings: cloudSettings({ auth }, {}), clock: new ManualClock() })
    const error = await failureOf(client.poolProject(CALL))
    assert.deepEqual([error.code, error.mayHaveActed], ['unavailable', false])
    await client.close()
  })
})

describe('time limits', () => {
  it('end a call that is not answered, which may have acted unless it only read', async t => {
    const { cloud, volumes } = await aPool(t, { timeoutSeconds: 0.2 })
    cloud.onCinder(SHOW, shown)
    await volumes.find('v1', CALL)
    cloud.onCinder(SHOW, 'hang')
    cloud.onCinder(CREATE, 'hang')
    const [reading, creating] = [await failureOf(volumes.find('v1', CALL)), await failureOf(volumes.create(WISH, CALL))]
    assert.deepEqual([reading.code, reading.mayHaveActed], ['timeout', false])
    assert.deepEqual([creating.code, creating.mayHaveActed], ['timeout', true])
    assert.match(creating.message, /^Cinder: no answer in time \(volume_create/)
    assert.equal(cloud.countCinder(CREATE), 1)
  })

  it('end a body that does not end', async t => {
    const { cloud, volumes } = await aPool(t, { timeoutSeconds: 0.2 })
    cloud.onCinder(SHOW, { headers: { 'content-length': '100000' }, body: '{' })
    assert.ok(['timeout', 'failed'].includes((await failureOf(volumes.find('v1', CALL))).code))
  })

  it('let the caller give up at once', async t => {
    const { cloud, transfers } = await aPool(t)
    const stop = new AbortController()
    const arrived = new Gate()
    cloud.onCinder(ACCEPT, async () => {
      arrived.open()
      return new Promise<Reply>(() => undefined)
    })
    const accepting = failureOf(transfers.accept('t1', 'key', { ...CALL, signal: stop.signal }))
    await arrived.passed
    stop.abort(new Error('shutting down'))
    const error = await accepting
    assert.deepEqual([error.code, error.mayHaveActed], ['timeout', true])
    assert.match(error.message, /given up, shutting down/)
  })

  it('hold while a connection is being made', async t => {
    const asked = new Gate()
    const silent = createServer(() => asked.open()) // Never answers the TLS handshake.
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    t.onTestFinished(() => void silent.close())
    const address = silent.address()
    assert.ok(typeof address === 'object' && address)
    const http = new Http({ clock: new ManualClock(), tls: { insecure: true }, timeoutSeconds: 5, connectionsMax: 1 })
    t.onTestFinished(() => http.close())
    const stop = new AbortController()
    const url = `https://127.0.0.1:${address.port}/`
    const request = { service: 'cinder', operation: 'volume_show', method: 'GET', url, idempotent: true } as const
    const asking = http.within({ ...CALL, signal: stop.signal }, call => http.send(request, call))
    await asked.passed
    stop.abort(new Error('gone'))
    assert.match((await failureOf(asking)).message, /given up, gone/)
  }, 2000) // Far below the time limit for connections.

  it('send nothing for a call that was given up before', async t => {
    const { cloud, volumes } = await aPool(t)
    const before = cloud.seen.length
    const error = await failureOf(volumes.create(WISH, { ...CALL, signal: AbortSignal.abort(new Error('gone')) }))
    assert.deepEqual([error.code, error.mayHaveActed], ['timeout', false])
    assert.equal(cloud.seen.length, before)
  })

  it('hold for those who wait for a connection too, who then have certainly not acted', async t => {
    const cloud = await ScriptedCloud.start(t)
    const { volumes } = await cloud.connect({ connectionsMax: 1 }).poolProject(CALL)
    const arrived = new Gate()
    cloud.onCinder(CREATE, () => {
      arrived.open()
      return new Promise<Reply>(() => undefined)
    })
    const [first, second] = [new AbortController(), new AbortController()]
    const sent = failureOf(volumes.create(WISH, { ...CALL, signal: first.signal }))
    await arrived.passed
    const waiting = failureOf(volumes.create(WISH, { ...CALL, signal: second.signal }))
    second.abort()
    assert.equal((await waiting).mayHaveActed, false)
    first.abort()
    assert.equal((await sent).mayHaveActed, true)
    cloud.onCinder(CREATE, { status: 202, body: { volume: volumeBody('v2') } })
    assert.equal((await volumes.create(WISH, CALL)).id, 'v2')
  })
})

describe('reporting', () => {
  it('tells of each request how it ended', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, busy, shown)
    await volumes.find('v1', CALL)
    await volumes.find('v2', CALL)
    assert.deepEqual(
      cloud.reports.map(({ service, operation, outcome }) => `${service} ${operation} ${outcome}`),
      [
        'keystone token_issue ok',
        'cinder version_list ok',
        'cinder volume_show unavailable',
        'cinder volume_show ok',
        'cinder volume_show not_found'
      ]
    )
  })
})

async function aClosedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
