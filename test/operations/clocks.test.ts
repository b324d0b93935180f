import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { aService, type TestServiceOptions } from '../support/service.ts'
import { TestClock } from '../support/test-clock.ts'
import { until } from '../support/until.ts'

const HOUR = 3_600

/** A service and the database's clock, which is set as the test says; the machine's own is an hour ahead. */
async function aServiceApart(t: TestContext, options: TestServiceOptions = {}) {
  const clock = new TestClock()
  let apart = -HOUR
  const sharedTime = async (): Promise<Date> => new Date(clock.now().getTime() + apart * 1000)
  const service = await aService(t, { ...options, clock, sharedTime })
  const setDatabase = async (seconds: number): Promise<void> => {
    apart += seconds
    const before = service.service.deps.clock.now().getTime()
    clock.jump(2) // Seen within a second, and then the database is asked.
    apart -= 2
    await until(() => {
      clock.pass(0.1)
      return Math.abs(service.service.deps.clock.now().getTime() - before) > 1_000_000
    })
  }
  return { service, clock, sharedTime, setDatabase }
}

describe('a service whose database’s clock is another than its machine’s', () => {
  it('records the database’s time', async t => {
    const { service, sharedTime } = await aServiceApart(t)
    await service.claim()
    const [row] = await service.rows<{ created_at: Date }>('select created_at from claims')
    const secondsAgo = ((await sharedTime()).getTime() - (row?.created_at.getTime() ?? 0)) / 1000
    assert.ok(secondsAgo >= 0 && secondsAgo < 60, `${secondsAgo} s ago`)
  })

  it('serves claims and settles what broke off when that clock was set back by an hour, and lets nobody wait longer', async t => {
    const { service, clock, setDatabase } = await aServiceApart(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 2 })
    const broken = await service.claim({ hostname: 'broken' })
    assert.equal(broken.body.code, 'claim_unsettled')
    await service.rows("update claims set lease_holder = gen_random_uuid(), lease_until = created_at + interval '10 s'")
    await setDatabase(-HOUR)
    const { body } = await service.call<{ settled: number }>('POST', '/pool/reconcile')
    assert.equal(body.settled, 1)
    assert.equal((await service.claim()).body.source, 'pool')
    for (const { volume_id } of await service.spares()) await service.call('DELETE', `/pool/volumes/${volume_id}`)
    const waiting = service.claim({ hostname: 'waiting', on_empty: 'fail', wait_seconds: 20 })
    await until(async () => (await service.rows('select from claims where waiting')).length === 1)
    await setDatabase(-HOUR)
    const beganMs = clock.monotonicMs()
    assert.equal((await waiting).body.code, 'pool_empty')
    assert.ok(clock.monotonicMs() - beganMs < 60_000)
  })

  it('takes no claim from who works on it when that clock was set forward by an hour', async t => {
    const { service, clock, sharedTime } = await aServiceApart(t)
    const { claims } = service.service.deps
    const settle = claims.settle.bind(claims)
    let goOn = (): void => undefined
    const gate = new Promise<void>(resolve => {
      goOn = resolve
    })
    const isAtWork = new Promise<void>(begun => {
      claims.settle = async (...args) => {
        begun()
        await gate
        return await settle(...args)
      }
    })
    const claiming = service.claim()
    await isAtWork
    const ahead = async (): Promise<Date> => new Date((await sharedTime()).getTime() + HOUR * 1000)
    const other = await aService(t, { beside: service, clock, sharedTime: ahead, filled: false })
    const { body } = await other.call<{ settled: number }>('POST', '/pool/reconcile')
    const [claim] = await service.claims()
    goOn()
    assert.deepEqual([body.settled, claim?.status], [0, 'open'])
    assert.deepEqual([(await claiming).status, (await claiming).body.source], [200, 'pool'])
  })

  it('makes a disk in its project whose creation had no answer just before that clock was set back by an hour', async t => {
    const { service, clock, setDatabase } = await aServiceApart(t, { user: 'admin', filled: false })
    await service.sync()
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_before', count: 1 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    await setDatabase(-HOUR)
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    clock.pass(120)
    const { status, body } = await service.claim({ wait_seconds: 60 })
    assert.deepEqual([status, body.source], [200, 'created'])
  })
})

describe('a cloud whose clock is an hour behind', () => {
  it('loses no volume whose creation had no answer', async t => {
    const service = await aService(t, { filled: false, cloudAheadSeconds: -HOUR })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 1 })
    await service.call('POST', '/pool/replenish')
    service.clock.pass(200)
    assert.equal((await service.call<{ dropped: number }>('POST', '/pool/check')).body.dropped, 0)
    await service.fill()
    assert.equal((await service.spares()).filter(({ status }) => status === 'available').length, 5)
    assert.equal(service.volumes('pool').length, 5)
  })
})
