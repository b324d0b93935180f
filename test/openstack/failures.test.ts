import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { CloudErrorCode } from '../../src/pool/errors.ts'
import { failureOf } from '../support/cloud-failures.ts'
import { CALL, fault, POOL, type Reply, ScriptedCloud, type Test, volumeBody } from '../support/scripted-cloud.ts'

const SHOW = 'GET /volumes/v1'
const CREATE = 'POST /volumes'
const ACCEPT = 'POST /volume-transfers/t1/accept'
const WISH = { name: 'spare', snapshotId: 's1', sizeGib: 20, volumeType: 'ceph-ssd' }
const shown: Reply = { body: { volume: volumeBody('v1') } }
const busy = fault(503, 'serviceUnavailable', 'busy')

async function aPool(t: Test) {
  const cloud = await ScriptedCloud.start(t)
  const pool = await cloud.connect().poolProject(CALL)
  return { cloud, ...pool }
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
    assert.deepEqual(new Set(cloud.seen.map(({ headers }) => headers['accept-language'])), new Set(['en']))
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
    ['406', fault(406, 'computeFault', 'Version 3.60 is not supported'), 'failed', false],
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
  it.for(cases)(
    '%s is told as what it is, and a creation is not repeated unless it was refused for its version',
    async ([, reply, code, acted], t) => {
      const { cloud, volumes } = await aPool(t)
      cloud.onCinder(CREATE, reply)
      const error = await failureOf(volumes.create(WISH, CALL))
      assert.deepEqual([error.code, error.mayHaveActed, error.status], [code, acted, reply.status])
      assert.equal(cloud.countCinder(CREATE), reply.status === 406 ? 2 : 1)
      assert.deepEqual(cloud.clock.slept, [])
    }
  )

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
    assert.equal((await failureOf(volumes.find('v1', CALL))).message, expected)
  })

  it('is cut to a bearable length', async t => {
    const { cloud, volumes } = await aPool(t)
    cloud.onCinder(SHOW, fault(400, 'badRequest', 'x'.repeat(5000)))
    assert.ok((await failureOf(volumes.find('v1', CALL))).message.length < 600)
  })

  it('never shows a transfer’s key', async t => {
    const { cloud, transfers } = await aPool(t)
    cloud.onCinder(ACCEPT, fault(400, 'badRequest', 'Invalid input for auth_key. Value: k3y.'))
    const error = await failureOf(transfers.accept('t1', 'k3y', CALL))
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
    const error = await failureOf(volumes.find('v1', CALL))
    assert.equal(error.code, 'failed')
    assert.equal(error.mayHaveActed, false)
    assert.match(error.message, problem)
  })
})
