import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { afterEach, beforeAll, describe, it } from 'vitest'
import type { Problem } from '../../src/http/schemas.ts'
import type { PoolErrorCode } from '../../src/pool/errors.ts'
import { loginAs, makeVolume, setStatus } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { answerTo } from '../support/raw-http.ts'
import { type Answer, aService, DEBIAN, type TestService } from '../support/service.ts'

const t = whileTestsRun()
let service: TestService
beforeAll(async () => {
  service = await aService(t, { filled: false, cloudSeconds: 2 })
})
afterEach(() => service.sandbox.cloud.faults.remove())

const JSON_TYPE = { 'content-type': 'application/json' }
const REQUEST_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function assertProblem(answer: Answer<Problem>, status: number, code: PoolErrorCode): void {
  const { body, headers } = answer
  assert.deepEqual([answer.status, body.code, body.status], [status, code, status], JSON.stringify(body))
  assert.match(String(headers['content-type']), /^application\/problem\+json/)
  assert.equal(body.type, `urn:spare-volume-pool:problem:${code}`)
  assert.ok(body.title.length > 0 && body.detail.length > 0)
  assert.match(body.request_id, REQUEST_ID)
  assert.equal(headers['x-openstack-request-id'], body.request_id)
  if (status > 500) assert.ok(Number(headers['retry-after']) > 0, 'Retry-After')
}

const claim = (body: unknown, headers = {}) => service.call('POST', '/pool/claim', body, headers)

describe('a wrong request', () => {
  it('is told each wrong field', async () => {
    const answer = await claim({ hostname: 7, os: '', size: 0, wait_seconds: 61, on_empty: 'wait', colour: 'red' })
    assertProblem(answer, 400, 'invalid_request')
    for (const field of ['hostname', 'os', '"type" is missing', 'size', 'wait_seconds', 'on_empty', 'colour']) {
      assert.ok(answer.body.detail.includes(field), `${field} in: ${answer.body.detail}`)
    }
  })

  it.for([
    ['an unknown field', { hostname: 'a', ...DEBIAN, projectid: 'x' }],
    ['a number as text', { hostname: 'a', ...DEBIAN, size: '3' }],
    ['text as a number', { hostname: 3, ...DEBIAN }],
    ['null for a field', { hostname: 'a', ...DEBIAN, size: null }],
    ['a list', []],
    ['a text', '"text"'],
    ['null', 'null']
  ] as const)('because of %s', async ([, body]) => {
    assertProblem(await claim(body, JSON_TYPE), 400, 'invalid_request')
  })

  it.for(['/os/sync', '/pool/pause', '/pool/resume', '/pool/replenish', '/pool/check', '/pool/reconcile'])(
    'because of an unknown field, of %s too',
    async path => {
      const answer = await service.call('POST', path, { colour: 'red' })
      assertProblem(answer, 400, 'invalid_request')
      assert.match(answer.body.detail, /colour/)
    }
  )

  it('because it is not JSON', async () => {
    for (const text of ['{"hostname": ', 'hostname=a', '{"__proto__": {}}', '\u0000', '{"a":1}{']) {
      assertProblem(await claim(text, JSON_TYPE), 400, 'invalid_request')
    }
  })

  it.for([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/xml',
    'multipart/form-data; boundary=x',
    'nonsense'
  ])('because its body is %s', async type => {
    assertProblem(await claim('hostname=a', { 'content-type': type }), 415, 'invalid_request')
  })

  it('because its body is too large', async () => {
    assertProblem(await claim({ hostname: 'a'.repeat(70_000), ...DEBIAN }), 413, 'invalid_request')
  })

  it('because it has no body where one is needed', async () => {
    assertProblem(await claim(undefined), 400, 'invalid_request')
    assertProblem(await claim('', JSON_TYPE), 400, 'invalid_request')
  })

  it.for([
    '/pool/stats?window=0h',
    '/pool/stats?window=24',
    '/pool/stats?window=1w',
    '/pool/stats?colour=red',
    '/pool/claims?limit=0',
    '/pool/claims?limit=1001',
    '/pool/claims?limit=many',
    '/pool/claims?limit=1e400',
    '/pool/claims?marker=1',
    `/pool/claims?marker=urn:uuid:${randomUUID()}`,
    `/pool/claims?marker=${randomUUID()}`,
    '/pool/claims?hostname=',
    '/pool/claims?hostname=a%00b',
    '/pool/claims/1',
    `/pool/claims/urn:uuid:${randomUUID()}`,
    '/pool/volumes?status=lost',
    '/pool/volumes?limit=1&limit=2',
    `/pool/volumes?os=${'a'.repeat(256)}`
  ])('because of its URL: %s', async path => {
    assertProblem(await service.call('GET', path), 400, 'invalid_request')
  })

  it('because its URL is not encoded correctly, or too long', async () => {
    for (const path of ['/pool/%zz', '/pool/claims/%c0%af', `/pool/claims/${'a'.repeat(300)}`]) {
      assertProblem(await service.call('GET', path), 400, 'invalid_request')
    }
  })
})

