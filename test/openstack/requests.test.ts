import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'vitest'
import { connect } from '../../src/openstack/openstack.ts'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { CloudError, type CloudErrorCode } from '../../src/pool/errors.ts'
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
const WISH = { name: 'spare', snapshotId: 's1', sizeGib: 20 }
const shown: Reply = { body: { volume: volumeBody('v1') } }
const busy = fault(503, 'serviceUnavailable', 'busy')

async function aPool(t: Test, options: { timeoutSeconds?: number } = {}) {
  const cloud = await ScriptedCloud.start(t)
  const pool = await cloud.connect(options).pool(CALL)
  return { cloud, ...pool }
}

async function failure(promise: Promise<unknown>): Promise<CloudError> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof CloudError, `not a CloudError: ${String(error)}`)
    return error
  }
  throw new Error('it did not fail')
}

describe('what is sent', () => {
  it('carries the token, the pinned microversion and the request’s id, to the project’s own address', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, shown)
    await volumes.find('v1', CALL)
    const sent = cloud.seen.at(-1)
    assert.equal(sent?.path, `/volume/v3/${POOL}/volumes/v1`)
    assert.equal(sent?.headers['x-auth-token'], 'token-1')
    assert.equal(sent?.headers['openstack-api-version'], 'volume 3.60')
    assert.equal(sent?.headers['x-openstack-request-id'], CALL.requestId)
  })

  it('says JSON where there is a body: Keystone and Cinder refuse it otherwise', async t => {
    const { cloud } = await aPool(t)
    assert.equal(cloud.seen[0]?.headers['content-type'], 'application/json')
  })
})

describe('an error answer', () => {
  const cases: [what: string, reply: Reply, code: CloudErrorCode, mayHaveActed: boolean][] = [
    ['400', fault(400, 'badRequest', 'Invalid volume'), 'bad_request', false],
    ['403', fault(403, 'forbidden', 'Policy does not allow it'), 'forbidden', false],
    ['404', fault(404, 'itemNotFound', 'Snapshot s1 could not be found.'), 'not_found', false],
    ['406', fault(406, 'computeFault', 'Version 3.60 is not supported'), 'bad_request', false],
    ['409', fault(409, 'conflictingRequest', 'Conflict'), 'bad_request', false],
    ['413', fault(413, 'overLimit', 'VolumeLimitExceeded', { 'retry-after': '0' }), 'over_quota', false],
    ['429 of a proxy', { status: 429, body: '<p>slow down</p>' }, 'unavailable', false],
    ['500', fault(500, 'computeFault', 'The server has erred'), 'failed', true],
    ['502', { status: 502, body: '<h1>Bad gateway</h1>' }, 'failed', true],
    ['503', busy, 'unavailable', false],
    ['504', { status: 504, body: '' }, 'failed', true],
    ['a 404 that is not Cinder’s', { status: 404, body: '<h1>nginx</h1>' }, 'failed', false],
    ['a redirect', { status: 302, headers: { location: 'https://elsewhere' } }, 'failed', false],
    ['a yes that is not JSON', { status: 202, body: 'welcome' }, 'failed', true],
    ['a yes without a volume', { status: 202, body: {} }, 'failed', true]
  ]
  it.for(cases)('%s is told as what it is, and a creation is not repeated', async ([, reply, code, acted], t) => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(CREATE, reply)
    const error = await failure(volumes.create(WISH, CALL))
    assert.deepEqual([error.code, error.mayHaveActed, error.status], [code, acted, reply.status])
    assert.equal(cloud.countCinder(CREATE), 1)
    assert.deepEqual(cloud.clock.slept, [])
  })

  const words: [what: string, reply: Reply, expected: string][] = [
    [
      'Cinder’s own words, the operation and the cloud’s id of the request',
      fault(400, 'badRequest', 'Invalid volume: status must be available'),
      'Cinder: Invalid volume: status must be available (volume_show, HTTP 400, req-cinder-1)'
    ],
    [
      'the words of the middleware, which have no wrapper',
      { status: 409, body: { message: 'Please try again.<br /><br />\nKeystone is away.\n\n', code: '409 x' } },
      'Cinder: Please try again. Keystone is away. (volume_show, HTTP 409)'
    ],
    [
      'a proxy’s page as plain text',
      { status: 400, body: '<html><head><title>400</title><style>p{}</style></head><p>Bad\n  request</p></html>' },
      'Cinder: Bad request (volume_show, HTTP 400)'
    ],
    ['no words', { status: 400, body: '' }, 'Cinder: it answered 400 without a word (volume_show, HTTP 400)'],
    ['odd JSON', { status: 400, body: [null] }, 'Cinder: [null] (volume_show, HTTP 400)']
  ]
  it.for(words)('is quoted with %s', async ([, reply, expected], t) => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, reply)
    assert.equal((await failure(volumes.find('v1', CALL))).message, expected)
  })

  it('is cut to a bearable length', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, fault(400, 'badRequest', 'x'.repeat(5000)))
    assert.ok((await failure(volumes.find('v1', CALL))).message.length < 600)
  })

  it('never shows a transfer’s key', async t => {
    const { cloud, transfers } = await aPool(t)
    cloud.onCinder(ACCEPT, fault(400, 'badRequest', 'Invalid input for auth_key. Value: k3y.'))
    const error = await failure(transfers.accept('t1', 'k3y', CALL))
    assert.match(error.message, /Value: \*\*\*\./)
  })
})

