import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const POOLS = [{ ...DEBIAN, target: 1 }]
const refuse = async (service: TestService, hostname: string): Promise<void> => {
  const { status, body } = await service.claim({ hostname, on_empty: 'fail' })
  assert.deepEqual([status, body.code], [503, 'pool_empty'])
}
const counted = async (service: TestService) => (await service.stats()).pools[0]?.claims
const metric = async (service: TestService): Promise<string[]> =>
  (await service.call<string>('GET', '/metrics')).body
    .split('\n')
    .filter(line => /^spare_pool_claims_total.*source="none"/.test(line))

describe('a claim that is refused for want of stock', () => {
  it('is a miss, in the hit rate and the metrics too, once an hour for a project and name', async t => {
    const service = await aService(t, { config: { pools: POOLS } })
    assert.equal((await service.claim({ hostname: 'a' })).body.source, 'pool')
    for (const hostname of ['b', 'b', 'c', 'b']) await refuse(service, hostname)
    assert.deepEqual(await counted(service), { hits: 1, misses: { empty: 2 }, existing: 0, hit_rate: 0.333 })
    assert.deepEqual(await metric(service), [
      'spare_pool_claims_total{os="debian12",type="ssd",source="none",miss_reason="empty"} 2'
    ])
    service.clock.pass(3_600)
    await refuse(service, 'b')
    assert.equal((await counted(service))?.misses['empty'], 3)
  })

  it('counts once, whichever replicas its caller asks', async t => {
    const one = await aService(t, { filled: false, config: { pools: POOLS } })
    const other = await aService(t, { filled: false, beside: one })
    for (const service of [one, other, other]) await refuse(service, 'a')
    assert.deepEqual((await counted(one))?.misses, { empty: 1 })
    assert.deepEqual(await metric(other), [])
  })

  it('is none where it is refused for anything else', async t => {
    const service = await aService(t, { filled: false, config: { pools: POOLS } })
    assert.equal((await service.claim({ os: 'plan9', on_empty: 'fail' })).body.code, 'image_not_found')
    assert.equal((await service.claim({ category: 'data', on_empty: 'fail' })).body.code, 'not_a_system_disk')
    assert.deepEqual([(await counted(service))?.misses, await metric(service)], [{}, []])
  })

  it('is forgotten by reconcile after an hour', async t => {
    const service = await aService(t, { filled: false, config: { pools: POOLS } })
    await refuse(service, 'a')
    await service.call('POST', '/pool/reconcile')
    assert.equal((await service.rows('select from refusals')).length, 1)
    service.clock.pass(3_601)
    await service.call('POST', '/pool/reconcile')
    assert.equal((await service.rows('select from refusals')).length, 0)
    assert.deepEqual((await counted(service))?.misses, { empty: 1 })
  })
})
