import assert from 'node:assert/strict'
import { beforeAll, beforeEach, describe, it } from 'vitest'
import type { ClaimRecord } from '../../src/http/schemas.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

interface List {
  claims: ClaimRecord[]
  next_marker: string | null
}

const t = whileTestsRun()
let service: TestService
let named = 0
beforeAll(async () => {
  service = await aService(t, { filled: false, config: { pools: [{ ...DEBIAN, target: 3 }] } })
})
/** Nobody has claimed it yet. */
const aName = (): string => {
  named += 1
  return `web-${named}`
}

describe('what a claim may ask for', () => {
  // Without stock: `pool_empty` says that nothing was wrong with the request.
  const ask = (body: object, headers = {}) => service.claim({ hostname: aName(), on_empty: 'fail', ...body }, headers)
  const isRefused = async (body: object, headers = {}): Promise<boolean> => {
    const answer = await ask(body, headers)
    assert.ok(['pool_empty', 'invalid_request'].includes(answer.body.code), JSON.stringify(answer.body))
    return answer.body.code === 'invalid_request'
  }

  it.for([
    ['size', 1, false],
    ['size', 65_536, false],
    ['size', 0, true],
    ['size', -1, true],
    ['size', 65_537, true],
    ['size', 1.5, true],
    ['size', '3', true],
    ['size', null, true],
    ['wait_seconds', 0, false],
    ['wait_seconds', 60, false],
    ['wait_seconds', -1, true],
    ['wait_seconds', 61, true],
    ['wait_seconds', 0.5, true],
    ['wait_seconds', '1', true],
    ['on_empty', 'fail', false],
    ['on_empty', 'wait', true],
    ['hostname', 'a'.repeat(251), false],
    ['hostname', 'a'.repeat(252), true],
    ['hostname', 'é'.repeat(251), false],
    ['hostname', 'é'.repeat(252), true],
    ['hostname', '\uffff', false],
    ['hostname', '🐘', true],
    ['hostname', 'web-\u{10000}', true],
    ['hostname', '', true],
    ['hostname', 'web\n01', true],
    ['hostname', 'web\u0000', true],
    ['hostname', 'web\u007f', true],
    ['hostname', 'web\u0085', true],
    ['hostname', 'web\ud800', true],
    ['hostname', 'web\udc00', true],
    ['hostname', 'web\u2028\u202e\u0301\ufeff', false],
    ['hostname', 'w e b/ü"{os}%', false],
    ['category', '', true],
    ['category', 'sys\t', true],
    ['os', '', true],
    ['os', 'debian\u0000', true],
    ['os', 'debian🐘', true],
    ['type', 'ssd🐘', true],
    ['category', 'sys🐘', true],
    ['type', '', true],
    ['type', 'a'.repeat(256), true],
    ['project_id', '', true],
    ['project_id', 'a\u0000', true]
  ] as const)('%s %j: refused: %s', async ([field, value, refused]) => {
    assert.equal(await isRefused({ [field]: value }), refused)
  })

  it.for([
    ['k', false],
    ['k'.repeat(255), false],
    ['!~{}"', false],
    ['k'.repeat(256), true],
    ['two words', true],
    ['schlüssel', true],
    ['', true]
  ] as const)('Idempotency-Key %j: refused: %s', async ([key, refused]) => {
    assert.equal(await isRefused({}, { 'idempotency-key': key }), refused)
  })

  it('a volume name has at most 255 characters, whatever it is made from', async () => {
    const answer = await ask({ hostname: 'a'.repeat(252) })
    assert.match(answer.body.detail, /"hostname" \(252 characters\) .* 256 characters.* Cinder takes 1 to 255/)
  })

  it('names each field that Cinder cannot keep, in words and not by a regular expression', async () => {
    const { body } = await ask({}, { 'idempotency-key': 'two words' })
    assert.match(body.detail, /"idempotency-key" must have visible ASCII characters only/)
    const { detail } = (await ask({ hostname: '😀-01', os: 'debian\u0007', type: '\ud83d' })).body
    for (const field of ['hostname', 'os', 'type']) {
      assert.ok(detail.includes(`"${field}" must have no control characters, and none beyond U+FFFF`), detail)
    }
    assert.doesNotMatch(detail, /pattern|\\u/)
    const list = await service.call('GET', `/pool/claims?hostname=${encodeURIComponent('😀')}`)
    assert.equal(list.body.code, 'invalid_request')
  })

  it('refuses a category that is not a system disk', async () => {
    const { status, body } = await ask({ category: 'data' })
    assert.deepEqual([status, body.code], [422, 'not_a_system_disk'])
  })

  it('leaves no record of a refused claim', async () => {
    assert.deepEqual(await service.claims(), [])
  })
})

