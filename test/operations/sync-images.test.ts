import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aService, type TestService } from '../support/service.ts'

const NEWER = { name: 'debian12_ssd_20261201', type: 'ceph-ssd', sizeGib: 21 }
const versions = async (service: TestService) =>
  (await service.spares()).map(({ image_version, status }) => `${image_version} ${status}`).toSorted()
const empty = async (service: TestService): Promise<void> => {
  for (let pass = 0; pass < 2; pass += 1) await service.call('POST', '/pool/check')
}

describe('a sync', () => {
  it('rebuilds table os by the naming rule, with the volume type of the source volume', async t => {
    const service = await aService(t, { filled: false })
    const { status, body } = await service.sync({})
    assert.equal(status, 200)
    assert.deepEqual(
      body.images.map(({ os, type, version, volume_type, size, change }) => [
        os,
        type,
        version,
        volume_type,
        size,
        change
      ]),
      [
        ['debian12', 'sas', '20261101', 'ceph-sas', 20, 'added'],
        ['debian12', 'ssd', '20261101', 'ceph-ssd', 20, 'added'],
        ['windows2022', 'ssd', '20261101', 'ceph-ssd', 40, 'added']
      ]
    )
    assert.equal((await service.rows('select * from os')).length, 3)
    const again = await service.sync()
    assert.deepEqual(new Set(again.body.images.map(({ change }) => change)), new Set(['unchanged']))
  })

  it('says what changed, what went, and why near misses were ignored', async t => {
    const service = await aService(t)
    const { cloud } = service.sandbox
    cloud.addSnapshot(NEWER)
    cloud.addSnapshot({ name: 'debian12-ssd-20261201', type: 'ceph-ssd', sizeGib: 20 })
    for (const snapshot of cloud.snapshots.values()) {
      if (snapshot.name === 'windows2022_ssd_20261101') cloud.snapshots.delete(snapshot.id)
    }
    const { body } = await service.sync()
    assert.deepEqual(
      body.images.map(({ os, type, version, change }) => `${os} ${type} ${version} ${change}`).toSorted(),
      ['debian12 sas 20261101 unchanged', 'debian12 ssd 20261201 changed', 'windows2022 ssd 20261101 removed']
    )
    const reasons = body.ignored
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, reason }) => [name, reason])
    assert.deepEqual(reasons, [
      ['debian12-ssd-20261201', 'name matches images.snapshot_name only with "_" in place of "-"'],
      ['debian12_ssd_20261101', 'debian12_ssd_20261201 has a higher version']
    ])
  })

  it('with purge all retires all unclaimed spares, which are then deleted in Cinder', async t => {
    const service = await aService(t)
    const { body } = await service.sync({ purge: 'all' })
    assert.equal(body.retired, 5)
    await empty(service)
    assert.deepEqual([(await service.spares()).length, service.volumes('pool').length], [0, 0])
    await service.fill()
    assert.equal((await service.stats()).pools[0]?.condition, 'full')
  })

  it('with purge stale retires only those of a snapshot no longer current', async t => {
    const service = await aService(t)
    assert.equal((await service.sync({ purge: 'stale' })).body.retired, 0)
    service.sandbox.cloud.addSnapshot(NEWER)
    assert.equal((await service.sync({ purge: 'stale' })).body.retired, 5)
    const { body } = await service.claim({ on_empty: 'fail' })
    assert.equal(body.code, 'pool_empty')
  })

  it('with purge none keeps the old stock, serves it first, and shows it as stale', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addSnapshot(NEWER)
    assert.equal((await service.sync({ purge: 'none' })).body.retired, 0)
    await service.call('POST', '/pool/reconcile')
    assert.deepEqual(
      await versions(service),
      Array.from({ length: 5 }, () => '20261101 available')
    )
    const [pool] = (await service.stats()).pools
    assert.deepEqual([pool?.stale_spares, pool?.condition], [5, 'full'])
    assert.equal((await service.claim()).body.image_version, '20261101')
    await service.fill()
    assert.deepEqual((await versions(service)).slice(-1), ['20261201 available'])
    assert.equal((await service.claim({ hostname: 'web-02' })).body.image_version, '20261101')
  })

  it('retires what is on its way, and what a claim has stays its own', async t => {
    const service = await aService(t, { filled: false, createSeconds: 60 })
    await service.call('POST', '/pool/replenish')
    const claimed = await service.claim()
    assert.equal((await service.sync({ purge: 'all' })).body.retired, 5)
    service.clock.pass(600)
    await empty(service)
    await empty(service)
    assert.deepEqual(
      service.volumes().map(({ id }) => id),
      [claimed.body.volume_id]
    )
  })

  it('changes nothing when it is a dry run, and says what it would do', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addSnapshot(NEWER)
    const { body } = await service.sync({ dry_run: true, purge: 'stale' })
    assert.deepEqual([body.dry_run, body.retired], [true, 5])
    assert.deepEqual(
      await versions(service),
      Array.from({ length: 5 }, () => '20261101 available')
    )
    const { body: images } = await service.call<{ images: { version: string }[] }>('GET', '/os')
    assert.ok(images.images.every(({ version }) => version === '20261101'))
  })

  it('changes nothing when no snapshot matches, unless allow_empty is set', async t => {
    const service = await aService(t)
    service.sandbox.cloud.snapshots.clear()
    const refused = await service.sync()
    assert.deepEqual([refused.status, refused.body.code], [422, 'no_images_found'])
    assert.equal((await service.spares()).length, 5)
    const { body } = await service.sync({ allow_empty: true })
    assert.deepEqual([body.images.every(({ change }) => change === 'removed'), body.retired], [true, 5])
    assert.equal((await service.rows('select * from os')).length, 0)
  })

  it('changes nothing when Cinder cannot be read', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'snapshot_list', kind: 'status', status: 500 })
    const { status, body } = await service.sync()
    assert.deepEqual([status, body.code], [502, 'cloud_error'])
    assert.equal((await service.spares()).filter(({ status }) => status === 'available').length, 5)
  })

  it('runs one at a time', async t => {
    const service = await aService(t, { connections: 4 })
    const answers = await Promise.all([service.sync(), service.sync(), service.sync()])
    const codes = answers.map(({ status }) => status).toSorted((a, b) => a - b)
    assert.deepEqual([codes[0], codes.at(-1)], [200, 409])
    assert.equal(answers.find(({ status }) => status === 409)?.body.code, 'sync_in_progress')
    assert.equal((await service.sync()).status, 200)
  })

  it('uses images.purge_on_sync if the request names no purge', async t => {
    const service = await aService(t, { config: { images: { purge_on_sync: 'none' } } })
    assert.equal((await service.sync()).body.retired, 0)
  })
})
