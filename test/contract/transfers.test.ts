import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  anArmedVolume,
  aSnapshot,
  asked,
  assertFault,
  aVolume,
  type Body,
  NOBODY,
  pool,
  shown,
  TRANSFERS,
  tenant,
  traits,
  unique,
  usageOf,
  whileWorkRests
} from './support.ts'

const notFound = (id: string): string => `Transfer ${id} could not be found.`
const arm = (volumeId: string): Promise<Answer> => pool.call('POST', TRANSFERS, { transfer: { volume_id: volumeId } })

const PATHS = traits.hasNewTransferPath ? ['/os-volume-transfer', '/volume-transfers'] : ['/os-volume-transfer']
const mayLeaveSnapshots = asked >= 55

/** What a transfer shows at a microversion. */
const keysAt = (minor: number): string[] =>
  [
    'created_at',
    'id',
    'links',
    'name',
    'volume_id',
    ...(minor >= 55 ? ['no_snapshots'] : []),
    ...(minor >= 57 ? ['accepted', 'destination_project_id', 'source_project_id'] : [])
  ].toSorted()

describe('a transfer', () => {
  it('tells its key once, when it is made', async t => {
    const { id: volumeId } = await aVolume(t, pool)
    const name = unique('handover')
    const { status, body } = await pool.call('POST', TRANSFERS, {
      transfer: { volume_id: volumeId, name, ...(mayLeaveSnapshots && { no_snapshots: true }) }
    })
    const { transfer } = body
    assert.equal(status, 202)
    assert.deepEqual(Object.keys(transfer).toSorted(), [...keysAt(asked), 'auth_key'].toSorted())
    assert.match(transfer.auth_key, /^[0-9a-f]{16}$/)
    const { auth_key: _key, ...rest } = transfer
    for (const path of PATHS) {
      const later = (await pool.get(`${path}/${transfer.id}`)).transfer
      assert.match(later.created_at, /\.000000$/)
      assert.deepEqual({ ...later, created_at: transfer.created_at }, rest)
    }
    assert.deepEqual([rest.volume_id, rest.name], [volumeId, name])
    if (mayLeaveSnapshots) assert.equal(rest.no_snapshots, true)
    if (asked < 57) return
    const { accepted, source_project_id: source, destination_project_id: destination } = rest
    assert.deepEqual([accepted, source, destination], [false, pool.projectId, null])
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
    const [path = ''] = PATHS.slice(-1)
    for (const minor of [0, 54, 55, 57].filter(minor => minor <= traits.maxMinor)) {
      const shownAt = (await pool.get(`${path}/${transfer.id}`, minor)).transfer
      assert.deepEqual(Object.keys(shownAt).toSorted(), keysAt(minor))
    }
  })

  it('takes no_snapshots since 3.55, and only under its new name; up to Queens it is ignored', async t => {
    const { id } = await aVolume(t, pool)
    const wish = { transfer: { volume_id: id, no_snapshots: true } }
    if (traits.checksBodies) {
      const message = /Additional properties are not allowed \('no_snapshots' was unexpected\)$/
      assertFault(await pool.call('POST', '/volume-transfers', wish, 54), 400, 'badRequest', message)
      assertFault(await pool.call('POST', '/os-volume-transfer', wish), 400, 'badRequest', message)
      assert.equal((await pool.call('POST', '/volume-transfers', wish, 55)).body.transfer.no_snapshots, true)
    } else {
      const { status, body } = await pool.call('POST', '/os-volume-transfer', wish)
      assert.deepEqual([status, body.transfer.no_snapshots], [202, undefined])
      assert.equal((await pool.call('GET', '/volume-transfers/detail')).status, 404)
    }
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
    const path = `${TRANSFERS}/${transfer.id}`
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
    assert.equal((await admin.call('DELETE', `${TRANSFERS}/${transfer.id}`)).status, 202)
    assert.equal((await shown(tenant, id)).status, 'available')
  })

  it('is refused while a snapshot that would go along is not available', async t => {
    const { id } = await aVolume(t, pool)
    const snapshot = await aSnapshot(t, pool, id)
    await whileWorkRests(async () => {
      assert.equal((await pool.call('DELETE', `/snapshots/${snapshot.id}`)).status, 202)
      if (traits.snapshotsMove) {
        const message = `Invalid snapshot: snapshot: ${snapshot.id} status must be available`
        assertFault(await arm(id), 400, 'badRequest', message)
      }
      if (traits.snapshotsMove && !mayLeaveSnapshots) return
      const more = mayLeaveSnapshots ? { no_snapshots: true } : {}
      assert.equal((await pool.call('POST', TRANSFERS, { transfer: { volume_id: id, ...more } })).status, 202)
    })
  })
})