describe('the list of claims', () => {
  const list = async (query = '') => (await service.call<List>('GET', `/pool/claims${query}`)).body
  beforeAll(async () => {
    await service.fill()
    for (const [hostname, project] of [
      ['one', 'tenant-a'],
      ['two', 'tenant-a'],
      ['one', 'tenant-b']
    ] as const) {
      await service.claim(
        { hostname, project_id: service.project(project) },
        { 'idempotency-key': `${project}-${hostname}` }
      )
      service.clock.pass(1)
    }
  })

  it('shows what was given to whom, the newest first', async () => {
    const { claims, next_marker } = await list()
    assert.deepEqual(
      claims.map(({ hostname, project_id }) => [hostname, project_id]),
      [
        ['one', service.project('tenant-b')],
        ['two', service.project('tenant-a')],
        ['one', service.project('tenant-a')]
      ]
    )
    assert.equal(next_marker, null)
    const [newest] = claims
    assert.deepEqual(
      [newest?.idempotency_key, newest?.name, newest?.category, newest?.source, newest?.status, newest?.image_version],
      ['tenant-b-one', 'one_sys', 'sys', 'pool', 'available', '20261101']
    )
    assert.equal(service.volumes('tenant-b')[0]?.id, newest?.volume_id)
  })

  it('is filtered by project, hostname and volume', async () => {
    const [, two] = (await list()).claims
    assert.equal((await list(`?project_id=${service.project('tenant-a')}`)).claims.length, 2)
    assert.equal((await list('?hostname=one')).claims.length, 2)
    assert.deepEqual((await list(`?volume_id=${two?.volume_id}`)).claims, [two])
    assert.deepEqual((await list('?hostname=one&volume_id=other')).claims, [])
    assert.deepEqual((await list('?hostname=ONE')).claims, [])
  })

  it('comes in pages, each claim once', async () => {
    const seen: string[] = []
    let path = '?limit=1'
    for (let pages = 0; pages < 3; pages += 1) {
      const { claims, next_marker } = await list(path)
      seen.push(...claims.map(({ claim_id }) => claim_id))
      path = `?limit=1&marker=${next_marker}`
      assert.equal(next_marker === null, pages === 2)
    }
    assert.deepEqual(
      seen,
      (await list()).claims.map(({ claim_id }) => claim_id)
    )
  })

  it('is empty after the last claim, which is a marker like any other', async () => {
    const last = (await list()).claims.at(-1)
    assert.deepEqual(await list(`?marker=${last?.claim_id}`), { claims: [], next_marker: null })
  })

  it('has each claim by its id', async () => {
    const [newest] = (await list()).claims
    const { status, body } = await service.call<ClaimRecord>('GET', `/pool/claims/${newest?.claim_id}`)
    assert.deepEqual([status, body], [200, newest])
    assert.equal((await service.call('GET', `/pool/claims/${newest?.claim_id.toUpperCase()}`)).status, 200)
  })
})

describe('more claims at once than server.claims_in_flight_max', () => {
  const u = whileTestsRun()
  let busy: TestService
  beforeAll(async () => {
    busy = await aService(u, { config: { server: { port: 0, claims_in_flight_max: 2 } } })
  })
  beforeEach(() => busy.sandbox.cloud.faults.remove())
  /** For two projects: one alone may have half of the places. */
  const claimInTurn = (hostname: string, index: number) =>
    busy.claim({ hostname, project_id: busy.project(index % 2 === 0 ? 'tenant-a' : 'tenant-b') })

  it('are told to repeat, and do nothing; the others are served', async () => {
    busy.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'delay', ms: 1000 })
    const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(claimInTurn))
    const refused = answers.filter(({ status }) => status === 503)
    assert.equal(refused.length, 3)
    for (const { body, headers } of refused) {
      assert.equal(body.code, 'claim_unsettled')
      assert.equal(headers['retry-after'], '1')
      assert.match(body.detail, /claims_in_flight_max/)
    }
    assert.equal((await busy.claims()).length, 2)
  })

  it('are served once earlier ones have ended, in success or failure', async () => {
    busy.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota', count: 2 })
    const wrong = ['f', 'g'].map(claimInTurn)
    for (const { status } of await Promise.all(wrong)) assert.equal(status, 403)
    assert.equal((await busy.claim({ hostname: 'h' })).status, 200)
  })
})
