import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { runScript } from '../../src/store/connection/database.ts'
import { cloudRequests, countStatements, setStatus, volumeIn } from '../support/cloud.ts'
import { quoting, RESTING_SECONDS } from '../support/cloud-setting.ts'
import { lockTables } from '../support/database-faults.ts'
import { aService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const replenish = async (service: TestService): Promise<number> =>
  (await service.call<{ requested: number }>('POST', '/pool/replenish')).body.requested
const check = async (service: TestService) =>
  (await service.call<{ checked: number; available: number; dropped: number }>('POST', '/pool/check')).body
const plan = async (service: TestService) =>
  (
    await service.call<{ pools: { held_back_by: string | null; create: number; reason: string }[] }>(
      'GET',
      '/pool/plan'
    )
  ).body.pools[0]
const pool = async (service: TestService) => {
  const [first] = (await service.stats()).pools
  assert.ok(first)
  return first
}

/** No volume is written down until what this gives is called. */
async function holdVolumes({ service, url }: TestService): Promise<() => Promise<void>> {
  await runScript(
    service.db,
    `create table gate ();
     create function wait() returns trigger language plpgsql as 'begin perform from gate; return null; end';
     create trigger wait before update of volume_id on backup_volumes execute function wait()`
  )
  return (await lockTables(url, 'gate')).unlock
}

describe('replenish', () => {
  it('asks for what is missing, from the current image, with the pool’s size and our metadata', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 3, size: 25 }]
    const service = await aService(t, { filled: false, config: { pools }, createSeconds: 60 })
    assert.equal(await replenish(service), 3)
    assert.equal(await replenish(service), 0)
    const spares = await service.spares()
    for (const volume of service.volumes('pool')) {
      const spare = spares.find(({ volume_id }) => volume_id === volume.id)
      assert.deepEqual(
        [volume.name, volume.sizeGib, volume.metadata],
        [`spare-${spare?.id}`, 25, { spare_pool: 'default', spare_id: spare?.id }]
      )
      assert.equal(spare?.status, 'creating')
    }
    assert.equal(service.volumes('pool').length, 3)
  })

  it('costs one statement while nothing is missing, and asks the cloud nothing', async t => {
    const service = await aService(t)
    const before = await cloudRequests(service)
    const statements = countStatements(service)
    await replenish(service)
    assert.equal(statements(), 2) // The other one records the tick.
    assert.deepEqual(await cloudRequests(service), before)
  })

  it('asks for no more at once than it can write down, however many are missing', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 100 }]
    const service = await aService(t, { filled: false, config: { pools }, createSeconds: 600 })
    const release = await holdVolumes(service)
    const filling = replenish(service)
    const { pool } = service.service.tickDb.client
    await until(() => pool.numUsed() + pool.numPendingAcquires() >= 32)
    assert.equal(service.volumes('pool').length, 32)
    await release()
    assert.equal(await filling, 100)
    assert.ok((await service.spares()).every(({ volume_id }) => volume_id))
  })

  it('costs one statement while a pool that nobody wants has no image', async t => {
    const service = await aService(t)
    await service.rows("insert into pools (os, type, last_error) values ('plan9', 'ssd', 'no image: gone')")
    const statements = countStatements(service)
    await replenish(service)
    assert.equal(statements(), 2)
  })

  it('keeps to creating_max over all pools, the emptiest first', async t => {
    const pools = [
      { os: 'debian12', type: 'ssd', target: 4 },
      { os: 'windows2022', type: 'ssd', target: 2 }
    ]
    const limits = { creating_max: 3, creating_max_per_snapshot: 9 }
    const service = await aService(t, { filled: false, config: { pools, limits }, createSeconds: 60 })
    assert.equal(await replenish(service), 3)
    const made = (await service.spares()).map(({ os }) => os).toSorted()
    assert.deepEqual(made, ['debian12', 'debian12', 'windows2022'])
    assert.deepEqual((await plan(service))?.held_back_by, 'creating_max')
  })

  it('keeps to creating_max_per_snapshot', async t => {
    const limits = { creating_max: 9, creating_max_per_snapshot: 2 }
    const service = await aService(t, { filled: false, config: { limits }, createSeconds: 60 })
    assert.equal(await replenish(service), 2)
    assert.equal((await plan(service))?.held_back_by, 'creating_max_per_snapshot')
  })

  it('keeps to the budget, which all that exists counts in', async t => {
    const limits = { creating_max: 9, creating_max_per_snapshot: 9, budget_gib: 50 }
    const service = await aService(t, { filled: false, config: { limits } })
    assert.equal(await replenish(service), 2)
    assert.equal((await plan(service))?.held_back_by, 'budget')
  })

  it('looks at the quota before it asks', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.quotas.set(`${service.project('pool')} gigabytes_ceph-ssd`, 60 + 20 + 20 + 40)
    const { body } = await service.call<{ requested: number; pools: { held_back_by: string }[] }>(
      'POST',
      '/pool/replenish'
    )
    assert.ok(body.requested < 5)
    assert.equal(body.pools[0]?.held_back_by, 'quota')
    assert.equal((await pool(service)).last_error, null)
  })

  it('never passes target or limits with two replicas at once', async t => {
    const limits = { creating_max: 3, creating_max_per_snapshot: 3 }
    const one = await aService(t, { filled: false, config: { limits }, createSeconds: 600, connections: 5 })
    const two = await aService(t, { filled: false, beside: one, connections: 5 })
    const asked = await Promise.all([one, two, one, two].map(replenish))
    assert.ok(asked.every(count => count <= 3))
    assert.equal(one.volumes('pool').length, 3)
  })

  it('makes volumes of identical snapshots in turn', async t => {
    const images = { snapshot_name: '^(?<os>.+)_(?<type>ssd|sas)_(?<version>[0-9]+)(-(?<replica>[a-z]))?$' }
    const golden = ['a', 'b'].map(replica => ({
      name: `debian12_ssd_20261101-${replica}`,
      type: 'ceph-ssd',
      sizeGib: 20
    }))
    const limits = { creating_max: 9, creating_max_per_snapshot: 2 }
    const pools = [{ os: 'debian12', type: 'ssd', target: 6 }]
    const service = await aService(t, { filled: false, golden, config: { images, limits, pools }, createSeconds: 60 })
    assert.equal(await replenish(service), 6)
    const snapshots = (await service.spares()).map(({ snapshot_id }) => snapshot_id)
    const counts = [...new Set(snapshots)].map(id => snapshots.filter(one => one === id).length)
    assert.deepEqual(counts, [2, 2, 2])
    await service.fill()
    assert.equal((await service.claim()).body.source, 'pool')
  })

  it('says no_image in stats, and looks for the image again', async t => {
    const pools = [{ os: 'alma9', type: 'ssd', target: 1 }]
    const service = await aService(t, { filled: false, config: { pools } })
    await replenish(service)
    const without = await pool(service)
    assert.deepEqual([without.condition, without.image], ['no_image', null])
    assert.match(without.last_error ?? '', /no image/)
    service.sandbox.cloud.addSnapshot({ name: 'alma9_ssd_1', type: 'ceph-ssd', sizeGib: 10 })
    await service.fill()
    const within = await pool(service)
    assert.deepEqual([within.condition, within.last_error], ['full', null])
  })

  it('takes no image from Cinder with images.source os_table', async t => {
    const service = await aService(t, { filled: false, config: { images: { source: 'os_table' } } })
    assert.equal(await replenish(service), 0)
    assert.equal((await pool(service)).condition, 'no_image')
    await service.sync()
    assert.equal(await replenish(service), 5)
  })

  it('follows Cinder with images.source cinder, and retires what is no longer current', async t => {
    const service = await aService(t, { config: { images: { source: 'cinder' } } })
    service.sandbox.cloud.addSnapshot({ name: 'debian12_ssd_20261201', type: 'ceph-ssd', sizeGib: 20 })
    await service.fill()
    const spares = await service.spares()
    assert.deepEqual(new Set(spares.map(({ image_version }) => image_version)), new Set(['20261201']))
    assert.equal(spares.length, 5)
  })

  it('backs off when creations fail, doubling, says why, and starts afresh on resume', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'over_quota' })
    assert.equal(await replenish(service), 5)
    const failed = await pool(service)
    assert.equal(failed.condition, 'backing_off')
    assert.match(failed.last_error ?? '', quoting(/quota/))
    assert.equal(await replenish(service), 0)
    assert.equal((await plan(service))?.held_back_by, 'backing_off')
    assert.deepEqual(await service.spares(), [])
    service.clock.pass(301)
    assert.equal(await replenish(service), 5)
    service.sandbox.cloud.faults.remove()
    await service.call('POST', '/pool/resume', {})
    await service.fill()
    assert.deepEqual([(await pool(service)).condition, (await pool(service)).last_error], ['full', null])
  })

  it('leaves a paused pool alone, and serves its stock', async t => {
    const service = await aService(t)
    await service.call('POST', '/pool/pause', { os: 'debian12' })
    assert.equal((await service.claim()).body.source, 'pool')
    assert.equal(await replenish(service), 0)
    assert.equal((await pool(service)).condition, 'paused')
    await service.call('POST', '/pool/resume')
    assert.equal(await replenish(service), 1)
  })
})

