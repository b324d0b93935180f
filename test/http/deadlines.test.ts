import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, it } from 'vitest'
import type { Problem } from '../../src/http/schemas.ts'
import { loginAs } from '../support/cloud.ts'
import { lockTables } from '../support/database-faults.ts'
import { assertDocumented } from '../support/documented.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'
import { until } from '../support/until.ts'

const TABLES = 'os, claims, backup_volumes, pools, lead_times, ticks, orphans, schema_migrations'

describe('while every table is locked', () => {
  const t = whileTestsRun()
  let service: TestService
  beforeAll(async () => {
    service = await aService(t)
    const { clock } = service
    clock.timeout = ms => SimulatedClock.prototype.timeout.call(clock, ms) // By its own time, which the test moves.
  })

  /** As the time runs, and no statement ends. */
  async function ask(route: string, method: 'get' | 'post' | 'delete'): Promise<string> {
    const { app } = service.service
    const url = route.replace(/\{\w+\}/, randomUUID())
    const payload = route === '/pool/claim' ? { hostname: 'web-01', ...DEBIAN } : undefined
    const answer = await app.inject({ method, url, ...(payload ? { payload } : {}) })
    assertDocumented(method, url, answer.statusCode, answer.json())
    assert.match(answer.json<Problem>().detail, /the database did not answer in time/i)
    return `${answer.statusCode} ${answer.json<Problem>().code} ${answer.headers['retry-after']}`
  }

  it('each route answers with a problem by its deadline, and works again afterwards', async () => {
    const { unlock } = await lockTables(service.url, TABLES)
    const startedAt = service.clock.now().getTime()
    const answers = Object.entries(service.service.app.swagger().paths ?? {})
      .filter(([route]) => route !== '/healthz')
      .flatMap(([route, operations = {}]) =>
        Object.keys(operations).map(async method => {
          const expected = route === '/pool/claim' ? '503 claim_unsettled 2' : '503 database_unavailable 5'
          assert.equal(await ask(route, method as 'get'), expected, `${method} ${route}`)
        })
      )
    assert.ok(answers.length >= 16)
    const all = Promise.all(answers)
    let open = true
    all.finally(() => (open = false)).catch(() => undefined)
    await until(() => {
      service.clock.pass(1)
      return !open
    })
    await all
    assert.ok(service.clock.now().getTime() - startedAt < 700_000)
    await unlock()
    assert.equal((await service.claim()).status, 200)
    for (const path of ['/pool/replenish', '/pool/check', '/pool/reconcile', '/os/sync']) {
      assert.equal((await service.call('POST', path)).status, 200, path)
    }
  })
})

it('a claim has one deadline from its start: authentication uses up part of it', async t => {
  const service = await aService(t, { filled: false, config: { access: { mode: 'keystone' } } })
  const { clock, sandbox } = service
  const limits: number[] = []
  clock.timeout = ms => {
    limits.push(ms)
    return AbortSignal.timeout(ms)
  }
  const headers = { 'x-auth-token': await loginAs(service, 'tenant-a-user', 'tenant-a') }
  sandbox.cloud.addFault({ operation: 'token_validate', kind: 'delay', ms: 1000 })
  const payload = { hostname: 'web-01', ...DEBIAN, on_empty: 'fail', wait_seconds: 2 }
  const sent = service.service.app.inject({ method: 'POST', url: '/pool/claim', headers, payload })
  const answer = Promise.resolve(sent)
  await until(() => sandbox.cloud.faults.list()[0]?.strikes === 1)
  const [heldAt, held] = [performance.now(), 50]
  await until(() => performance.now() > heldAt + held)
  assert.equal((await clock.during(answer)).statusCode, 503)
  const { timeout_seconds } = service.config.openstack
  const whole = (timeout_seconds + 10 + payload.wait_seconds) * 1000
  const own = limits.find(ms => ms > timeout_seconds * 1000) ?? 0
  assert.ok(own > 0 && own <= whole - held, `${own} of ${whole} ms`)
})