describe('an answer that makes no sense', () => {
  const shapes: [what: string, body: unknown, problem: RegExp][] = [
    ['a list', [], /it is not an object/],
    ['a volume that is null', { volume: null }, /volume is not an object/],
    ['a size in words', { volume: volumeBody('v1', { size: 'large' }) }, /volume\.size is not a number/],
    ['no status', { volume: volumeBody('v1', { status: undefined }) }, /volume\.status is missing/],
    ['a time that is none', { volume: volumeBody('v1', { created_at: 'soon' }) }, /volume\.created_at is not a time/],
    ['odd metadata', { volume: volumeBody('v1', { metadata: { a: 1 } }) }, /volume\.metadata\.a is not text/]
  ]
  it.for(shapes)('such as %s fails clearly', async ([, body, problem], t) => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, { body })
    const error = await failure(volumes.find('v1', CALL))
    assert.equal(error.code, 'failed')
    assert.equal(error.mayHaveActed, false)
    assert.match(error.message, problem)
  })
})

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
    assert.equal((await failure(volumes.find('v1', CALL))).code, 'failed')
    assert.equal(cloud.countCinder(SHOW), 3)
  })

  it('remembers what an earlier attempt may have done', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('PUT /volumes/v1', 'reset', busy)
    const error = await failure(volumes.update('v1', { name: 'a' }, CALL))
    assert.deepEqual([error.code, error.mayHaveActed], ['unavailable', true])
  })

  it('waits as long as it is asked to, if that is not long', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, fault(503, 'x', 'busy', { 'retry-after': '3' }), shown)
    await volumes.find('v1', CALL)
    assert.deepEqual(cloud.clock.slept, [3000])
    cloud.onCinder(SHOW, fault(503, 'x', 'busy', { 'retry-after': '600' }))
    assert.equal((await failure(volumes.find('v1', CALL))).code, 'unavailable')
    assert.equal(cloud.countCinder(SHOW), 3)
  })

  it('is not done for a full quota', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder('PUT /volumes/v1', fault(413, 'overLimit', 'full', { 'retry-after': '0' }))
    assert.equal((await failure(volumes.update('v1', { name: 'a' }, CALL))).code, 'over_quota')
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
      await failure(volumes.create(WISH, CALL)),
      await failure(transfers.create('v1', 'name', CALL)),
      await failure(transfers.accept('t1', 'key', CALL)),
      await failure(volumes.extend('v1', 40, CALL))
    ]
    assert.deepEqual(
      posts.map(post => cloud.countCinder(post)),
      [1, 1, 1, 1]
    )
    assert.deepEqual(new Set(errors.map(error => error.mayHaveActed)), new Set([script !== busy]))
  })

  it('is done for anything that found no connection, for nothing was sent', async t => {
    const closed = await aClosedPort()
    const cloud = await ScriptedCloud.start(t)
    const settings = cloud.settings({ block_storage_endpoint_override: `http://127.0.0.1:${closed}/volume` })
    const { volumes } = await cloud.connect({ settings }).pool(CALL)
    const error = await failure(volumes.create(WISH, CALL))
    assert.deepEqual([error.code, error.mayHaveActed], ['unavailable', false])
    assert.match(error.message, /^Cinder: no connection, .*ECONNREFUSED.* \(version_list, http:\/\/127\.0\.0\.1:\d+\)$/)
    assert.deepEqual(cloud.clock.slept, [200, 800])
  })

  it('tells a Keystone that is not there', async () => {
    const closed = await aClosedPort()
    const auth = { auth_url: `http://127.0.0.1:${closed}`, user_id: 'u', password: 'p', project_id: POOL }
    const client = connect({ settings: cloudSettings({ auth }, {}), clock: new ManualClock() })
    const error = await failure(client.pool(CALL))
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
    const [reading, creating] = [await failure(volumes.find('v1', CALL)), await failure(volumes.create(WISH, CALL))]
    assert.deepEqual([reading.code, reading.mayHaveActed], ['timeout', false])
    assert.deepEqual([creating.code, creating.mayHaveActed], ['timeout', true])
    assert.match(creating.message, /^Cinder: no answer in time \(volume_create/)
    assert.equal(cloud.countCinder(CREATE), 1)
  })

  it('end a body that does not end', async t => {
    const { cloud, volumes } = await aPool(t, { timeoutSeconds: 0.2 })
    cloud.onCinder(SHOW, { headers: { 'content-length': '100000' }, body: '{' })
    assert.ok(['timeout', 'failed'].includes((await failure(volumes.find('v1', CALL))).code))
  })

  it('let the caller give up at once', async t => {
    const { cloud, transfers } = await aPool(t)
    const stop = new AbortController()
    const arrived = new Gate()
    cloud.onCinder(ACCEPT, async () => {
      arrived.open()
      return new Promise<Reply>(() => undefined)
    })
    const accepting = failure(transfers.accept('t1', 'key', { ...CALL, signal: stop.signal }))
    await arrived.passed
    stop.abort(new Error('shutting down'))
    const error = await accepting
    assert.deepEqual([error.code, error.mayHaveActed], ['timeout', true])
    assert.match(error.message, /given up, shutting down/)
  })

  it('send nothing for a call that was given up before', async t => {
    const { cloud, volumes } = await aPool(t)
    const before = cloud.seen.length
    const error = await failure(volumes.create(WISH, { ...CALL, signal: AbortSignal.abort(new Error('gone')) }))
    assert.deepEqual([error.code, error.mayHaveActed], ['timeout', false])
    assert.equal(cloud.seen.length, before)
  })

  it('hold for those who wait for a connection too, who then have certainly not acted', async t => {
    const cloud = await ScriptedCloud.start(t)
    const { volumes } = await cloud.connect({ connectionsMax: 1 }).pool(CALL)
    const arrived = new Gate()
    cloud.onCinder(CREATE, () => {
      arrived.open()
      return new Promise<Reply>(() => undefined)
    })
    const [first, second] = [new AbortController(), new AbortController()]
    const sent = failure(volumes.create(WISH, { ...CALL, signal: first.signal }))
    await arrived.passed
    const waiting = failure(volumes.create(WISH, { ...CALL, signal: second.signal }))
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
