import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { cloudRequests } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService, type TestServiceOptions } from '../support/service.ts'

const NEWER = { name: 'debian12_ssd_20261201', type: 'ceph-ssd', sizeGib: 20 }
const OLDER = { name: 'debian12_ssd_20251101', type: 'ceph-ssd', sizeGib: 20 }
const TWO = [{ ...DEBIAN, target: 2 }]

const snapshotNamed = (service: TestService, name: string) => {
  const found = [...service.sandbox.cloud.snapshots.values()].find(one => one.name === name)
  assert.ok(found)
  return found
}
const deleteSnapshot = (service: TestService, name = 'debian12_ssd_20261101'): void => {
  service.sandbox.cloud.snapshots.delete(snapshotNamed(service, name).id)
}
const replenish = async (service: TestService): Promise<number> =>
  (await service.call<{ requested: number }>('POST', '/pool/replenish')).body.requested
const pool = async (service: TestService) => {
  const [first] = (await service.stats()).pools
  assert.ok(first)
  return first
}
const plan = async (service: TestService) =>
  (await service.call<{ pools: { held_back_by: string | null; reason: string }[] }>('GET', '/pool/plan')).body.pools[0]
const atTable = (options: TestServiceOptions = {}): TestServiceOptions => ({
  ...options,
  config: { pools: TWO, images: { source: 'os_table' }, ...options.config }
})

/** What the golden volume is known by has gone with its snapshot. */
const made = (service: TestService) => service.volumes().filter(({ name }) => !name?.startsWith('golden-'))

/** Its table read once, its stock used up. */
async function anEmptyPool(t: Parameters<typeof aService>[0], options: TestServiceOptions): Promise<TestService> {
  const service = await aService(t, { filled: false, ...options })
  await service.sync()
  return service
}

describe('an image whose snapshot was deleted in Cinder', () => {
  it('is told by condition, plan and last_error once a creation was refused, and no creation is tried again', async t => {
    const lines: string[] = []
    const service = await anEmptyPool(t, atTable({ onLog: line => void lines.push(line) }))
    deleteSnapshot(service)
    assert.equal(await replenish(service), 2)
    assert.equal(await replenish(service), 0)
    const { condition, last_error } = await pool(service)
    assert.equal(condition, 'image_gone')
    assert.match(last_error ?? '', /deleted in Cinder.*spare-pool sync/)
    assert.equal((await plan(service))?.held_back_by, 'image_gone')
    assert.match((await plan(service))?.reason ?? '', /spare-pool sync/)
    const before = (await cloudRequests(service)).get('volume_create')
    for (let run = 0; run < 3; run += 1) assert.equal(await replenish(service), 0)
    assert.equal((await cloudRequests(service)).get('volume_create'), before)
    assert.equal(lines.filter(line => line.includes('no image to make disks from')).length, 1)
    assert.deepEqual([await service.spares(), made(service)], [[], []])
  })

  it.for([
    ['in the pool’s project', 'pool-svc'],
    ['in its own project', 'admin']
  ] as const)('is told at once to a claim that misses, and nothing is made %s', async ([, user], t) => {
    const service = await anEmptyPool(t, atTable({ user }))
    deleteSnapshot(service)
    for (const hostname of ['a', 'b', 'a']) {
      const { status, body, headers } = await service.claim({ hostname })
      assert.deepEqual([status, body.code, headers['retry-after']], [409, 'image_gone', undefined])
      assert.match(body.detail, /spare-pool sync/)
    }
    assert.equal((await service.claim({ on_empty: 'fail', wait_seconds: 60 })).body.code, 'image_gone')
    assert.deepEqual([made(service), await service.claims(), await service.spares()], [[], [], []])
  })

  it('serves the stock that there is', async t => {
    const service = await aService(t, { config: { pools: TWO } })
    deleteSnapshot(service)
    await service.call('POST', '/pool/reconcile')
    assert.equal((await pool(service)).condition, 'image_gone')
    for (const hostname of ['a', 'b']) assert.equal((await service.claim({ hostname })).body.source, 'pool')
    assert.equal((await service.claim({ hostname: 'c' })).body.code, 'image_gone')
  })

  it.for(['deleting', 'error', 'error_deleting'])('is met the same in status %s', async (status, t) => {
    const service = await anEmptyPool(t, atTable())
    snapshotNamed(service, 'debian12_ssd_20261101').status = status
    assert.equal((await service.claim()).body.code, 'image_gone')
    await replenish(service)
    assert.equal((await pool(service)).condition, 'image_gone')
  })

  it('is gone only if a look at it says so, whatever a refusal says', async t => {
    const service = await anEmptyPool(t, atTable())
    service.sandbox.cloud.addFault({
      operation: 'volume_create',
      kind: 'status',
      status: 404,
      message: 'Snapshot x could not be found.'
    })
    assert.equal((await service.claim()).status, 502)
    await replenish(service)
    assert.equal((await pool(service)).condition, 'backing_off')
  })

  it('is found by reconcile, and forgotten by it where the snapshot is fit again', async t => {
    const service = await aService(t, atTable({ filled: false }))
    await service.sync()
    await service.fill()
    const snapshot = snapshotNamed(service, 'debian12_ssd_20261101')
    for (const [status, condition] of [
      ['error', 'image_gone'],
      ['available', 'full']
    ] as const) {
      snapshot.status = status
      await service.call('POST', '/pool/reconcile')
      assert.equal((await pool(service)).condition, condition)
      await replenish(service)
      assert.equal((await pool(service)).last_error === null, condition === 'full')
    }
  })

  it('is replaced by a sync', async t => {
    const service = await anEmptyPool(t, atTable())
    deleteSnapshot(service)
    await replenish(service)
    service.sandbox.cloud.addSnapshot(OLDER)
    await service.sync()
    await service.fill()
    const { condition, last_error, image } = await pool(service)
    assert.deepEqual([condition, last_error, image?.version], ['full', null, '20251101'])
  })

  it('is forgotten by a sync that finds the same snapshot fit again', async t => {
    const service = await anEmptyPool(t, atTable())
    const snapshot = snapshotNamed(service, 'debian12_ssd_20261101')
    snapshot.status = 'error'
    await replenish(service)
    snapshot.status = 'available'
    assert.equal(
      (await service.sync()).body.images.find(({ os, type }) => os === 'debian12' && type === 'ssd')?.change,
      'unchanged'
    )
    assert.equal(await replenish(service), 2)
  })

  it('is made from its replicas for as long as one is left', async t => {
    const images = {
      source: 'os_table',
      snapshot_name: '^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)(-(?<replica>[a-z]))?$'
    }
    const golden = [{ ...NEWER, name: 'debian12_ssd_20261101-a' }]
    const service = await anEmptyPool(t, atTable({ golden, config: { pools: TWO, images } }))
    const [first] = await service.rows<{ snapshot_id: string }>(
      "select snapshot_id from os where name = 'debian12' and type = 'ssd'"
    )
    service.sandbox.cloud.snapshots.delete(first?.snapshot_id ?? '')
    const { status } = await service.claim({ wait_seconds: 60 })
    assert.equal(status, 200)
    await service.fill()
    assert.equal((await pool(service)).condition, 'full')
  })
})

