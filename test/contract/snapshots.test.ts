import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import {
  aSnapshot,
  asked,
  assertFault,
  aVolume,
  type Body,
  becomes,
  CALL,
  clientOf,
  eventually,
  golden,
  newVolume,
  pool,
  shown,
  slowly,
  spoil,
  tenant,
  traits,
  unique,
  vanishes,
  whileWorkRests
} from './support.ts'

/** Makes a volume of each snapshot, all at once; gives the seconds after which they were available, in that order. */
async function createTimes(t: TestContext, snapshots: readonly Body[]): Promise<number[]> {
  const startedAt = performance.now()
  const tag = unique('copy')
  await Promise.all(
    snapshots.map(({ id, size }) =>
      newVolume(t, pool, { size, snapshot_id: id, name: tag, metadata: { spare_id: tag } })
    )
  )
  const times: number[] = []
  await eventually('all copies are available', async () => {
    const done = await pool.names(`name=${tag}&status=available`)
    while (times.length < done.length) times.push((performance.now() - startedAt) / 1000)
    return times.length === snapshots.length
  })
  return times
}

describe('volumes made at the same time', () => {
  it('from one snapshot are made one after the other', async t => {
    const snapshot = await golden()
    await slowly(t)
    const times = await createTimes(t, [snapshot, snapshot, snapshot])
    const [first = 0, second = 0, third = 0] = times
    assert.ok(third / first >= 1.8, times.join(', '))
    assert.ok(second - first >= first / 2 && third - second >= first / 2, times.join(', '))
  })

  it('from several snapshots of one disk are made side by side, where a copy does not stop all else', async t => {
    const snapshot = await golden()
    const others = [await aSnapshot(t, pool, snapshot.volume_id), await aSnapshot(t, pool, snapshot.volume_id)]
    await slowly(t)
    const times = await createTimes(t, [snapshot, ...others])
    const areSideBySide = (times.at(-1) ?? 0) / (times[0] ?? 0) < 1.8
    assert.equal(areSideBySide, !traits.flattenBlocks, times.join(', '))
  })
})

describe('a volume whose snapshot cannot be copied', () => {
  it('ends in error, with a reason, and can be deleted', async t => {
    const { id: volumeId } = await aVolume(t, pool)
    const snapshot = await aSnapshot(t, pool, volumeId)
    await spoil(snapshot)
    const { id } = await newVolume(t, pool, { snapshot_id: snapshot.id })
    await becomes(pool, id, 'error')
    const { volumes } = await clientOf(t, 'pool-svc').poolProject(CALL)
    const reason = await volumes.faultOf(id, CALL)
    assert.equal((await pool.call('GET', '/messages', undefined, Math.min(asked, 2))).status, 404)
    if (asked < 5) assert.equal(reason, undefined)
    else {
      const { messages } = await pool.get(`/messages?resource_uuid=${id}`)
      const [
        { message_level: level, resource_type: type, resource_uuid: resource, event_id: event, user_message: text }
      ] = messages
      assert.deepEqual([level, type, resource, reason], ['ERROR', 'VOLUME', id, text])
      if (traits.tellsReasons) {
        assert.equal(event, 'VOLUME_VOLUME_001_003')
        assert.equal(reason, 'schedule allocate volume:Could not find any available weighted backend.')
      }
    }
    await volumes.delete(id, CALL)
    await vanishes(`/volumes/${id}`)
    assert.equal(await volumes.find(id, CALL), undefined)
  })
})

