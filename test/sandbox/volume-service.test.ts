import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import type { Release } from '../../sandbox/releases.ts'
import { type Answer, aCloud, assertFault, type Cloud, send } from './support.ts'

const statusOf = async ({ pool }: Cloud, id: string): Promise<string> =>
  (await pool.get(`/volumes/${id}`)).volume.status

/** An armed volume, and then a copy that takes so long. */
async function flattening(t: TestContext, release: Release, ms: number) {
  const cloud = await aCloud(t, { release })
  const { sandbox, pool, snapshotId } = cloud
  const transfer = await pool.arm((await pool.create()).id)
  const { id: other } = await pool.create()
  sandbox.cloud.delays = { ...sandbox.cloud.delays, creating: ms }
  const { id } = await pool.create({ size: 20, snapshot_id: snapshotId })
  return { ...cloud, transfer, other, id }
}

describe('a flatten up to Newton', () => {
  it('makes an accept wait until it is done', async t => {
    const { clock, tenant, transfer } = await flattening(t, 'newton', 40_000)
    let answer: Answer | undefined
    const accepting = tenant.accept(transfer).then(given => (answer = given))
    await clock.asleep(2)
    await clock.advance(39_999)
    assert.equal(answer, undefined)
    await clock.advance(1)
    assert.equal((await accepting).status, 202)
  })

  it('lets an accept fail with 500 after a minute, and the same key is good afterwards', async t => {
    const { clock, pool, tenant, transfer } = await flattening(t, 'mitaka', 90_000)
    const accepting = tenant.accept(transfer)
    await clock.asleep(2)
    await clock.advance(60_000)
    assertFault(await accepting, 500, 'computeFault', /^The server has either erred/)
    assert.equal((await pool.get(`/volumes/${transfer.volume_id}`)).volume.status, 'awaiting-transfer')
    await clock.advance(30_000)
    assert.equal((await tenant.accept(transfer)).status, 202)
  })

  it('makes deletions, extensions and other copies wait, and lets what waits in between two', async t => {
    const cloud = await flattening(t, 'newton', 1000)
    const { sandbox, clock, pool, other, id } = cloud
    const second = sandbox.cloud.addSnapshot({ name: 'alpine3_ssd_1', sizeGib: 1 })
    const third = sandbox.cloud.addSnapshot({ name: 'alpine3_ssd_2', sizeGib: 1 })
    const { id: next } = await pool.create({ snapshot_id: second.id })
    const { id: last } = await pool.create({ snapshot_id: third.id })
    const { id: empty } = await pool.create()
    await pool.call('DELETE', `/volumes/${other}`)
    await clock.advance(999)
    assert.equal(await statusOf(cloud, other), 'deleting')
    assert.equal(await statusOf(cloud, empty), 'creating')
    await clock.advance(1)
    assert.deepEqual([await statusOf(cloud, id), await statusOf(cloud, next)], ['available', 'creating'])
    assert.equal(await statusOf(cloud, empty), 'available')
    assert.equal((await pool.call('GET', `/volumes/${other}`)).status, 404)
    await clock.advance(1000)
    assert.deepEqual([await statusOf(cloud, next), await statusOf(cloud, last)], ['available', 'creating'])
    await clock.advance(1000)
    assert.equal(await statusOf(cloud, last), 'available')
  })

  it('no longer stops anything from Ocata on', async t => {
    const { sandbox, clock, pool, tenant, transfer, other } = await flattening(t, 'ocata', 90_000)
    const second = sandbox.cloud.addSnapshot({ name: 'alpine3_ssd_1', sizeGib: 1 })
    assert.equal((await tenant.accept(transfer)).status, 202)
    await pool.call('DELETE', `/volumes/${other}`)
    assert.equal((await pool.call('GET', `/volumes/${other}`)).status, 404)
    const { id } = await pool.create({ snapshot_id: second.id })
    await clock.advance(90_000)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'available')
  })
})