describe('the list of transfers', () => {
  const idsOf = async (query: string, minor?: number, path = `${TRANSFERS}/detail`): Promise<string[]> =>
    (await pool.get(`${path}?${query}`, minor)).transfers.map(({ id }: Body) => id)

  it('finds one by its volume or its name, and up to Rocky all whatever is looked for', async t => {
    const [first, second] = [await anArmedVolume(t, pool), await anArmedVolume(t, pool)]
    for (const path of PATHS.flatMap(path => [path, `${path}/detail`])) {
      const all = (await idsOf('', asked, path)).toSorted()
      const found = async (query: string, expected: string[]): Promise<void> =>
        assert.deepEqual((await idsOf(query, asked, path)).toSorted(), traits.filtersTransfers ? expected : all)
      await found(`volume_id=${first.volume_id}`, [first.id])
      await found(`name=${second.name}`, [second.id])
      await found(`volume_id=${NOBODY}`, [])
    }
    const all = await idsOf('')
    assert.ok(all.includes(first.id) && all.includes(second.id))
  })

  it('has no keys in it', async t => {
    const transfer = await anArmedVolume(t, pool)
    const { transfers } = await pool.get(`${TRANSFERS}/detail?volume_id=${transfer.volume_id}`)
    assert.ok(transfers.length > 0)
    for (const one of transfers) assert.deepEqual(Object.keys(one).toSorted(), keysAt(asked))
  })

  if (traits.filtersTransfers) {
    it('is empty for a query it does not know, paging before 3.59 included', async t => {
      const transfer = await anArmedVolume(t, pool)
      const one = `volume_id=${transfer.volume_id}`
      assert.deepEqual(await idsOf(`${one}&limit=1`, 58, '/volume-transfers/detail'), [])
      assert.deepEqual(await idsOf(`${one}&limit=1`, 59, '/volume-transfers/detail'), [transfer.id])
      assert.deepEqual(await idsOf(`${one}&color=red`), [])
    })

    it('has pages since 3.59', async t => {
      const made = [await anArmedVolume(t, pool), await anArmedVolume(t, pool)]
      const path = '/volume-transfers/detail'
      for (const sort of ['created_at:desc,id:desc', 'volume_id:asc,id:asc']) {
        const { transfers, transfers_links: links } = await pool.get(`${path}?limit=1&sort=${sort}`, 59)
        assert.equal(transfers.length, 1)
        assert.equal(links[0].rel, 'next')
        const rest = await idsOf(`sort=${sort}&marker=${transfers[0].id}`, 59, path)
        const seen = [transfers[0].id, ...rest]
        for (const { id } of made) assert.equal(seen.filter(other => other === id).length, 1)
      }
    })
  } else {
    it('is cut by limit and offset, and by nothing else, in pages whose links do not end', async t => {
      const made = [await anArmedVolume(t, pool), await anArmedVolume(t, pool), await anArmedVolume(t, pool)]
      const all = await idsOf('')
      for (const { id } of made) assert.equal(all.filter(other => other === id).length, 1)
      for (const offset of all.keys()) {
        const query = `limit=1&offset=${offset}&sort=id:asc&marker=${made[0]?.id}`
        const { transfers, transfers_links: links } = await pool.get(`${TRANSFERS}/detail?${query}`)
        assert.deepEqual([transfers.map(({ id }: Body) => id), links[0].rel], [[all[offset]], 'next'])
      }
      assert.deepEqual(await idsOf(`offset=${all.length}`), [])
    })
  }

  it("does not have another project's, unless an administrator asks for all", async t => {
    const transfer = await anArmedVolume(t, pool)
    const path = `${TRANSFERS}/detail?volume_id=${transfer.volume_id}`
    for (const query of ['', '&all_tenants=1']) {
      const { transfers } = await tenant.get(path + query)
      assert.equal(
        transfers.some(({ id }: Body) => id === transfer.id),
        false
      )
    }
    const own = await aVolume(t, tenant)
    const theirs = await tenant.arm(own.id)
    const ids = async (query: string): Promise<string[]> =>
      (await admin.get(`${TRANSFERS}/detail?${query}`)).transfers.map(({ id }: Body) => id)
    assert.ok((await ids('all_tenants=1')).includes(theirs.id))
    assert.equal((await ids('')).includes(theirs.id), false)
  })
})
