import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { collect } from '../../src/operations/concurrently.ts'
import type { Project } from '../../src/pool/ports.ts'
import {
  admin,
  aVolume,
  CALL,
  clientOf,
  eventually,
  golden,
  hideType,
  limiterOf,
  listed,
  loginAs,
  NOBODY,
  newVolume,
  pool,
  rival,
  shown,
  type Test,
  tenant,
  unique,
  usageOf,
  vanishes,
  whileWorkRests
} from './support.ts'

const projectOf = (t: Test, user: string): Promise<Project> => clientOf(t, user).poolProject(CALL)

/** A volume of the pool's with a transfer, as the service makes them. */
async function armed(t: Test, project: Project, wish: object = {}) {
  const { id } = await aVolume(t, pool, wish)
  return await project.transfers.create(id, unique('spare'), CALL)
}

describe('volumes', () => {
  it('are made from a snapshot, and found by every filter', async t => {
    const { volumes } = await projectOf(t, 'pool-svc')
    const { id: snapshotId, size } = await golden()
    const name = unique('Spare')
    const metadata = { spare_pool: 'contract', spare_id: `it's "${name}" \\ ü` }
    const since = new Date()
    const made = await volumes.create({ name, snapshotId, sizeGib: size, volumeType: 'ceph-ssd', metadata }, CALL)
    t.onTestFinished(() => volumes.delete(made.id, CALL))
    const { createdAt, bootable: _, ...rest } = made // Cinder copies the flag while it makes the volume.
    assert.ok(Math.abs(createdAt.getTime() - since.getTime()) < 60_000)
    assert.deepEqual(rest, {
      id: made.id,
      name,
      status: 'creating',
      sizeGib: size,
      volumeType: 'ceph-ssd',
      snapshotId,
      projectId: pool.projectId,
      metadata,
      attached: false,
      encrypted: false
    })
    const volume = await eventually('it is available', async () => {
      const found = await volumes.find(made.id, CALL)
      return found?.status === 'available' && found
    })
    assert.deepEqual(volume, { ...rest, status: 'available', bootable: true, createdAt: volume.createdAt })
    const { createdAt: wholeSecond } = volume
    for (const filter of [
      { name },
      { metadata },
      { metadata: { spare_id: metadata.spare_id } },
      { name, status: 'available' },
      { name, createdSince: wholeSecond },
      { name, createdSince: new Date(wholeSecond.getTime() + 999) },
      { name, status: 'available', metadata, createdSince: wholeSecond }
    ]) {
      assert.deepEqual(await listed(volumes, filter), [volume], JSON.stringify(filter))
    }
    for (const filter of [
      { name: name.toLowerCase() },
      { metadata: { ...metadata, spare_pool: 'Contract' } },
      { name, status: 'creating' },
      { name, createdSince: new Date(wholeSecond.getTime() + 1_000) }
    ]) {
      assert.deepEqual(await listed(volumes, filter), [], JSON.stringify(filter))
    }
    assert.ok((await listed(volumes, {})).some(({ id }) => id === made.id))
  })

  it('are renamed, with their metadata or without, extended and deleted', async t => {
    const { volumes } = await projectOf(t, 'pool-svc')
    const { id } = await aVolume(t, pool, { metadata: { spare_id: 'x' } })
    await volumes.update(id, { name: 'web' }, CALL)
    const renamed = await volumes.find(id, CALL)
    assert.deepEqual([renamed?.name, renamed?.metadata], ['web', { spare_id: 'x' }])
    await volumes.update(id, { name: 'web', metadata: {} }, CALL)
    assert.deepEqual((await volumes.find(id, CALL))?.metadata, {})
    await volumes.extend(id, 2, CALL)
    await eventually('it is larger', async () => {
      const volume = await volumes.find(id, CALL)
      return volume?.status === 'available' && volume.sizeGib === 2
    })
    await whileWorkRests(async () => {
      await volumes.delete(id, CALL)
      await volumes.delete(id, CALL) // On its way already.
    })
    await vanishes(`/volumes/${id}`)
    await volumes.delete(id, CALL) // Gone already.
    assert.equal(await volumes.find(id, CALL), undefined)
    assert.equal(await volumes.faultOf(id, CALL), undefined)
  })

  it('that cannot be made, changed or deleted say why', async t => {
    const { volumes, transfers } = await projectOf(t, 'pool-svc')
    const wish = { name: 'none', snapshotId: NOBODY, sizeGib: 1, volumeType: 'ceph-ssd' }
    await assert.rejects(volumes.create(wish, CALL), { code: 'not_found', status: 404, mayHaveActed: false })
    const { size, id: snapshotId } = await golden()
    const tooLong = { name: 'n'.repeat(256), snapshotId, sizeGib: size, volumeType: 'ceph-ssd' }
    await assert.rejects(volumes.create(tooLong, CALL), { code: 'bad_request', status: 400 })
    await assert.rejects(volumes.update(NOBODY, { name: 'x' }, CALL), { code: 'not_found' })
    await assert.rejects(volumes.extend(NOBODY, 2, CALL), { code: 'not_found' })
    const { id } = await aVolume(t, pool)
    await assert.rejects(volumes.extend(id, 1, CALL), { code: 'bad_request' })
    await transfers.create(id, 'armed', CALL)
    await assert.rejects(volumes.delete(id, CALL), { code: 'bad_request' })
    await assert.rejects(volumes.extend(id, 2, CALL), { code: 'bad_request' })
    await assert.rejects(transfers.create(id, 'again', CALL), { code: 'bad_request' })
  })
})

