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
  becomes,
  golden,
  hideType,
  limiterOf,
  loginAs,
  NOBODY,
  pool,
  rival,
  type Session,
  shown,
  TRANSFERS,
  tenant,
  traits,
  unique,
  usageOf,
  vanishes
} from './support.ts'

const notFound = (id: string): string => `Transfer ${id} could not be found.`
const acceptWith = (session: Session, id: string, accept: object): Promise<Answer> =>
  session.call('POST', `${TRANSFERS}/${id}/accept`, { accept })

/** The transfers of a volume, from a list that may have others in it too. */
const waitingFor = async (volumeId: string): Promise<Body[]> => {
  const { transfers } = await pool.get(`${TRANSFERS}/detail?volume_id=${volumeId}`)
  return transfers.filter((transfer: Body) => transfer.volume_id === volumeId)
}

describe('accepting a transfer', () => {
  it("moves the volume to the token's project and user, and changes nothing else", async t => {
    const { id: snapshotId, size } = await golden()
    const { id } = await aVolume(t, pool, { size, snapshot_id: snapshotId, name: unique('web'), metadata: { a: 'b' } })
    const transfer = await pool.arm(id, { name: 'handover', ...(asked >= 55 && { no_snapshots: true }) })
    const before = await shown(pool, id)
    const answer = await tenant.accept(transfer)
    assert.equal(answer.status, 202)
    assert.deepEqual(Object.keys(answer.body.transfer).toSorted(), ['id', 'links', 'name', 'volume_id'])
    assert.deepEqual(
      [answer.body.transfer.id, answer.body.transfer.name, answer.body.transfer.volume_id],
      [transfer.id, 'handover', id]
    )
    const after = await shown(tenant, id)
    const changed = { status: 'available', user_id: tenant.userId, 'os-vol-tenant-attr:tenant_id': tenant.projectId }
    assert.deepEqual({ ...after, links: 0, updated_at: 0 }, { ...before, links: 0, updated_at: 0, ...changed })
    assert.ok(after.updated_at >= before.updated_at)
  })

  it('leaves nothing of it behind: a second accept finds no transfer, and its maker neither that nor the volume', async t => {
    const transfer = await anArmedVolume(t, pool)
    assert.equal((await tenant.accept(transfer)).status, 202)
    for (const session of [tenant, rival]) {
      assertFault(await session.accept(transfer), 404, 'itemNotFound', notFound(transfer.id))
    }
    const gone = await pool.call('GET', `${TRANSFERS}/${transfer.id}`)
    assertFault(gone, 404, 'itemNotFound', notFound(transfer.id))
    const id = transfer.volume_id
    assertFault(await pool.call('GET', `/volumes/${id}`), 404, 'itemNotFound', `Volume ${id} could not be found.`)
    const renamed = await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'late' } })
    assertFault(renamed, 404, 'itemNotFound', `Volume ${id} could not be found.`)
    assert.deepEqual(await waitingFor(id), [])
  })

  it('moves what the volume counts for', async t => {
    const transfer = await anArmedVolume(t, pool)
    const [giver, taker] = [await usageOf(pool), await usageOf(tenant)]
    await tenant.accept(transfer)
    const plus = (usage: typeof giver, sign: number) => ({
      volumes: usage.volumes + sign,
      gigabytes: usage.gigabytes + sign
    })
    assert.deepEqual([await usageOf(pool), await usageOf(tenant)], [plus(giver, -1), plus(taker, 1)])
  })

  it('goes to the project of whoever’s token it is, a member or an administrator of it', async t => {
    for (const [user, project] of [
      ['pool-svc', 'tenant-a'],
      ['admin', 'tenant-b']
    ] as const) {
      const taker = await loginAs(user, project)
      const transfer = await anArmedVolume(t, pool)
      assert.equal((await taker.accept(transfer)).status, 202)
      const volume = await shown(taker, transfer.volume_id)
      assert.deepEqual([volume['os-vol-tenant-attr:tenant_id'], volume.user_id], [taker.projectId, taker.userId])
    }
  })

  it('works under the old name as well, and of a transfer made under it', async t => {
    const { id } = await aVolume(t, pool)
    const made = await pool.call('POST', '/os-volume-transfer', { transfer: { volume_id: id } }, 0)
    assert.deepEqual([made.status, made.body.transfer.name], [202, null])
    assert.equal((await tenant.accept(made.body.transfer)).status, 202)
    const back = await tenant.arm(id)
    const path = `/os-volume-transfer/${back.id}/accept`
    assert.equal((await pool.call('POST', path, { accept: { auth_key: back.auth_key } }, 0)).status, 202)
  })

  it('by the project that made it cancels it', async t => {
    const transfer = await anArmedVolume(t, pool)
    assert.equal((await pool.accept(transfer)).status, 202)
    const volume = await shown(pool, transfer.volume_id)
    assert.deepEqual([volume.status, volume['os-vol-tenant-attr:tenant_id']], ['available', pool.projectId])
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', notFound(transfer.id))
  })

  it('lets the tenant extend and delete the volume at once', async t => {
    const { volume_id: id, ...transfer } = await anArmedVolume(t, pool)
    assert.equal((await tenant.accept({ id: transfer.id, auth_key: transfer.auth_key })).status, 202)
    assert.equal((await tenant.action(id, 'os-extend', { new_size: 2 })).status, 202)
    assert.equal((await becomes(tenant, id, 'available')).size, 2)
    assert.equal((await tenant.call('DELETE', `/volumes/${id}`)).status, 202)
    await vanishes(`/volumes/${id}`)
  })

  it('takes snapshots along since Rocky, unless its maker said not to', async t => {
    for (const wish of [{}, ...(asked < 55 ? [] : [{ no_snapshots: true }])]) {
      const { id } = await aVolume(t, pool)
      const snapshot = await aSnapshot(t, pool, id)
      assert.equal((await tenant.accept(await pool.arm(id, wish))).status, 202)
      const moves = traits.snapshotsMove && !('no_snapshots' in wish)
      assert.equal((await tenant.call('GET', `/snapshots/${snapshot.id}`)).status, moves ? 200 : 404)
    }
  })
})