describe('what is not HTTP', () => {
  it.for(['nonsense\r\n\r\n', `GET /os HTTP/1.1\r\nhost: a\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`])(
    'is still answered with a problem and a request id',
    async request => {
      const { head, problem } = await answerTo(service.service.url, request)
      assert.match(head, /^HTTP\/1\.1 400 /)
      const { code, request_id } = problem
      assert.equal(code, 'invalid_request')
      assert.match(request_id, REQUEST_ID)
      assert.ok(head.includes(`x-openstack-request-id: ${request_id}`))
    }
  )
})

describe('a path', () => {
  it('that does not exist is 404', async () => {
    for (const path of ['/pool', '/pool/claimz', '/v3/volumes']) {
      assertProblem(await service.call('GET', path), 404, 'not_found')
    }
  })

  it.for([
    ['GET', '/pool/claim', 'POST'],
    ['DELETE', '/pool/claims', 'GET, HEAD'],
    ['DELETE', `/pool/claims/${randomUUID()}`, 'GET, HEAD'],
    ['GET', '/pool/volumes/some-volume', 'DELETE'],
    ['PUT', '/pool/volumes/some-volume', 'DELETE'],
    ['PATCH', '/os', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['PUT', '/pool/reservations', 'GET, HEAD, POST']
  ] as const)('that does not take %s is 405 and says what it takes: %s, %s', async ([method, path, allow]) => {
    const answer = await service.call(method, path)
    assertProblem(answer, 405, 'method_not_allowed')
    assert.equal(answer.headers['allow'], allow)
  })
})

describe('each failure has a code', () => {
  it.for([
    ['404 claim_not_found', 'GET', `/pool/claims/${randomUUID()}`, undefined],
    ['404 volume_not_found', 'DELETE', `/pool/volumes/${randomUUID()}`, undefined],
    ['404 not_found', 'POST', '/pool/pause', { os: 'beos' }],
    ['404 image_not_found', 'POST', '/pool/claim', { hostname: 'a', os: 'beos', type: 'ssd' }],
    ['422 not_a_system_disk', 'POST', '/pool/claim', { hostname: 'a', ...DEBIAN, category: 'data' }],
    ['503 pool_empty', 'POST', '/pool/claim', { hostname: 'a', ...DEBIAN, on_empty: 'fail' }],
    ['403 project_not_accessible', 'POST', '/pool/claim', { hostname: 'a', ...DEBIAN, project_id: 'nowhere' }]
  ] as const)('%s: %s %s', async ([expected, method, path, body]) => {
    const [status, code] = expected.split(' ')
    assertProblem(await service.call(method, path, body), Number(status), code as PoolErrorCode)
  })

  it('401 unauthenticated', async () => {
    assertProblem(await claim({ hostname: 'a', ...DEBIAN }, { 'x-auth-token': 'unknown' }), 401, 'unauthenticated')
  })

  it('403 quota_exceeded, with Cinder’s own words', async () => {
    const token = { 'x-auth-token': await loginAs(service, 'tenant-a-user', 'tenant-a') }
    await service.fill()
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota' })
    const answer = await claim({ hostname: 'a', ...DEBIAN }, token)
    assertProblem(answer, 403, 'quota_exceeded')
    assert.match(answer.body.detail, /quota/i)
  })

  it('422 volume_type_hidden', async () => {
    const type = [...service.sandbox.cloud.types.values()].find(({ name }) => name === 'ceph-ssd')
    assert.ok(type)
    type.projectIds.add(service.project('pool'))
    await service.fill()
    type.isPublic = false
    assertProblem(await service.claim({ hostname: 'hidden' }), 422, 'volume_type_hidden')
    type.isPublic = true
  })

  it('409 existing_volume_unusable', async () => {
    setStatus(service, await makeVolume(service, 'broken_sys'), 'error')
    assertProblem(await service.claim({ hostname: 'broken' }), 409, 'existing_volume_unusable')
  })

  it('422 idempotency_key_reused', async () => {
    const key = { 'idempotency-key': 'order-1' }
    await service.claim({ hostname: 'first' }, key)
    assertProblem(await service.claim({ hostname: 'second' }, key), 422, 'idempotency_key_reused')
  })

  it('502 cloud_error, 503 cloud_unavailable and 504 cloud_timeout, by what the cloud did', async () => {
    const { cloud } = service.sandbox
    const sync = () => service.sync()
    cloud.addFault({ operation: 'snapshot_list', kind: 'status', status: 403, message: 'Policy does not allow this' })
    const refused = await sync()
    assertProblem(refused, 502, 'cloud_error')
    assert.match(refused.body.detail, /Policy does not allow this/)
    cloud.faults.remove()
    cloud.addFault({ operation: 'snapshot_list', kind: 'status', status: 503 })
    assertProblem(await sync(), 503, 'cloud_unavailable')
    cloud.faults.remove()
    cloud.addFault({ operation: 'snapshot_list', kind: 'hang' })
    assertProblem(await sync(), 504, 'cloud_timeout')
  })

  it('422 no_images_found', async () => {
    const { snapshots } = service.sandbox.cloud
    const names = [...snapshots.values()].map(snapshot => snapshot.name)
    for (const snapshot of snapshots.values()) snapshot.name = 'golden'
    assertProblem(await service.sync(), 422, 'no_images_found')
    for (const [n, snapshot] of [...snapshots.values()].entries()) snapshot.name = names[n] ?? null
  })
})

describe('with a login that Keystone refuses', () => {
  it('a claim is 502 cloud_error, which the operator must fix, and stats says so', async u => {
    const other = await aService(u, { filled: false })
    const { users, tokens } = other.sandbox.cloud
    for (const user of users.values()) if (user.name === 'pool-svc') Object.assign(user, { password: 'changed' })
    tokens.clear()
    const answer = await other.claim()
    assertProblem(answer, 502, 'cloud_error')
    assert.match(answer.body.detail, /service's own login/)
    const { cloud } = await other.stats()
    assert.equal(cloud.reachable, false)
    assert.match(cloud.last_error ?? '', /keystone|identity/i)
    assert.deepEqual(await other.claims(), [])
  })
})

describe('without the database', () => {
  const u = whileTestsRun()
  let other: TestService
  beforeAll(async () => {
    other = await aService(u, { filled: false })
    for (const db of [other.service.db, other.service.tickDb]) await db.destroy()
  })

  it.for([
    ['POST', '/pool/claim', { hostname: 'a', ...DEBIAN }],
    ['GET', '/pool/claims', undefined],
    ['GET', '/pool/stats', undefined],
    ['GET', '/pool/plan', undefined],
    ['GET', '/pool/volumes', undefined],
    ['DELETE', '/pool/volumes/some', undefined],
    ['POST', '/pool/replenish', undefined],
    ['POST', '/pool/check', undefined],
    ['POST', '/pool/reconcile', undefined],
    ['POST', '/pool/pause', undefined],
    ['POST', '/os/sync', undefined],
    ['GET', '/os', undefined],
    ['GET', '/readyz', undefined]
  ] as const)('%s %s is 503 database_unavailable', async ([method, path, body]) => {
    assertProblem(await other.call(method, path, body), 503, 'database_unavailable')
  })

  it('the process is still alive, and has metrics', async () => {
    assert.deepEqual(await other.call('GET', '/healthz').then(({ status, body }) => [status, body]), [
      200,
      { status: 'ok' }
    ])
    assert.equal((await other.call('GET', '/metrics')).status, 200)
  })
})

describe('the request id', () => {
  const given = `req-${randomUUID()}`

  it('that comes in as req-<uuid> is kept, and sent on to Cinder', async () => {
    await service.fill()
    const before = service.sandbox.cloud.journal.after().length
    const answer = await service.claim({ hostname: 'followed' }, { 'x-openstack-request-id': given })
    assert.equal(answer.headers['x-openstack-request-id'], given)
    const entries = service.sandbox.cloud.journal.after(before)
    assert.ok(entries.length > 0)
    for (const { change, global_request_id } of entries) assert.equal(global_request_id, given, change)
  })

  it.for(['', 'req-1', 'nonsense', given.slice(4), `${given}x`, `req-${'a'.repeat(36)}`])(
    'is made where the one that comes in is not valid: "%s"',
    async id => {
      const { headers } = await service.call('GET', '/os', undefined, { 'x-openstack-request-id': id })
      assert.match(String(headers['x-openstack-request-id']), REQUEST_ID)
      assert.notEqual(headers['x-openstack-request-id'], id)
    }
  )

  it('is new for each request, and on every answer', async () => {
    const ids = []
    for (const path of ['/healthz', '/metrics', '/nowhere', '/pool/%zz', '/pool/claims?limit=0', '/docs', '/']) {
      ids.push(String((await service.call('GET', path)).headers['x-openstack-request-id']))
    }
    for (const id of ids) assert.match(id, REQUEST_ID)
    assert.equal(new Set(ids).size, ids.length)
  })
})
