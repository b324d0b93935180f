import assert from 'node:assert/strict'
import { beforeAll, beforeEach, describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { ClaimRecord } from '../../src/http/schemas.ts'
import { fillAs } from '../support/access.ts'
import { loginAs } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const PLACES = 4

interface Sent {
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly signal?: AbortSignal
  readonly project?: string
}

/** A claim over the network, as any client sends it. */
const claimOver = (service: TestService, { headers, project = 'tenant-a', ...options }: Sent = {}): Promise<Response> =>
  fetch(`${service.service.url}/pool/claim`, {
    method: 'POST',
    body: JSON.stringify({ hostname: newId(), ...DEBIAN, project_id: service.project(project) }),
    ...options,
    headers: { 'content-type': 'application/json', ...headers }
  })

/** Side by side, for two projects in turn: one alone may have half of the places. */
const claimsOver = (service: TestService, count: number, options: Sent = {}): Promise<Response>[] =>
  Array.from({ length: count }, (_, n) => claimOver(service, { project: n % 2 ? 'tenant-b' : 'tenant-a', ...options }))

/** Claims stand still in their last call to Cinder until the test lets the time go on. */
const holdAccepts = ({ sandbox }: TestService): void =>
  sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'delay', ms: 1000 })

const held = ({ sandbox }: TestService): number => sandbox.cloud.faults.list()[0]?.strikes ?? 0

async function takeAllPlaces(service: TestService, options: Sent = {}): Promise<Promise<Response>[]> {
  holdAccepts(service)
  const claims = claimsOver(service, PLACES, options)
  for (const claim of claims) claim.catch(() => undefined)
  await until(() => held(service) === PLACES)
  return claims
}

async function assertFull(service: TestService): Promise<void> {
  const answer = await claimOver(service)
  assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '1'])
  assert.equal(((await answer.json()) as { code: string }).code, 'claim_unsettled')
}

/** All of them are free: as many claims as there are places are served side by side. */
async function assertFree(service: TestService): Promise<void> {
  service.sandbox.cloud.faults.remove()
  const claims = claimsOver(service, PLACES)
  const answers = await service.clock.during(Promise.all(claims))
  assert.deepEqual(
    answers.map(({ status }) => status),
    claims.map(() => 200)
  )
}

const t = whileTestsRun()
let service: TestService
beforeAll(async () => {
  const config = { server: { port: 0, claims_in_flight_max: PLACES }, pools: [{ ...DEBIAN, target: 50 }] }
  service = await aService(t, { config })
})
beforeEach(() => service.sandbox.cloud.faults.remove())

describe('forty claims at once for four places', () => {
  it('serve four, and refuse the others while time stands still', async () => {
    holdAccepts(service)
    const refused: Response[] = []
    const claims = claimsOver(service, 40).map(async claim => {
      const answer = await claim
      if (answer.status === 503 || answer.status === 429) refused.push(answer)
      return answer.status
    })
    await until(() => refused.length === 36)
    assert.ok(held(service) <= PLACES)
    for (const { headers } of refused) assert.equal(headers.get('retry-after'), '1')
    const statuses = await service.clock.during(Promise.all(claims))
    assert.equal(statuses.filter(status => status === 200).length, PLACES)
    assert.equal((await service.claims()).length, PLACES)
    for (const project of ['tenant-a', 'tenant-b']) assert.equal(service.volumes(project).length, PLACES / 2)
    await assertFree(service)
  })
})

describe('a place is taken while the work lasts, and no longer:', () => {
  it('when the client is gone', async () => {
    const gone = new AbortController()
    let closed = 0
    service.service.app.server.on('request', (_request, response) => response.once('close', () => (closed += 1)))
    const claims = await takeAllPlaces(service, { signal: gone.signal })
    gone.abort()
    for (const claim of claims) await assert.rejects(claim)
    await until(() => closed === PLACES) // The service sees it later than the clients.
    await assertFull(service)
    const settled = async () => (await service.claims()).every(({ status }) => status === 'available')
    await service.clock.during(until(settled))
    await assertFree(service)
  })

  it('when Cinder refuses', async () => {
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota', count: PLACES })
    const claims = claimsOver(service, PLACES)
    for (const { status } of await service.clock.during(Promise.all(claims))) assert.equal(status, 403)
    await assertFree(service)
  })

  it('when only the handler sees that the request is wrong', async () => {
    const body = JSON.stringify({ ...DEBIAN, hostname: 'w'.repeat(252) })
    const claims = claimsOver(service, 2 * PLACES, { body })
    for (const { status } of await Promise.all(claims)) assert.ok([400, 503].includes(status))
    await assertFree(service)
  })

  it('when Cinder hangs until the deadline', async () => {
    const patient = service.clock.timeout.bind(service.clock)
    service.clock.timeout = ms => AbortSignal.timeout(Math.ceil(ms / 20))
    service.sandbox.cloud.addFault({ operation: 'volume_list', kind: 'hang' })
    const claims = claimsOver(service, PLACES)
    for (const { status } of await service.clock.during(Promise.all(claims))) assert.ok([503, 504].includes(status))
    service.clock.timeout = patient
    await assertFree(service)
  })
})

