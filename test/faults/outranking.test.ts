import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { openDatabase, query, transaction } from '../../src/store/connection/database.ts'
import { aService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const WINDOWS = { os: 'windows2022', type: 'ssd' }
const SLOW_DEBIAN = { os: 'debian12', type: 'sas' }
const MANY = 100

/** Debian in stock, and very many others still to be made. */
async function aBusyService(t: TestContext): Promise<TestService> {
  const pools = [
    { os: 'debian12', type: 'ssd', target: 5 },
    { ...WINDOWS, target: MANY },
    { ...SLOW_DEBIAN, target: MANY }
  ]
  const service = await aService(t, {
    filled: false,
    config: { pools, limits: { creating_max: 2 * MANY, creating_max_per_snapshot: MANY } }
  })
  for (const resource of ['', '_ceph-ssd', '_ceph-sas'].flatMap(type => [`volumes${type}`, `gigabytes${type}`])) {
    service.sandbox.cloud.quotas.set(`${service.project('pool')} ${resource}`, -1)
  }
  for (const pool of [WINDOWS, SLOW_DEBIAN]) await service.call('POST', '/pool/pause', pool)
  await service.fill()
  await service.call('POST', '/pool/resume', WINDOWS)
  return service
}

const BLOCKED = "select count(*)::int as count from pg_locks where relation = 'pools'::regclass and not granted"

/** Until the service stops. */
const inBackground = (service: TestService, tick: 'replenish' | 'check'): void =>
  void service.call('POST', `/pool/${tick}`).catch(() => undefined)

async function assertServed(service: TestService, hostname: string): Promise<void> {
  const { status, body } = await service.claim({ hostname })
  assert.deepEqual([status, body.source, body.miss_reason], [200, 'pool', null], JSON.stringify(body))
}

describe('a claim', () => {
  it('is served while all that is done in the background hangs in Cinder', async t => {
    const service = await aBusyService(t)
    await service.call('POST', '/pool/replenish')
    await service.call('POST', '/pool/resume', SLOW_DEBIAN)
    const { cloud } = service.sandbox
    for (const operation of ['volume_create', 'transfer_create'] as const) cloud.addFault({ operation, kind: 'hang' })
    const hanging = (): number => cloud.faults.list().reduce((sum, { strikes }) => sum + strikes, 0)
    service.clock.pass(30)
    inBackground(service, 'check') // Which arms what is finished, as many at a time as replenish asks for.
    inBackground(service, 'replenish')
    await until(() => hanging() === 32)
    for (const hostname of ['a', 'b', 'c']) await assertServed(service, hostname)
    assert.equal(hanging(), 32, 'the rest waits for a place, of which the background has half')
  })

  it('is served while all that is done in the background is blocked in PostgreSQL', async t => {
    const service = await aBusyService(t)
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'over_quota' })
    const rival = openDatabase({ url: service.url, connectionsMax: 1 })
    t.onTestFinished(() => rival.destroy())
    await transaction(rival, async tx => {
      await query(tx, 'lock table pools in share mode') // Each creation that fails is to be noted there.
      inBackground(service, 'replenish')
      await until(async () => {
        const [row] = await query<{ count: number }>(tx, BLOCKED)
        return row?.count === 5
      })
      for (const hostname of ['a', 'b', 'c']) await assertServed(service, hostname)
    })
  })
})
