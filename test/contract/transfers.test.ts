import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  anArmedVolume,
  aSnapshot,
  assertFault,
  aVolume,
  type Body,
  NOBODY,
  pool,
  shown,
  tenant,
  unique,
  usageOf,
  whileWorkRests
} from './support.ts'

const notFound = (id: string): string => `Transfer ${id} could not be found.`
const arm = (volumeId: string): Promise<Answer> =>
  pool.call('POST', '/volume-transfers', { transfer: { volume_id: volumeId } })

describe('a transfer', () => {
  it('tells its key once, when it is made', async t => {
    const { id: volumeId } = await aVolume(t, pool)
    const name = unique('handover')
    const { status, body } = await pool.call('POST', '/volume-transfers', {
      transfer: { volume_id: volumeId, name, no_snapshots: true }
    })
    const { transfer } = body
    assert.equal(status, 202)
    assert.deepEqual(Object.keys(transfer).toSorted(), [
      'accepted',
      'auth_key',
      'created_at',
      'destination_project_id',
      'id',
      'links',
      'name',
      'no_snapshots',
      'source_project_id',
      'volume_id'
    ])
    assert.match(transfer.auth_key, /^[0-9a-f]{16}$/)
    const { auth_key: _key, ...rest } = transfer
    for (const path of ['os-volume-transfer', 'volume-transfers']) {
      const later = (await pool.get(`/${path}/${transfer.id}`)).transfer
      assert.match(later.created_at, /\.000000$/)
      assert.deepEqual({ ...later, created_at: transfer.created_at }, rest)
    }
    assert.deepEqual(
      [
        rest.volume_id,
        rest.name,
        rest.no_snapshots,
        rest.accepted,
        rest.source_project_id,
        rest.destination_project_id
      ],
      [volumeId, name, true, false, pool.projectId, null]
    )
  })

  it('makes its volume wait, and counts for the pool still', async t => {
    const { id } = await aVolume(t, pool)
    const before = await usageOf(pool)
    await pool.arm(id)
    assert.equal((await shown(pool, id)).status, 'awaiting-transfer')
    assert.deepEqual(await usageOf(pool), before)
  })

  it('shows more with newer microversions', async t => {
    const transfer = await anArmedVolume(t, pool)
    const keys = async (minor: number): Promise<string[]> =>
      Object.keys((await pool.get(`/volume-transfers/${transfer.id}`, minor)).transfer).toSorted()
    const old = ['created_at', 'id', 'links', 'name', 'volume_id']
    assert.deepEqual(await keys(54), old)
    assert.deepEqual(await keys(55), [...old, 'no_snapshots'].toSorted())
    assert.deepEqual(
      await keys(57),
      [...old, 'no_snapshots', 'accepted', 'source_project_id', 'destination_project_id'].toSorted()
    )
  })

  it('takes no_snapshots since 3.55, and only under its new name', async t => {
    const { id } = await aVolume(t, pool)
    const wish = { transfer: { volume_id: id, no_snapshots: true } }
    const message = /Additional properties are not allowed \('no_snapshots' was unexpected\)$/
    assertFault(await pool.call('POST', '/volume-transfers', wish, 54), 400, 'badRequest', message)
    assertFault(await pool.call('POST', '/os-volume-transfer', wish), 400, 'badRequest', message)
    assert.equal((await pool.call('POST', '/volume-transfers', wish, 55)).body.transfer.no_snapshots, true)
  })

  it('can be made of an available volume only, and of one once', async t => {
    const { volume_id: id } = await anArmedVolume(t, pool)
    assertFault(await arm(id), 400, 'badRequest', 'Invalid volume: status must be available')
    assertFault(await arm(NOBODY), 404, 'itemNotFound', `Volume ${NOBODY} could not be found.`)
  })

  it('lets its volume be renamed, relabelled and made bootable', async t => {
    const { volume_id: id } = await anArmedVolume(t, pool)
    const change = { volume: { name: 'web', metadata: { a: 'b' } } }
    assert.equal((await pool.call('PUT', `/volumes/${id}`, change)).status, 200)
    assert.equal((await pool.call('POST', `/volumes/${id}/metadata`, { metadata: { c: 'd' } })).status, 200)
    assert.equal((await pool.action(id, 'os-set_bootable', { bootable: true })).status, 200)
    const { name, metadata, bootable, status } = await shown(pool, id)
    assert.deepEqual([name, metadata, bootable, status], ['web', { a: 'b', c: 'd' }, 'true', 'awaiting-transfer'])
  })

  it('keeps its volume from being extended, deleted and snapshotted', async t => {
    const { volume_id: id } = await anArmedVolume(t, pool)
    assertFault(
      await pool.action(id, 'os-extend', { new_size: 2 }),
      400,
      'badRequest',
      `Invalid volume: Volume ${id} status must be '{'status': 'available'}' to extend, currently awaiting-transfer.`
    )
    const removed = await pool.call('DELETE', `/volumes/${id}`)
    assertFault(
      removed,
      400,
      'badRequest',
      /^Invalid volume: Volume status must be available or error or .* awaiting a transfer,/
    )
    assertFault(
      await pool.call('POST', '/snapshots', { snapshot: { volume_id: id } }),
      400,
      'badRequest',
      `Invalid volume: Volume ${id} status must be available, but current status is: awaiting-transfer.`
    )
    assert.equal((await shown(pool, id)).status, 'awaiting-transfer')
  })

  it('is deleted by its maker, and the volume is available again', async t => {
    const transfer = await anArmedVolume(t, pool)
    const path = `/volume-transfers/${transfer.id}`
    assertFault(await tenant.call('DELETE', path), 404, 'itemNotFound', notFound(transfer.id))
    const { status, text } = await pool.call('DELETE', path)
    assert.deepEqual([status, text], [202, ''])
    assert.equal((await shown(pool, transfer.volume_id)).status, 'available')
    assertFault(await pool.call('DELETE', path), 404, 'itemNotFound', notFound(transfer.id))
    assertFault(await pool.call('GET', path), 404, 'itemNotFound', notFound(transfer.id))
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', notFound(transfer.id))
  })

  it('may be deleted by an administrator of another project', async t => {
    const { id } = await aVolume(t, tenant)
    const transfer = await tenant.arm(id)
    assert.equal((await admin.call('DELETE', `/volume-transfers/${transfer.id}`)).status, 202)
    assert.equal((await shown(tenant, id)).status, 'available')
  })

  it('is refused while a snapshot that would go along is not available', async t => {
    const { id } = await aVolume(t, pool)
    const snapshot = await aSnapshot(t, pool, id)
    const transfer = (stays: boolean) =>
      pool.call('POST', '/volume-transfers', { transfer: { volume_id: id, no_snapshots: stays } })
    await whileWorkRests(async () => {
      assert.equal((await pool.call('DELETE', `/snapshots/${snapshot.id}`)).status, 202)
      const message = `Invalid snapshot: snapshot: ${snapshot.id} status must be available`
      assertFault(await transfer(false), 400, 'badRequest', message)
      assert.equal((await transfer(true)).status, 202)
    })
  })
})