describe('check_state', () => {
  it.for([
    [30, 1],
    [2_000, 3] // The last page is full, so it names another one.
  ] as const)(
    'costs one statement and one request per page however many are creating: %i',
    async ([target, requests], t) => {
      const pools = [{ os: 'debian12', type: 'ssd', target }]
      const limits = { creating_max: target, creating_max_per_snapshot: target }
      const service = await aService(t, {
        filled: false,
        config: { pools, limits },
        createSeconds: 600,
        cloudSeconds: 60
      })
      assert.equal(await replenish(service), target)
      const before = await cloudRequests(service)
      const statements = countStatements(service)
      assert.deepEqual(await check(service), { checked: target, available: 0, dropped: 0, left: 0 })
      assert.equal(statements(), 2) // The volumes on their way, and the tick's own record.
      const after = await cloudRequests(service)
      assert.equal((after.get('volume_list') ?? 0) - (before.get('volume_list') ?? 0), requests)
      assert.equal(after.get('volume_show') ?? 0, before.get('volume_show') ?? 0)
    }
  )

  it('puts finished volumes into stock, armed, and notes how long they took', async t => {
    const service = await aService(t, { filled: false, createSeconds: 10 })
    await replenish(service)
    assert.equal((await check(service)).available, 0)
    service.clock.pass(70)
    assert.deepEqual(await check(service), { checked: 5, available: 5, dropped: 0, left: 0 })
    const spares = await service.spares()
    assert.ok(spares.every(({ status, armed }) => status === 'available' && armed))
    assert.ok(service.volumes('pool').every(({ status }) => status === 'awaiting-transfer'))
    const { lead_time_seconds } = await pool(service)
    assert.ok((lead_time_seconds?.['p50'] ?? 0) >= 70)
  })

  it('deletes a volume that failed, and asks for another', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
    await replenish(service)
    assert.deepEqual(await check(service), { checked: 5, available: 4, dropped: 1, left: 0 })
    assert.match((await pool(service)).last_error ?? '', /error/)
    service.clock.pass(RESTING_SECONDS)
    await check(service)
    assert.equal(service.volumes('pool').filter(({ status }) => status === 'error').length, 0)
    service.clock.pass(60)
    await service.fill()
    assert.equal((await pool(service)).condition, 'full')
  })

  it('gives up a volume that Cinder has been making for ten minutes, has another made, and deletes it when it can', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'stuck_creating', count: 1 })
    await replenish(service)
    service.clock.pass(590)
    assert.deepEqual(await check(service), { checked: 5, available: 4, dropped: 0, left: 0 })
    service.clock.pass(11)
    const statements = countStatements(service)
    // The other four took 590 s: three times as long is not over yet.
    assert.deepEqual(await check(service), { checked: 1, available: 0, dropped: 0, left: 0 })
    assert.equal(statements(), 3) // One more than without late volumes: it asks for the longest lead time.
    await service.rows('update lead_times set seconds = 200')
    assert.deepEqual(await check(service), { checked: 1, available: 0, dropped: 1, left: 0 })
    const [lost] = (await service.spares()).filter(({ status }) => status === 'retiring')
    assert.match(
      (await pool(service)).last_error ?? '',
      new RegExp(
        `^volume ${lost?.volume_id} has been in status creating since 20.*Z, and was given up\\..*an admin must`
      )
    )
    service.clock.pass(10)
    await service.fill()
    assert.equal((await pool(service)).condition, 'full')
    setStatus(service, lost?.volume_id ?? '', 'error')
    for (const _ of ['deleted', 'gone']) await check(service)
    assert.equal(service.volumes('pool').length, 5)
    assert.equal((await service.spares()).length, 5)
  })

  it('deletes a volume that was given up and is finished after all, and never puts it into stock', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 1 }]
    const service = await aService(t, { filled: false, config: { pools }, createSeconds: 1_000 })
    await replenish(service)
    service.clock.pass(601)
    assert.equal((await check(service)).dropped, 1)
    service.clock.pass(900)
    await check(service)
    await check(service)
    assert.deepEqual([service.volumes('pool'), await service.spares()], [[], []])
  })

  it('drops the row of a volume that vanished', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'vanish', count: 1 })
    await replenish(service)
    assert.equal((await check(service)).dropped, 1)
    assert.equal((await service.spares()).length, 4)
  })

  it('leaves a volume alone that somebody uses, and drops its row', async t => {
    const service = await aService(t, { filled: false })
    await replenish(service)
    const [volume] = service.volumes('pool')
    setStatus(service, volume?.id ?? '', 'in-use')
    assert.equal((await check(service)).dropped, 1)
    for (let pass = 0; pass < 3; pass += 1) {
      await check(service)
      await service.call('POST', '/pool/reconcile')
    }
    assert.equal(volumeIn(service, volume?.id ?? '').status, 'in-use')
  })

  it('finds a volume whose creation had no answer by its metadata', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 1 })
    await replenish(service)
    assert.equal((await service.spares()).filter(({ status }) => status === 'requested').length, 1)
    service.clock.pass(60)
    await service.fill()
    assert.equal(service.volumes('pool').length, 5)
    assert.equal((await service.spares()).length, 5)
  })

  it('drops a creation that Cinder never carried out, but not before it could have', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_before', count: 1 })
    await replenish(service)
    await check(service)
    assert.equal((await service.spares()).length, 5)
    service.clock.pass(200)
    assert.equal((await check(service)).dropped, 1)
    await service.fill()
    assert.equal(service.volumes('pool').length, 5)
  })

  it('leaves to the next check what it had no time to begin to arm', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 6 }]
    const service = await aService(t, { filled: false, config: { pools } })
    await replenish(service)
    const patient = service.clock.timeout.bind(service.clock)
    service.clock.timeout = ms => patient(ms / 5)
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'hang', count: 4 }) // As many as are armed at once.
    assert.equal((await check(service)).available, 0)
    service.clock.timeout = patient
    assert.equal((await check(service)).available, 2)
    service.clock.pass(70)
    assert.equal((await check(service)).available, 4)
  })

  it('arms anew a volume whose transfer’s key was lost', async t => {
    const service = await aService(t, { filled: false })
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'reset_after', count: 1 })
    await replenish(service)
    assert.equal((await check(service)).available, 4)
    assert.equal((await check(service)).available, 1)
    const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(hostname => service.claim({ hostname })))
    assert.ok(answers.every(({ body }) => body.source === 'pool'))
  })
})

