import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  type Arbitrary,
  array,
  asyncProperty,
  assert as check,
  constant,
  constantFrom,
  integer,
  jsonValue,
  oneof,
  option,
  record,
  string,
  tuple
} from 'fast-check'
import { beforeAll, describe, it } from 'vitest'
import { CLAIM_STATUSES } from '../../src/pool/claim.ts'
import { POOL_ERROR_CODES } from '../../src/pool/errors.ts'
import { SPARE_STATUSES } from '../../src/pool/spare.ts'
import { PURGES } from '../../src/pool/stores.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const RUNS = { numRuns: 500 }
const t = whileTestsRun()
let service: TestService
beforeAll(async () => {
  const golden = Array.from({ length: 3 }, (_, n) => ({ name: `os-${n}_ssd_1` }))
  service = await aService(t, { golden, config: { pools: [{ ...DEBIAN, target: 2 }] } })
})

type Method = 'GET' | 'POST' | 'DELETE' | 'PUT' | 'PATCH'
type Headers = Record<string, string>

/** Whatever is asked: an answer that the document knows, and never our own fault. */
async function ask(method: Method, path: string, body?: unknown, headers: Headers = {}): Promise<void> {
  const answer = await service.call(method, path, body, headers)
  assert.notEqual(answer.status, 500, JSON.stringify(answer.body))
  if (answer.status < 400) return
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
  assert.ok(POOL_ERROR_CODES.includes(answer.body.code) && answer.body.code !== 'internal_error')
  assert.equal(answer.body.status, answer.status)
  assert.equal(answer.headers['x-openstack-request-id'], answer.body.request_id)
}

const text = string({ unit: 'binary', maxLength: 300 })
const nasty = constantFrom(
  '',
  ' ',
  '\u0000',
  '\ud800',
  "'; drop table os; --",
  '%',
  '{os}',
  '__proto__',
  '-1',
  'null',
  '🐘'
)

/** Mostly as it should be, else anything that JSON can say. */
const mostly = <T>(good: Arbitrary<T>) =>
  oneof({ arbitrary: good, weight: 6 }, { arbitrary: oneof(nasty, text, jsonValue({ maxDepth: 1 })), weight: 1 })

/** With the fields that must be there, any of the others, and now and then none or more of them. */
const shaped = <Must, May>(
  must: { [K in keyof Must]: Arbitrary<Must[K]> },
  may: { [K in keyof May]: Arbitrary<May[K]> }
): Arbitrary<unknown> =>
  oneof(
    {
      arbitrary: tuple(record(must), record(may, { requiredKeys: [] })).map(([a, b]) => ({ ...a, ...b })),
      weight: 8
    },
    { arbitrary: record({ ...must, ...may, extra: jsonValue() }, { requiredKeys: [] }), weight: 1 },
    { arbitrary: jsonValue(), weight: 1 }
  )

/** A body that is sent as JSON, as text that may be cut short, or not at all. */
const sent = (body: Arbitrary<unknown>) =>
  oneof(
    { arbitrary: body.map(value => [JSON.stringify(value), 'application/json'] as const), weight: 10 },
    {
      arbitrary: record({ value: body, end: integer({ min: 0, max: 50 }) }).map(
        ({ value, end }) => [JSON.stringify(value)?.slice(0, end) ?? '', 'application/json'] as const
      ),
      weight: 1
    },
    { arbitrary: text.map(value => [value, 'application/json'] as const), weight: 1 },
    { arbitrary: body.map(value => [JSON.stringify(value), 'text/plain'] as const), weight: 1 },
    { arbitrary: constant([undefined, undefined] as const), weight: 1 }
  )

const posts = (path: string, body: Arbitrary<unknown>, headers: Arbitrary<Headers> = constant({})): Promise<void> =>
  check(
    asyncProperty(sent(body), headers, async ([payload, type], more) => {
      await ask('POST', path, payload, { ...more, ...(type ? { 'content-type': type } : {}) })
    }),
    RUNS
  )

const queries = (path: string, fields: Record<string, Arbitrary<unknown>>): Promise<void> => {
  const known = new Map(Object.entries(fields)) // A random name may be one that every object has, such as `toString`.
  const name = oneof({ arbitrary: constantFrom(...known.keys()), weight: 8 }, { arbitrary: text, weight: 1 })
  const pair = name.chain(key =>
    mostly(known.get(key) ?? text).map(
      value => [key, typeof value === 'string' ? value : JSON.stringify(value)] as const
    )
  )
  return check(
    asyncProperty(array(pair, { maxLength: 4 }), async pairs => {
      await ask('GET', `${path}?${pairs.map(([key, value]) => `${encoded(key)}=${encoded(value)}`).join('&')}`)
    }),
    RUNS
  )
}

