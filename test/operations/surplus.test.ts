import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { countStatements } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

type Test = Parameters<typeof aService>[0]
interface Pool {
  readonly os: string
  readonly type: string
  readonly target: number
  readonly max_age_hours?: number
}

const SAS = { os: 'debian12', type: 'sas' }
const THREE: Pool[] = [{ ...DEBIAN, target: 3 }]
const ONE: Pool[] = [{ ...DEBIAN, target: 1 }]

/** The same database and cloud, under another configuration: the service restarted, or a replica that was. */
const restarted = async (t: Test, service: TestService, pools: readonly Pool[]): Promise<TestService> =>
  await aService(t, { filled: false, beside: { ...service, config: { ...service.config, pools: [...pools] } } })

const replenish = async (service: TestService): Promise<number> =>
  (await service.call<{ requested: number }>('POST', '/pool/replenish')).body.requested
/** Twice: what the first one deletes, the second one finds gone. */
async function check(service: TestService): Promise<void> {
  for (let look = 0; look < 2; look += 1) await service.call('POST', '/pool/check')
}
const inStock = async (service: TestService): Promise<string[]> =>
  (await service.spares()).filter(({ status }) => status === 'available').map(({ id }) => id)
const oldestFirst = async (service: TestService): Promise<string[]> =>
  (await service.rows<{ id: string }>('select id from backup_volumes order by created_at, id')).map(({ id }) => id)
const shown = async (service: TestService): Promise<string[]> =>
  (await service.stats()).pools.map(({ os, type, target, condition }) => `${os} ${type} ${target} ${condition}`)
const metric = async (service: TestService, start: string): Promise<string[]> =>
  (await service.call<string>('GET', '/metrics')).body.split('\n').filter(line => line.startsWith(start))

describe('a target that was lowered', () => {
  it('frees its surplus after surplus_seconds, the oldest first, in Cinder too', async t => {
    const before = await aService(t, { config: { pools: THREE } })
    const [first, second, third] = await oldestFirst(before)
    const service = await restarted(t, before, ONE)
    await replenish(service)
    service.clock.pass(590)
    await replenish(service)
    assert.deepEqual(new Set(await inStock(service)), new Set([first, second, third]))
    service.clock.pass(20)
    assert.equal(await replenish(service), 0)
    await check(service)
    assert.deepEqual(await inStock(service), [third])
    assert.equal(service.volumes('pool').length, 1)
    assert.equal(await replenish(service), 0)
  })

  it('counts what was being made when it was lowered, once it is in stock', async t => {
    const before = await aService(t, { filled: false, createSeconds: 100, config: { pools: THREE } })
    assert.equal(await replenish(before), 3)
    const service = await restarted(t, before, ONE)
    await replenish(service)
    service.clock.pass(700)
    await check(service)
    await replenish(service)
    assert.equal((await inStock(service)).length, 3) // It has only just come to so much.
    service.clock.pass(610)
    await replenish(service)
    assert.equal((await inStock(service)).length, 1)
  })

  it('takes nothing from replicas that want the stock still, and they ask for nothing again and again', async t => {
    const old = await aService(t, { config: { pools: THREE } })
    const young = await restarted(t, old, ONE)
    for (let run = 0; run < 8; run += 1) {
      for (const replica of [young, old]) assert.equal(await replenish(replica), 0)
      old.clock.pass(300)
    }
    assert.equal((await inStock(old)).length, 3)
  })

  it('is told by the plan', async t => {
    const before = await aService(t, { config: { pools: THREE } })
    const service = await restarted(t, before, ONE)
    const { body } = await service.call<{ pools: { held: number; reason: string }[] }>('GET', '/pool/plan')
    assert.equal(body.pools[0]?.held, 3)
    assert.match(body.pools[0]?.reason ?? '', /^2 over the target.*surplus_seconds/)
  })
})