describe.for(['cinder', 'os_table_then_cinder'])('with images.source %s', source => {
  const config = { pools: TWO, images: { source } }

  it('the next snapshot in Cinder is taken by the replenish tick, and the stock of the one that is gone retired', async t => {
    const service = await aService(t, { config })
    service.sandbox.cloud.addSnapshot(OLDER)
    deleteSnapshot(service)
    await service.claim()
    await service.fill()
    const { condition, image, last_error } = await pool(service)
    assert.deepEqual([condition, image?.version, last_error], ['full', '20251101', null])
    assert.deepEqual(
      (await service.spares()).map(({ image_version }) => image_version),
      ['20251101', '20251101']
    )
  })

  it('the next snapshot in Cinder is taken by a claim that misses', async t => {
    const service = await anEmptyPool(t, { config })
    service.sandbox.cloud.addSnapshot(OLDER)
    deleteSnapshot(service)
    const { status, body } = await service.claim({ wait_seconds: 60 })
    assert.deepEqual([status, body.source, body.image_version], [200, 'created', '20251101'])
    assert.equal(made(service).length, 1)
  })

  it('the next snapshot in Cinder is taken by reconcile', async t => {
    const service = await aService(t, { config })
    service.sandbox.cloud.addSnapshot(OLDER)
    deleteSnapshot(service)
    await service.call('POST', '/pool/reconcile')
    assert.equal((await pool(service)).image?.version, '20251101')
  })

  it('the stock is kept and served, and the pool says image_gone, where there is no next one', async t => {
    const service = await aService(t, { config })
    deleteSnapshot(service)
    assert.equal((await service.claim({ hostname: 'a' })).body.source, 'pool')
    for (let run = 0; run < 2; run += 1) await replenish(service)
    assert.equal((await pool(service)).condition, 'image_gone')
    assert.equal((await service.claim({ hostname: 'b' })).body.source, 'pool')
    assert.equal((await service.claim({ hostname: 'c' })).body.code, 'image_gone')
    service.sandbox.cloud.addSnapshot(NEWER)
    await service.fill()
    assert.deepEqual([(await pool(service)).condition, (await pool(service)).image?.version], ['full', '20261201'])
  })
})