/** Also of halves of characters, which `encodeURIComponent` refuses. */
const encoded = (value: string): string => encodeURIComponent(Buffer.from(value).toString())

const hostname = oneof(constantFrom('web-01', 'web-02', 'w e b', 'ü'), string({ minLength: 1, maxLength: 255 }))
const os = constantFrom('debian12', 'os-0', 'os-1', 'beos')
const type = constantFrom('ssd', 'SSD', 'sas', 'nvme')
const uuid = constantFrom(randomUUID(), randomUUID().toUpperCase(), `urn:uuid:${randomUUID()}`)

describe('whatever is sent, the answer is documented and never a 500:', () => {
  it('POST /pool/claim', () =>
    posts(
      '/pool/claim',
      shaped(
        { hostname: mostly(hostname), os: mostly(os), type: mostly(type) },
        {
          category: mostly(constantFrom('sys', 'sys', 'data')),
          size: mostly(integer({ min: 0, max: 60 })),
          project_id: mostly(constantFrom(service.project('tenant-a'), service.project('tenant-b'))),
          on_empty: mostly(constantFrom('fail', 'fail', 'fail', 'create')),
          wait_seconds: mostly(constantFrom(0, 1))
        }
      ),
      oneof(
        { arbitrary: constant({}), weight: 3 },
        record({ 'idempotency-key': oneof(constantFrom('key', 'other'), string({ maxLength: 300 })) }),
        record({ 'x-auth-token': constantFrom('unknown', 'ü', 'a b') }),
        record({ 'x-openstack-request-id': string() })
      )
    ))

  it('POST /os/sync', () =>
    posts(
      '/os/sync',
      shaped(
        {},
        {
          purge: mostly(constantFrom(...PURGES)),
          dry_run: mostly(constantFrom(true, true, false)),
          allow_empty: mostly(constantFrom(true, false))
        }
      )
    ))

  it.for(['/pool/pause', '/pool/resume'])('POST %s', path =>
    posts(path, shaped({}, { os: mostly(os), type: mostly(type) }))
  )

  it.for(['/pool/replenish', '/pool/check', '/pool/reconcile'])('POST %s', path =>
    posts(path, oneof({ arbitrary: jsonValue(), weight: 9 }, constant({})))
  )

  it('GET /pool/claims', () =>
    queries('/pool/claims', {
      project_id: constantFrom(service.project('tenant-a'), 'other'),
      hostname,
      volume_id: uuid,
      limit: integer({ min: -1, max: 1100 }),
      marker: uuid
    }))

  it('GET /pool/volumes', () =>
    queries('/pool/volumes', {
      os,
      type,
      status: constantFrom(...SPARE_STATUSES, ...CLAIM_STATUSES),
      limit: integer({ min: -1, max: 1100 }),
      marker: uuid
    }))

  it('GET /pool/stats', () =>
    queries('/pool/stats', {
      window: record({ n: integer({ min: 0, max: 1_000_000 }), unit: constantFrom('s', 'm', 'h', 'd', 'w', '') }).map(
        ({ n, unit }) => `${n}${unit}`
      )
    }))

  it('GET /pool/claims/{claim_id} and DELETE /pool/volumes/{volume_id}', () =>
    check(
      asyncProperty(oneof(uuid, nasty, text), option(sent(jsonValue())), async (id, body) => {
        const [payload, contentType] = body ?? []
        await ask('GET', `/pool/claims/${encoded(id)}`)
        const headers: Headers = contentType ? { 'content-type': contentType } : {}
        await ask('DELETE', `/pool/volumes/${encoded(id)}`, payload, headers)
      }),
      RUNS
    ))

  it('any method on any address', () => {
    const known = Object.keys((service.service.app.swagger() as { paths?: object }).paths ?? {})
    const path = oneof(
      constantFrom(...known, '/', '/docs', '/docs/', '/openapi.json', '/pool/reservations', '/pool/reservations/1'),
      string({ unit: 'grapheme-ascii' }).map(part => `/${part.replaceAll(/[ \\^`{|}"<>]/g, '')}`),
      constantFrom('/%', '/%zz', '/%00', '//', '/..', '/../../etc/passwd', '/docs/static/..%2f..', '/?', '/#', '/*')
    )
    return check(
      asyncProperty(constantFrom<Method>('GET', 'POST', 'DELETE', 'PUT', 'PATCH'), path, async (method, address) => {
        if (method === 'POST' && address === '/os/sync') return // Has a test of its own, and would empty the stock.
        await ask(method, address)
      }),
      RUNS
    )
  })

  it('and what is not JSON at all', () =>
    check(
      asyncProperty(jsonValue(), async value => {
        await ask('POST', '/pool/claim', JSON.stringify(value).slice(1), { 'content-type': 'application/json' })
      }),
      { numRuns: 100 }
    ))
})
