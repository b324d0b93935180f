import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { replenish } from '../../src/operations/ticks/replenish.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const ONE = { filled: false, config: { pools: [{ ...DEBIAN, target: 1 }] } }

/** While the time stands still. */
const refill = async ({ service }: TestService): Promise<number> =>
  (await replenish(service.deps, { requestId: 'req-00000000-0000-4000-8000-000000000001' })).requested

const refuse = ({ sandbox }: TestService): void =>
  sandbox.cloud.addFault({ operation: 'volume_create', kind: 'over_quota' })

/** Fails, and then holds back for just so long. */
async function assertWaits(service: TestService, seconds: number): Promise<void> {
  assert.equal(await refill(service), 1, `it should try now, before it waits ${seconds} s`)
  assert.equal(await refill(service), 0)
  service.clock.pass(seconds - 0.001)
  assert.equal(await refill(service), 0, `it should wait ${seconds} s`)
  service.clock.pass(0.001)
}

describe('a pool whose creations fail', () => {
  it('waits twice as long after each failure in a row, at most five minutes, and says why', async t => {
    const service = await aService(t, ONE)
    refuse(service)
    for (const seconds of [10, 20, 40, 80, 160, 300, 300]) await assertWaits(service, seconds)
    const [pool] = (await service.stats()).pools
    assert.match(pool?.last_error ?? '', /quota/i)
  })

  it('starts afresh after a success', async t => {
    const service = await aService(t, ONE)
    refuse(service)
    for (const seconds of [10, 20, 40]) await assertWaits(service, seconds)
    service.sandbox.cloud.faults.remove()
    await service.fill()
    const [pool] = (await service.stats()).pools
    assert.deepEqual([pool?.condition, pool?.last_error], ['full', null])
    await service.claim()
    refuse(service)
    for (const seconds of [10, 20]) await assertWaits(service, seconds)
  })

  it('starts afresh on resume, at once', async t => {
    const service = await aService(t, ONE)
    refuse(service)
    for (const seconds of [10, 20, 40]) await assertWaits(service, seconds)
    assert.equal(await refill(service), 1)
    assert.equal((await service.stats()).pools[0]?.condition, 'backing_off')
    await service.call('POST', '/pool/resume', DEBIAN)
    assert.equal((await service.stats()).pools[0]?.last_error, null)
    for (const seconds of [10, 20]) await assertWaits(service, seconds)
  })

  it('holds back the other replicas too, and no other pool', async t => {
    const pools = [
      { ...DEBIAN, target: 1 },
      { os: 'windows2022', type: 'ssd', target: 1 }
    ]
    const one = await aService(t, { ...ONE, config: { pools } })
    const other = await aService(t, { beside: one, filled: false })
    await one.call('POST', '/pool/pause', { os: 'windows2022', type: 'ssd' })
    refuse(one)
    assert.equal(await refill(one), 1)
    assert.equal(await refill(other), 0)
    one.sandbox.cloud.faults.remove()
    await one.call('POST', '/pool/resume', { os: 'windows2022', type: 'ssd' })
    assert.equal(await refill(other), 1)
    assert.deepEqual(
      (await one.spares()).map(({ os }) => os),
      ['windows2022']
    )
  })
})