describe('a transfer is not accepted', () => {
  it('with a wrong key, and the right one stays good', async t => {
    const transfer = await anArmedVolume(t, pool)
    const message = `Invalid auth key: Attempt to transfer ${transfer.id} with invalid auth key.`
    for (const key of ['0123456789abcdef', 'x', '']) {
      assertFault(await acceptWith(tenant, transfer.id, { auth_key: key }), 400, 'badRequest', message)
    }
    assert.equal((await shown(pool, transfer.volume_id)).status, 'awaiting-transfer')
    assert.equal((await tenant.accept(transfer)).status, 202)
  })

  it('without a key', async t => {
    const { id } = await anArmedVolume(t, pool)
    const answer = await acceptWith(tenant, id, {})
    assertFault(answer, 400, 'badRequest', traits.checksBodies ? /'auth_key' is a required property$/ : /./)
  })

  it('where there is none', async () => {
    assertFault(await acceptWith(tenant, NOBODY, { auth_key: 'x' }), 404, 'itemNotFound', notFound(NOBODY))
  })

  it('by a tenant who cannot see it either', async t => {
    const { id } = await anArmedVolume(t, pool)
    assertFault(await tenant.call('GET', `${TRANSFERS}/${id}`), 404, 'itemNotFound', notFound(id))
  })

  it('over the number of volumes allowed, and once more are, it is', async t => {
    const transfer = await anArmedVolume(t, pool)
    const { volumes } = await usageOf(rival)
    const limit = await limiterOf(t, rival)
    await limit({ volumes })
    const message = `VolumeLimitExceeded: Maximum number of volumes allowed (${volumes}) exceeded for quota 'volumes'.`
    assertFault(await rival.accept(transfer), 413, 'overLimit', message)
    assert.equal((await shown(pool, transfer.volume_id)).status, 'awaiting-transfer')
    assert.deepEqual((await usageOf(rival)).volumes, volumes)
    await limit({ volumes: volumes + 1 })
    assert.equal((await rival.accept(transfer)).status, 202)
  })

  it('over the size allowed in all', async t => {
    const transfer = await anArmedVolume(t, pool)
    const { gigabytes } = await usageOf(rival)
    const limit = await limiterOf(t, rival)
    await limit({ gigabytes })
    const message =
      'Requested volume or snapshot exceeds allowed gigabytes quota. ' +
      `Requested 1G, quota is ${gigabytes}G and ${gigabytes}G has been consumed.`
    assertFault(await rival.accept(transfer), 413, 'overLimit', message)
    await limit({ gigabytes: gigabytes + 1 })
    assert.equal((await rival.accept(transfer)).status, 202)
  })

  it('over what is allowed of the type', async t => {
    const { id } = await aVolume(t, pool, { volume_type: 'ceph-sas' })
    const transfer = await pool.arm(id)
    const limit = await limiterOf(t, rival)
    await limit({ 'volumes_ceph-sas': 0 })
    const message = "VolumeLimitExceeded: Maximum number of volumes allowed (0) exceeded for quota 'volumes_ceph-sas'."
    assertFault(await rival.accept(transfer), 413, 'overLimit', message)
    await limit({ 'volumes_ceph-sas': -1, 'gigabytes_ceph-sas': 0 })
    const ofSize =
      'Requested volume or snapshot exceeds allowed gigabytes_ceph-sas quota. ' +
      'Requested 1G, quota is 0G and 0G has been consumed.'
    assertFault(await rival.accept(transfer), 413, 'overLimit', ofSize)
  })

  it('over the size of one volume allowed, which Mitaka does not look at', async t => {
    const { id } = await aVolume(t, pool, { size: 2 })
    const transfer = await pool.arm(id)
    const limit = await limiterOf(t, rival)
    await limit({ per_volume_gigabytes: 1 })
    const answer = await rival.accept(transfer)
    const message = /Requested volume size 2G is larger than maximum allowed limit 1G\.$/
    if (traits.limitsEachVolume) assertFault(answer, 413, 'overLimit', message)
    else assert.equal(answer.status, 202)
  })

  it('where the volume type is hidden, until it is shown', async t => {
    const { id } = await aVolume(t, pool, { volume_type: 'ceph-sas' })
    const type = await hideType(t, 'ceph-sas')
    const transfer = await pool.arm(id)
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', `Volume type ${type.id} could not be found.`)
    assert.equal((await shown(pool, id)).status, 'awaiting-transfer')
    await type.show(tenant)
    assert.equal((await tenant.accept(transfer)).status, 202)
  })

  it('after a reset of the status, though it is still there; of two transfers of a volume both are good', async t => {
    const first = await anArmedVolume(t, pool)
    const id = first.volume_id
    assert.equal((await admin.action(id, 'os-reset_status', { status: 'available' })).status, 202)
    assertFault(
      await tenant.accept(first),
      400,
      'badRequest',
      `Invalid volume: Transfer ${first.id}: Volume id ${id} expected in awaiting-transfer state.`
    )
    const second = await pool.arm(id)
    assert.equal((await waitingFor(id)).length, 2)
    assert.equal((await tenant.accept(first)).status, 202)
    assert.equal((await shown(tenant, id)).status, 'available')
    assert.notEqual(first.id, second.id)
  })

  it('after the volume was deleted by force', async t => {
    const transfer = await anArmedVolume(t, pool)
    assert.equal((await admin.action(transfer.volume_id, 'os-force_delete')).status, 202)
    await vanishes(`/volumes/${transfer.volume_id}`)
    assertFault(await tenant.accept(transfer), 404, 'itemNotFound', notFound(transfer.id))
    const shown = await pool.call('GET', `${TRANSFERS}/${transfer.id}`)
    assertFault(shown, 404, 'itemNotFound', notFound(transfer.id))
  })
})