describe('what hangs in Cinder', () => {
  /** As many volumes have been asked for, or are in stock, of the one pool. */
  const asked = async (service: TestService, status: string): Promise<number> =>
    (await service.spares()).filter(spare => spare.status === status).length

  it('keeps nothing else from being made', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 2 }]
    const service = await aService(t, { filled: false, config: { pools }, cloudSeconds: 2 })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'hang', count: 1 })
    const hanging = replenish(service)
    await until(async () => (await asked(service, 'creating')) === 1)
    await check(service)
    await service.claim()
    assert.equal(await replenish(service), 1)
    assert.equal((await check(service)).available, 1)
    service.sandbox.cloud.faults.remove()
    service.clock.pass(70)
    assert.equal(await hanging, 2)
  })

  it('while a volume is armed, keeps none from being seen as finished, nor the next from being made', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 2 }]
    const limits = { creating_max: 1, creating_max_per_snapshot: 1 }
    const service = await aService(t, { filled: false, config: { pools, limits }, cloudSeconds: 2 })
    await replenish(service)
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'hang', count: 1 })
    const hanging = check(service)
    await until(
      async () => (await service.rows('select from backup_volumes where available_at is not null')).length === 1
    )
    assert.equal(await replenish(service), 1)
    assert.equal((await check(service)).available, 1)
    assert.equal(await asked(service, 'available'), 1)
    service.clock.pass(70)
    assert.equal((await hanging).available, 0)
  })
})