describe('one project', () => {
  const u = whileTestsRun()
  const WINDOWS = { os: 'windows2022', type: 'ssd' }
  let crowded: TestService
  beforeAll(async () => {
    const pools = [
      { ...DEBIAN, target: 1 },
      { ...WINDOWS, target: 0 }
    ]
    crowded = await aService(u, { config: { pools } })
    await crowded.call('POST', '/pool/pause', WINDOWS)
  })

  it('has half of the places, and its waiting claims hold up no other project', async () => {
    const gone = new AbortController()
    const project_id = crowded.project('tenant-a')
    const refused: Response[] = []
    const waiting = Array.from({ length: 256 }, async () => {
      const wish = { hostname: newId(), ...WINDOWS, project_id, on_empty: 'fail', wait_seconds: 60 }
      const answer = await claimOver(crowded, { body: JSON.stringify(wish), signal: gone.signal })
      if (answer.status === 429) refused.push(answer)
    })
    await until(() => refused.length === 128)
    assert.deepEqual(
      refused.map(({ headers }) => headers.get('retry-after')),
      refused.map(() => '1')
    )
    const codes = await Promise.all(refused.map(async answer => ((await answer.json()) as { code: string }).code))
    assert.deepEqual(new Set(codes), new Set(['rate_limited']))
    assert.equal((await claimOver(crowded)).status, 429, 'whichever disk it asks for')
    assert.equal((await claimOver(crowded, { project: 'tenant-b' })).status, 200)
    const ofOther = `/pool/claims?project_id=${crowded.project('tenant-b')}`
    const { body } = await crowded.call<{ claims: ClaimRecord[] }>('GET', ofOther)
    assert.deepEqual(
      body.claims.map(({ status }) => status),
      ['available']
    )
    gone.abort()
    await Promise.allSettled(waiting)
  })
})

describe('callers whom Keystone has not identified yet', () => {
  const u = whileTestsRun()
  let guarded: TestService
  beforeAll(async () => {
    guarded = await aService(u, { filled: false, config: { access: { mode: 'keystone' } } })
  })

  it('are at most 256, more are refused at once, and known callers are served meanwhile', async () => {
    const known = { 'x-auth-token': await loginAs(guarded, 'tenant-a-user', 'tenant-a') }
    await fillAs(guarded, { 'x-auth-token': await loginAs(guarded, 'admin', 'pool') })
    assert.equal((await claimOver(guarded, { headers: known })).status, 200)
    guarded.sandbox.cloud.addFault({ operation: 'token_validate', kind: 'delay', ms: 1000 })
    const refused: Response[] = []
    const strangers = Array.from({ length: 300 }, async (_, n) => {
      const answer = await claimOver(guarded, { headers: { 'x-auth-token': `unknown-${n}` } })
      if (answer.status === 503) refused.push(answer)
      return answer.status
    })
    await until(() => refused.length === 300 - 256)
    const [first] = refused
    assert.ok(first)
    assert.equal(((await first.json()) as { code: string }).code, 'cloud_unavailable')
    assert.ok(Number(first.headers.get('retry-after')) > 0)
    assert.equal((await claimOver(guarded, { headers: known })).status, 200)
    guarded.sandbox.cloud.faults.remove()
    const statuses = await guarded.clock.during(Promise.all(strangers))
    assert.equal(statuses.filter(status => status === 401).length, 256)
    const stranger = claimOver(guarded, { headers: { 'x-auth-token': 'unknown' } })
    assert.equal((await guarded.clock.during(stranger)).status, 401)
  })
})