describe('while cinder-volume is down', () => {
  const down = async (t: TestContext, release: Release) => {
    const cloud = await aCloud(t, { release })
    const transfer = await cloud.pool.arm((await cloud.pool.create()).id)
    assert.equal((await send('POST', `${cloud.sandbox.url}/sandbox/stop-volume-service`)).status, 204)
    assert.equal((await send('GET', `${cloud.sandbox.url}/sandbox/state`)).body.volume_service, 'down')
    const { id } = await cloud.pool.create({ size: 20, snapshot_id: cloud.snapshotId })
    return { ...cloud, transfer, id }
  }

  it('copies stay creating up to Pike, and are made once it is back', async t => {
    const cloud = await down(t, 'pike')
    await cloud.clock.advance(1_000_000)
    assert.equal(await statusOf(cloud, cloud.id), 'creating')
    await send('POST', `${cloud.sandbox.url}/sandbox/start-volume-service`)
    assert.equal(await statusOf(cloud, cloud.id), 'available')
  })

  it('copies end in error since Queens, and what comes of nothing always did', async t => {
    const queens = await down(t, 'queens')
    assert.equal(await statusOf(queens, queens.id), 'error')
    const pike = await down(t, 'pike')
    assert.equal(await statusOf(pike, (await pike.pool.create()).id), 'error')
  })

  it('an accept is 500 after a minute on every release', async t => {
    for (const release of ['mitaka', 'latest'] as const) {
      const { clock, tenant, transfer } = await down(t, release)
      const accepting = tenant.accept(transfer)
      await clock.asleep(1)
      await clock.advance(60_000)
      assert.equal((await accepting).status, 500)
    }
  })

  it('an accept is done where it comes back within that minute', async t => {
    const { sandbox, clock, tenant, transfer } = await down(t, 'latest')
    const accepting = tenant.accept(transfer)
    await clock.asleep(1)
    sandbox.cloud.volumeService.start()
    await clock.advance(60_000)
    assert.equal((await accepting).status, 202)
  })

  it('deletions and extensions wait', async t => {
    const cloud = await aCloud(t)
    const [{ id: shrunk }, { id: grown }] = [await cloud.pool.create(), await cloud.pool.create()]
    cloud.sandbox.cloud.volumeService.stop()
    await cloud.pool.call('DELETE', `/volumes/${shrunk}`)
    await cloud.pool.action(grown, 'os-extend', { new_size: 2 })
    assert.deepEqual([await statusOf(cloud, shrunk), await statusOf(cloud, grown)], ['deleting', 'extending'])
    cloud.sandbox.cloud.volumeService.start()
    assert.equal(await statusOf(cloud, grown), 'available')
    assert.equal((await cloud.pool.call('GET', `/volumes/${shrunk}`)).status, 404)
  })
})

describe('a restart of cinder-volume', () => {
  /** Two copies of one snapshot: the first is under way, the other waits for it. */
  async function restarted(t: TestContext, release: Release) {
    const cloud = await aCloud(t, { release })
    const { sandbox, clock, pool, snapshotId } = cloud
    sandbox.cloud.delays = { ...sandbox.cloud.delays, creating: 1000 }
    const ids = [
      await pool.create({ size: 20, snapshot_id: snapshotId }),
      await pool.create({ size: 20, snapshot_id: snapshotId })
    ]
    await clock.advance(500)
    await send('POST', `${sandbox.url}/sandbox/restart-volume-service`)
    const statuses = async () => await Promise.all(ids.map(({ id }) => statusOf(cloud, id)))
    const before = await statuses()
    await clock.advance(60_000)
    return { before, after: await statuses() }
  }

  it('puts all that are creating into error up to Newton, which become available later', async t => {
    const { before, after } = await restarted(t, 'newton')
    assert.deepEqual(
      [before, after],
      [
        ['error', 'error'],
        ['available', 'available']
      ]
    )
  })

  it('puts into error for good what is under way from Ocata on, and no other', async t => {
    const { before, after } = await restarted(t, 'ocata')
    assert.deepEqual(
      [before, after],
      [
        ['error', 'creating'],
        ['error', 'available']
      ]
    )
  })
})