describe('a snapshot', () => {
  it('is shown without a volume type, which is that of its volume', async () => {
    const { id } = await golden()
    const { snapshot } = await pool.get(`/snapshots/${id}`, 0)
    assert.deepEqual(Object.keys(snapshot).toSorted(), [
      'created_at',
      'description',
      'id',
      'metadata',
      'name',
      'os-extended-snapshot-attributes:progress',
      'os-extended-snapshot-attributes:project_id',
      'size',
      'status',
      'updated_at',
      'volume_id'
    ])
    assert.deepEqual([snapshot.status, snapshot['os-extended-snapshot-attributes:progress']], ['available', '100%'])
    const volume = await shown(pool, snapshot.volume_id)
    assert.deepEqual([volume.volume_type, volume.size, volume.status], ['ceph-ssd', snapshot.size, 'available'])
  })

  it('is found by its name, its status and its volume', async t => {
    const { id: volumeId } = await aVolume(t, pool)
    const { id, name } = await aSnapshot(t, pool, volumeId)
    const found = async (query: string): Promise<string[]> =>
      (await pool.get(`/snapshots/detail?${query}`)).snapshots.map((snapshot: Body) => snapshot.id)
    assert.deepEqual(await found(`name=${name}&status=available`), [id])
    assert.deepEqual(await found(`volume_id=${volumeId}`), [id])
    assert.deepEqual(await found(`name=${name}&status=error`), [])
    assert.deepEqual(await found(`name=${name}&volume_id=${(await golden()).volume_id}`), [])
    const unknown = await pool.call('GET', '/snapshots/detail?color=red')
    if (asked > 30) assertFault(unknown, 400, 'badRequest', 'Invalid filters color are found in query options.')
    else assert.equal(unknown.status, 200)
  })

  it('of another project is not there', async () => {
    const { id } = await golden()
    assertFault(await tenant.call('GET', `/snapshots/${id}`), 404, 'itemNotFound', `Snapshot ${id} could not be found.`)
    assert.deepEqual(
      (await tenant.get('/snapshots/detail')).snapshots.filter((one: Body) => one.id === id),
      []
    )
  })

  it('is listed page by page', async t => {
    const { id: volumeId } = await aVolume(t, pool)
    const made = [await aSnapshot(t, pool, volumeId), await aSnapshot(t, pool, volumeId)]
    const page = (query: string) => pool.get(`/snapshots/detail?volume_id=${volumeId}&sort=id:asc&limit=1${query}`)
    const first = await page('')
    const second = await page(`&marker=${first.snapshots[0].id}`)
    const third = await page(`&marker=${second.snapshots[0].id}`)
    assert.deepEqual(
      [first, second].map(({ snapshots }) => snapshots[0].id),
      made.map(({ id }): string => id).toSorted()
    )
    assert.deepEqual(third.snapshots, [])
    assert.deepEqual(
      [first, second, third].map(body => 'snapshots_links' in body),
      [true, true, false]
    )
  })

  it('is creating, available, deleting, and then no more; only while available can it be copied', async t => {
    const { id: volumeId, size } = await aVolume(t, pool)
    const statusOf = async (id: string): Promise<string> => (await pool.get(`/snapshots/${id}`)).snapshot.status
    const copy = (id: string) => pool.call('POST', '/volumes', { volume: { snapshot_id: id, size } })
    const message = "Invalid snapshot: Originating snapshot status must be one of 'available' values"
    const id: string = await whileWorkRests(async () => {
      const made = await pool.call('POST', '/snapshots', { snapshot: { volume_id: volumeId, name: unique('s') } })
      const { snapshot } = made.body
      assert.deepEqual([made.status, snapshot.status, snapshot.size], [202, 'creating', size])
      assertFault(await copy(snapshot.id), 400, 'badRequest', message)
      assert.equal((await shown(pool, volumeId)).status, 'available')
      return snapshot.id
    })
    await eventually('it is available', async () => (await statusOf(id)) === 'available')
    await whileWorkRests(async () => {
      assert.equal((await pool.call('DELETE', `/snapshots/${id}`)).status, 202)
      assert.equal(await statusOf(id), 'deleting')
      assertFault(await copy(id), 400, 'badRequest', message)
    })
    await vanishes(`/snapshots/${id}`)
    assertFault(await copy(id), 404, 'itemNotFound', `Snapshot ${id} could not be found.`)
  })

  it('that is deleted while copies of it wait goes, and each of them ends well or in error', async t => {
    const { id: volumeId, size } = await aVolume(t, pool)
    const { id } = await aSnapshot(t, pool, volumeId)
    const copies: Body[] = await whileWorkRests(async () => {
      const wish = { snapshot_id: id, size }
      const made = [await newVolume(t, pool, wish), await newVolume(t, pool, wish)]
      assert.equal((await pool.call('DELETE', `/snapshots/${id}`)).status, 202)
      return made
    })
    await vanishes(`/snapshots/${id}`)
    for (const copy of copies) {
      const status = await eventually('it is made or not', async () => {
        const { status } = await shown(pool, copy.id)
        return status !== 'creating' && status
      })
      assert.ok(['available', 'error'].includes(status), status)
    }
  })
})

describe("the service's client", () => {
  it('lists all snapshots of the pool, the oldest first', async t => {
    const disk = await golden()
    const { id: volumeId } = await aVolume(t, pool)
    const made = await aSnapshot(t, pool, volumeId)
    const snapshots = await (await clientOf(t, 'pool-svc').poolProject(CALL)).snapshots.list(CALL)
    const [first, last] = [disk.id, made.id].map(id => snapshots.findIndex(snapshot => snapshot.id === id))
    assert.ok(first !== undefined && last !== undefined && first >= 0 && first < last)
    assert.deepEqual(snapshots[last], {
      id: made.id,
      name: made.name,
      status: 'available',
      sizeGib: 1,
      volumeId,
      createdAt: new Date(`${made.created_at}Z`)
    })
  })
})