describe('retiring a spare', () => {
  it('deletes its volume once it is disarmed, and the row when Cinder no longer has it', async t => {
    const service = await aService(t)
    const [spare] = await service.spares()
    const { status, body } = await service.call('DELETE', `/pool/volumes/${spare?.volume_id}`)
    assert.deepEqual([status, body], [202, { volume_id: spare?.volume_id, status: 'retiring' }])
    await check(service)
    await check(service)
    assert.equal(service.sandbox.cloud.volumes.get(spare?.volume_id ?? ''), undefined)
    assert.equal((await service.spares()).length, 4)
  })

  it('deletes nothing that no longer carries our metadata, or is attached', async t => {
    const service = await aService(t)
    const [one, two] = await service.spares()
    for (const spare of [one, two]) await service.call('DELETE', `/pool/volumes/${spare?.volume_id}`)
    const cloud = service.sandbox.cloud.volumes
    cloud.change(volumeIn(service, one?.volume_id ?? ''), { metadata: {} })
    const attachment = { id: 'a', serverId: 's', hostName: null, device: '/dev/vda', attachedAt: 0 }
    cloud.change(volumeIn(service, two?.volume_id ?? ''), { attachments: [attachment], status: 'in-use' })
    for (let pass = 0; pass < 3; pass += 1) await check(service)
    assert.ok(cloud.get(one?.volume_id ?? '') && cloud.get(two?.volume_id ?? ''))
  })

  it('tries again where a delete did not go through', async t => {
    const service = await aService(t)
    const [spare] = await service.spares()
    service.sandbox.cloud.addFault({ operation: 'volume_delete', kind: 'busy_delete', count: 1 })
    await service.call('DELETE', `/pool/volumes/${spare?.volume_id}`)
    for (let pass = 0; pass < 3; pass += 1) await check(service)
    assert.equal(service.sandbox.cloud.volumes.get(spare?.volume_id ?? ''), undefined)
  })
})
