import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { array, asyncProperty, assert as check, constantFrom, oneof, string } from 'fast-check'
import { afterAll, beforeAll, describe, it } from 'vitest'
import type { Problem } from '../../src/http/schemas.ts'
import { POOL_ERROR_CODES } from '../../src/pool/errors.ts'
import type { Context } from '../support/arbitrary-of.ts'
import { assertDocumented } from '../support/documented.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import {
  addressOf,
  type Judge,
  judgeOf,
  type OpenApi,
  type Request,
  type Route,
  requestsTo,
  routesOf
} from '../support/requests.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

/** Requests that are sent side by side, which takes less time and finds more. */
const SIDE_BY_SIDE = 20
/** To each route, and for each field of its body, since it is there that most can go wrong. */
const REQUESTS = { each: 200, eachField: 650 }
const BODIES_MIN = 10_000

const t = whileTestsRun()
let service: TestService
let context: Context
let judge: Judge
const answers = new Map<string, number>()
const seen = { bodies: 0, refused: 0, served: 0 }

beforeAll(async () => {
  const golden = Array.from({ length: 3 }, (_, n) => ({ name: `os-${n}_ssd_1` }))
  service = await aService(t, { golden, config: { pools: [{ ...DEBIAN, target: 2 }] } })
  judge = judgeOf(service.service.app)
  const { components } = service.service.app.swagger() as unknown as OpenApi
  context = {
    resolve: ref => components.schemas[ref.replace('#/components/schemas/', '')] ?? {},
    meaningful: {
      os: ['debian12', 'os-0', 'os-1', 'beos'],
      type: ['ssd', 'SSD', 'sas', 'nvme'],
      category: ['sys', 'sys', 'data'],
      hostname: ['web-01', 'web-02', 'w e b', 'ü'],
      project_id: [service.project('tenant-a'), service.project('tenant-b'), 'nowhere'],
      'idempotency-key': ['key', 'other']
    },
    largest: { wait_seconds: 1 } // Claims that wait for longer have tests of their own.
  }
})
afterAll(() => {
  const { bodies, refused, served } = seen
  const kinds = [...answers].map(([kind, count]) => `${kind} ${count}`).join(', ')
  console.info(
    `${bodies} bodies were sent: ${refused} requests did not fit their schema, ${served} did. Answers: ${kinds}`
  )
})

async function send(route: Route, request: Request): Promise<void> {
  const { app } = service.service
  const { payload, contentType } = request
  const url = addressOf(route, request)
  const headers = { ...request.headers, ...(contentType === undefined ? {} : { 'content-type': contentType }) }
  const answer = await app.inject({ method: route.method, url, headers, ...(payload === undefined ? {} : { payload }) })
  const isProblem = answer.statusCode >= 400
  const body = String(answer.headers['content-type']).includes('json') ? answer.json() : answer.body
  assertDocumented(route.method, url, answer.statusCode, body)
  if (isProblem) assertProblem(body, answer.statusCode, answer.headers)
  if (payload !== undefined) seen.bodies += 1
  const kind = isProblem ? body.code : String(answer.statusCode)
  answers.set(kind, (answers.get(kind) ?? 0) + 1)
  if (request.headers['x-auth-token']) return // Nothing else is looked at where nobody knows the caller.
  assertJudged(judge(route, request), answer.statusCode, isProblem ? body : undefined)
}

function assertProblem(problem: Problem, status: number, headers: Readonly<Record<string, unknown>>): void {
  assert.match(String(headers['content-type']), /^application\/problem\+json/)
  assert.ok(POOL_ERROR_CODES.includes(problem.code) && problem.code !== 'internal_error', problem.code)
  assert.equal(problem.status, status)
  assert.equal(headers['x-openstack-request-id'], problem.request_id)
}

/** What does not fit is refused for that, and what fits is not: a name that is too long, say, is another matter. */
function assertJudged(fits: boolean | undefined, status: number, problem: Problem | undefined): void {
  if (fits === undefined) return
  seen[fits ? 'served' : 'refused'] += 1
  if (fits) assert.doesNotMatch(problem?.detail ?? '', /^The request's \w+ is wrong/)
  else assert.ok([400, 413, 415].includes(status) && problem?.code === 'invalid_request', `it was let in: ${status}`)
}

/** Every route of the document, as it is when the test runs: none is named here. */
const fuzz = async (route: Route): Promise<void> => {
  const { body } = route
  const whole = body?.$ref === undefined ? body : context.resolve(body.$ref)
  const requests = REQUESTS.each + REQUESTS.eachField * Object.keys(whole?.properties ?? {}).length
  const batches = array(requestsTo(route, context), { minLength: SIDE_BY_SIDE, maxLength: SIDE_BY_SIDE })
  const together = asyncProperty(batches, async batch => {
    await service.clock.during(Promise.all(batch.map(request => send(route, request))))
  })
  await check(together, { numRuns: Math.ceil(requests / SIDE_BY_SIDE) })
}

describe('whatever is sent, the answer is documented, never a 500, and right about the request:', () => {
  it('to every route, requests that fit its schema and that do not', { timeout: 240_000 }, async () => {
    const routes = routesOf(service.service.app)
    for (const route of routes) {
      await fuzz(route).catch((error: unknown) => {
        throw new Error(`${route.method} ${route.path}: ${String(error)}`, { cause: error })
      })
    }
    assert.ok(routes.length >= 17)
    assert.ok(seen.bodies >= BODIES_MIN, `${seen.bodies} bodies`)
    assert.ok(seen.refused > BODIES_MIN / 4 && seen.served > BODIES_MIN / 4, JSON.stringify(seen))
  })

  it('to any path, by any method', () => {
    const { app } = service.service
    const known = Object.keys(app.swagger().paths ?? {}).map(path => path.replace(/\{\w+\}/, randomUUID()))
    const path = oneof(
      constantFrom(...known, '/', '/docs', '/docs/', '/openapi.json', '/pool/reservations', '/pool/reservations/1'),
      string({ unit: 'grapheme-ascii' }).map(part => `/${part.replaceAll(/[ \\^`{|}"<>]/g, '')}`),
      constantFrom('/%', '/%zz', '/%00', '//', '/..', '/../../etc/passwd', '/docs/static/..%2f..', '/?', '/#', '/*')
    )
    const method = constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH')
    return check(
      asyncProperty(method, path, async (anyMethod, url) => {
        if (anyMethod === 'POST' && url === '/os/sync') return // It would empty the stock.
        const answer = await service.clock.during(Promise.resolve(app.inject({ method: anyMethod as 'GET', url })))
        const isProblem = answer.statusCode >= 400
        if (isProblem) assertProblem(answer.json(), answer.statusCode, answer.headers)
        assertDocumented(anyMethod, url, answer.statusCode, isProblem ? answer.json() : answer.body)
      }),
      { numRuns: 500 }
    )
  })
})