describe('transfers', () => {
  it('are listed by their volume while they wait, and deleted at will', async t => {
    const project = await projectOf(t, 'pool-svc')
    const { transfers, volumes } = project
    const transfer = await armed(t, project)
    const { authKey, ...listed } = transfer
    assert.match(authKey, /^[0-9a-f]{16}$/)
    assert.deepEqual(await transfers.ofVolume(transfer.volumeId, CALL), [listed])
    assert.deepEqual(await transfers.ofVolume(NOBODY, CALL), [])
    await transfers.delete(transfer.id, CALL)
    await transfers.delete(transfer.id, CALL) // Gone already.
    assert.deepEqual(await transfers.ofVolume(transfer.volumeId, CALL), [])
    assert.equal((await volumes.find(transfer.volumeId, CALL))?.status, 'available')
  })

  it('are listed in order of their volumes', async t => {
    const project = await projectOf(t, 'pool-svc')
    const made = [await armed(t, project), await armed(t, project), await armed(t, project)]
    const volumeIds = (await collect(project.transfers.pages(CALL))).map(({ volumeId }) => volumeId)
    assert.deepEqual(volumeIds, volumeIds.toSorted())
    for (const { volumeId } of made) assert.ok(volumeIds.includes(volumeId))
  })

  it("are accepted with a caller's own token, or with the service's in the caller's project", async t => {
    const client = clientOf(t, 'pool-svc')
    const project = await client.poolProject(CALL)
    const caller = await loginAs('tenant-a-user', 'tenant-a')
    const identity = await client.identify(caller.token, CALL)
    assert.ok(identity)
    for (const taker of [client.withToken(identity), await client.project(tenant.projectId, CALL)]) {
      const { id, volumeId, authKey } = await armed(t, project)
      await taker.transfers.accept(id, authKey, CALL)
      assert.equal((await taker.volumes.find(volumeId, CALL))?.projectId, tenant.projectId)
      assert.equal(await project.volumes.find(volumeId, CALL), undefined)
      assert.deepEqual(await project.transfers.ofVolume(volumeId, CALL), [])
      await assert.rejects(taker.transfers.accept(id, authKey, CALL), { code: 'not_found', status: 404 })
    }
  })

  it('that cannot be accepted say why, and stay good', async t => {
    const project = await projectOf(t, 'pool-svc')
    const taker = await projectOf(t, 'tenant-b-user')
    const { id, authKey, volumeId } = await armed(t, project, { volume_type: 'ceph-sas' })
    const refused = (key: string) => taker.transfers.accept(id, key, CALL)
    await assert.rejects(refused('wrong'), { code: 'bad_request', status: 400, mayHaveActed: false })
    const limit = await limiterOf(t, rival)
    await limit({ volumes: (await usageOf(rival)).volumes })
    await assert.rejects(refused(authKey), { code: 'over_quota', status: 413, mayHaveActed: false })
    await limit({ volumes: -1 })
    const type = await hideType(t, 'ceph-sas')
    await assert.rejects(refused(authKey), { code: 'not_found', message: /Volume type \S+ could not be found/ })
    assert.equal((await shown(admin, volumeId)).status, 'awaiting-transfer')
    await type.show(rival)
    await refused(authKey)
    assert.equal((await taker.volumes.find(volumeId, CALL))?.status, 'available')
  })

  it('cannot be made of a volume that is still creating', async t => {
    const { transfers } = await projectOf(t, 'pool-svc')
    await whileWorkRests(async () => {
      const { id } = await newVolume(t, pool)
      await assert.rejects(transfers.create(id, 'early', CALL), { code: 'bad_request', status: 400 })
    })
  })
})