describe('a transfer whose volume was reset', () => {
  it('can still be deleted, and leaves the status alone', async t => {
    const transfer = await anArmedVolume(t, pool)
    await admin.action(transfer.volume_id, 'os-reset_status', { status: 'error' })
    assert.equal((await pool.call('DELETE', `${TRANSFERS}/${transfer.id}`)).status, 202)
    assert.equal((await shown(pool, transfer.volume_id)).status, 'error')
  })
})

describe('accepting beside something else', () => {
  it('lets one of two rivals own the volume, exactly one win and no quota be off since Ocata', async t => {
    for (let round = 0; round < 3; round += 1) {
      const transfer = await anArmedVolume(t, pool)
      const rivals = [tenant, rival]
      const before = await Promise.all(rivals.map(usageOf))
      const answers = await Promise.all(rivals.map(session => session.accept(transfer)))
      const winners = rivals.filter((_session, index) => answers[index]?.status === 202)
      const owner = await shown(admin, transfer.volume_id)
      assert.equal(owner.status, 'available')
      assert.ok(winners.some(({ projectId }) => projectId === owner['os-vol-tenant-attr:tenant_id']))
      if (traits.writesBlindly.includes('transfer_accept')) continue
      assert.equal(winners.length, 1, answers.map(({ text }) => text).join('\n'))
      const [lost] = answers.filter(({ status }) => status !== 202)
      assert.match(
        `${lost?.status} ${lost?.text}`,
        /^404 .*Transfer \S+ could not be found|^400 .*expected in awaiting-transfer state/
      )
      const after = await Promise.all(rivals.map(usageOf))
      const won = rivals.map(session => Number(session === winners[0]))
      assert.deepEqual(
        after.map(({ volumes }) => volumes),
        before.map(({ volumes }, index) => volumes + (won[index] ?? 0))
      )
    }
  })

  it('keeps a new name that the maker gives it at the same time, where it was still the maker’s', async t => {
    for (let round = 0; round < 3; round += 1) {
      const transfer = await anArmedVolume(t, pool)
      const name = unique('web')
      const [renamed, accepted] = await Promise.all([
        pool.call('PUT', `/volumes/${transfer.volume_id}`, { volume: { name } }),
        tenant.accept(transfer)
      ])
      assert.equal(accepted.status, 202, accepted.text)
      const { name: kept, status } = await shown(tenant, transfer.volume_id)
      assert.equal(status, 'available')
      if (renamed.status === 200) assert.equal(kept, name)
      else assert.equal(renamed.status, 404, renamed.text)
    }
  })
})