describe('a pool that was taken out of the configuration', () => {
  const BOTH: Pool[] = [...ONE, { ...SAS, target: 2 }]

  it('is shown with target 0 until its last spare is gone, everywhere, and then nowhere', async t => {
    const before = await aService(t, { config: { pools: BOTH } })
    const service = await restarted(t, before, ONE)
    assert.deepEqual(await shown(service), ['debian12 ssd 1 full', 'debian12 sas 0 full'])
    const planned = async () => (await service.call<{ pools: object[] }>('GET', '/pool/plan')).body.pools.length
    assert.equal(await planned(), 2)
    assert.deepEqual(await metric(service, 'spare_pool_target{os="debian12",type="sas"}'), [
      'spare_pool_target{os="debian12",type="sas"} 0'
    ])
    assert.equal((await metric(service, 'spare_pool_spares{os="debian12",type="sas"')).length, 5)
    for (const seconds of [0, 610]) {
      service.clock.pass(seconds)
      assert.equal(await replenish(service), 0)
    }
    const { spares } = (await service.stats()).pools[1] ?? {}
    assert.deepEqual([spares?.['available'], spares?.['retiring']], [0, 2])
    await check(service)
    assert.deepEqual(await shown(service), ['debian12 ssd 1 full'])
    assert.equal(await planned(), 1)
    for (const name of ['target', 'spares', 'stale_spares']) {
      assert.deepEqual(await metric(service, `spare_pool_${name}{os="debian12",type="sas"`), [])
    }
    assert.equal(service.volumes('pool').length, 1)
  })

  it('serves its stock meanwhile, and makes nothing', async t => {
    const before = await aService(t, { config: { pools: BOTH } })
    const service = await restarted(t, before, ONE)
    assert.equal((await service.claim(SAS)).body.source, 'pool')
    assert.equal(await replenish(service), 0)
    const [, left] = (await service.stats()).pools
    assert.deepEqual([left?.spares['available'], left?.claims.hits], [1, 1])
  })

  it('frees its stock though it was paused', async t => {
    const before = await aService(t, { config: { pools: BOTH } })
    await before.call('POST', '/pool/pause', SAS)
    const service = await restarted(t, before, ONE)
    for (const seconds of [0, 610]) {
      service.clock.pass(seconds)
      await replenish(service)
    }
    await check(service)
    assert.deepEqual(await shown(service), ['debian12 ssd 1 full'])
  })

  it('is as it was once it is named again', async t => {
    const before = await aService(t, { config: { pools: BOTH } })
    const without = await restarted(t, before, ONE)
    await replenish(without)
    without.clock.pass(590)
    const again = await restarted(t, before, BOTH)
    await replenish(again)
    again.clock.pass(30)
    await replenish(again)
    assert.deepEqual([(await inStock(again)).length, await shown(again)], [3, await shown(before)])
    await replenish(without)
    assert.equal((await inStock(again)).length, 3)
  })

  it('has no name where its rows are only there to be deleted', async t => {
    const service = await aService(t, { config: { pools: ONE } })
    await service.rows("update backup_volumes set os = '', type = '', snapshot_id = 'lost', status = 'retiring'")
    assert.deepEqual(await shown(service), ['debian12 ssd 1 empty'])
  })
})

describe('max_age_hours', () => {
  it('replaces spares that are older, one at a time, and never leaves a pool with less than all but one', async t => {
    const service = await aService(t, { config: { pools: [{ ...DEBIAN, target: 3, max_age_hours: 2 }] } })
    const old = await oldestFirst(service)
    service.clock.pass(7_100)
    assert.equal(await replenish(service), 0)
    service.clock.pass(200)
    for (const [place, id] of old.entries()) {
      assert.equal(await replenish(service), 1)
      assert.deepEqual(
        (await inStock(service)).filter(one => old.includes(one)).toSorted(),
        old.slice(place + 1).toSorted(),
        id
      )
      assert.equal(await replenish(service), 0) // Until its replacement is there.
      await check(service)
      assert.equal((await inStock(service)).length, 3)
    }
    assert.equal(await replenish(service), 0)
    assert.equal((await inStock(service)).length, 3)
  })

  it('takes one only, whichever replicas look at once', async t => {
    const one = await aService(t, { config: { pools: [{ ...DEBIAN, target: 3, max_age_hours: 1 }] } })
    const other = await aService(t, { filled: false, beside: one })
    one.clock.pass(4_000)
    const asked = await Promise.all([one, other, one, other].map(replenish))
    assert.ok(asked.some(count => count === 1))
    assert.equal((await one.rows("select from backup_volumes where status = 'retiring'")).length, 1)
  })
})

describe('a full pool', () => {
  it('costs one statement a run, whatever is configured of its age and its surplus', async t => {
    const pools = [{ ...DEBIAN, target: 3, max_age_hours: 2 }]
    const service = await aService(t, { config: { pools } })
    const statements = countStatements(service)
    await replenish(service)
    assert.equal(statements(), 2) // The other one records the tick.
  })

  it('costs one statement a run while its surplus waits', async t => {
    const before = await aService(t, { config: { pools: THREE } })
    const service = await restarted(t, before, ONE)
    await replenish(service)
    const statements = countStatements(service)
    await replenish(service)
    assert.equal(statements(), 2)
  })
})

describe('limits.surplus_seconds', () => {
  it('is ten minutes by default', () => {
    const openstack = { cloud: 'mycloud' }
    const { limits } = parseConfig({ openstack, database: { embedded: {} } }, {}, 'the test')
    assert.equal(limits.surplus_seconds, 600)
  })
})