describe('the list of transfers', () => {
  const idsOf = async (query: string, minor?: number, path = 'volume-transfers/detail'): Promise<string[]> =>
    (await pool.get(`/${path}?${query}`, minor)).transfers.map(({ id }: Body) => id)

  it('finds one by its volume or its name', async t => {
    const [first, second] = [await anArmedVolume(t, pool), await anArmedVolume(t, pool)]
    for (const path of ['volume-transfers', 'volume-transfers/detail', 'os-volume-transfer/detail']) {
      assert.deepEqual(await idsOf(`volume_id=${first.volume_id}`, 60, path), [first.id])
      assert.deepEqual(await idsOf(`name=${second.name}`, 60, path), [second.id])
      assert.deepEqual(await idsOf(`volume_id=${NOBODY}`, 60, path), [])
    }
    const all = await idsOf('')
    assert.ok(all.includes(first.id) && all.includes(second.id))
  })

  it('has no keys in it', async t => {
    const transfer = await anArmedVolume(t, pool)
    const { transfers } = await pool.get(`/volume-transfers/detail?volume_id=${transfer.volume_id}`)
    assert.deepEqual(Object.keys(transfers[0]).toSorted(), [
      'accepted',
      'created_at',
      'destination_project_id',
      'id',
      'links',
      'name',
      'no_snapshots',
      'source_project_id',
      'volume_id'
    ])
  })

  it('is empty for a query it does not know, paging before 3.59 included', async t => {
    const transfer = await anArmedVolume(t, pool)
    const one = `volume_id=${transfer.volume_id}`
    assert.deepEqual(await idsOf(`${one}&limit=1`, 58), [])
    assert.deepEqual(await idsOf(`${one}&limit=1`, 59), [transfer.id])
    assert.deepEqual(await idsOf(`${one}&color=red`), [])
  })

  it('has pages since 3.59', async t => {
    const made = [await anArmedVolume(t, pool), await anArmedVolume(t, pool)]
    for (const sort of ['created_at:desc,id:desc', 'volume_id:asc,id:asc']) {
      const { transfers, transfers_links: links } = await pool.get(`/volume-transfers/detail?limit=1&sort=${sort}`)
      assert.equal(transfers.length, 1)
      assert.equal(links[0].rel, 'next')
      const rest = await idsOf(`sort=${sort}&marker=${transfers[0].id}`)
      const seen = [transfers[0].id, ...rest]
      for (const { id } of made) assert.equal(seen.filter(other => other === id).length, 1)
    }
  })

  it("does not have another project's, unless an administrator asks for all", async t => {
    const transfer = await anArmedVolume(t, pool)
    const path = `/volume-transfers/detail?volume_id=${transfer.volume_id}`
    assert.deepEqual((await tenant.get(path)).transfers, [])
    assert.deepEqual((await tenant.get(`${path}&all_tenants=1`)).transfers, [])
    const own = await aVolume(t, tenant)
    const theirs = await tenant.arm(own.id)
    const ids = async (query: string): Promise<string[]> =>
      (await admin.get(`/volume-transfers/detail?${query}`)).transfers.map(({ id }: Body) => id)
    assert.ok((await ids('all_tenants=1')).includes(theirs.id))
    assert.equal((await ids('')).includes(theirs.id), false)
  })
})
