import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { collect } from '../../src/operations/concurrently.ts'
import type { Project } from '../../src/pool/ports.ts'
import { failureOf } from '../support/cloud-failures.ts'
import { aSandbox, CALL, listed, METADATA } from '../support/openstack-sandbox.ts'

/** As many volumes of the pool's, each waiting in a transfer. */
async function arm(pool: Project, volumeIds: readonly string[]): Promise<void> {
  for (const id of volumeIds) await pool.transfers.create(id, 'spare', CALL)
}

describe('more armed spares than a list of transfers has places for', () => {
  it.for(['mitaka', 'newton', 'ocata', 'queens', 'rocky'] as const)(
    'are all found on %s, each once and in order, and each by its volume (cases 8, 9 and 11)',
    async (release, t) => {
      const { pool, spare, count } = await aSandbox(t, { release, listMax: 20 })
      const volumes = await Promise.all(Array.from({ length: 45 }, () => spare()))
      await arm(
        pool,
        volumes.map(({ id }) => id)
      )
      const waiting = await collect(pool.transfers.pages(CALL))
      const armed = waiting.map(({ volumeId }) => volumeId)
      assert.deepEqual(armed, volumes.map(({ id }) => id).toSorted())
      assert.equal(count('transfer_list'), 4) // Of 20, 20 and 5, and one that brings nothing.
      const found = await Promise.all(volumes.map(({ id }) => pool.transfers.ofVolume(id, CALL)))
      assert.deepEqual(
        found.map(transfers => transfers.map(({ volumeId }) => volumeId)),
        volumes.map(({ id }) => [id])
      )
      assert.ok(count('transfer_list') <= 3 * 4, 'one list serves many')
      assert.equal((await listed(pool.volumes, { metadata: METADATA })).length, 45)
      for (const { id, volumeId } of waiting.slice(0, 3)) {
        assert.equal((await pool.transfers.find(id, CALL))?.volumeId, volumeId)
        await pool.transfers.delete(id, CALL)
        assert.equal(await pool.transfers.find(id, CALL), undefined)
        assert.deepEqual(await pool.transfers.ofVolume(volumeId, CALL), [])
        assert.equal((await pool.transfers.create(volumeId, 'again', CALL)).volumeId, volumeId)
      }
    }
  )

  it.for(['mitaka', 'rocky', 'latest'] as const)(
    'leave the lists of volumes and snapshots whole on %s (case 9)',
    async (release, t) => {
      const { pool, spare } = await aSandbox(t, { release, listMax: 2 })
      const made = [await spare(), await spare(), await spare()].map(({ id }) => id)
      assert.equal((await pool.snapshots.list(CALL)).length, 3)
      for (const filter of [{ metadata: METADATA }, { metadata: METADATA, createdSince: new Date(0) }]) {
        assert.deepEqual(
          (await listed(pool.volumes, filter)).map(({ id }) => id),
          made.toSorted()
        )
      }
    }
  )
})

describe('a cloud that has /v2 only', () => {
  it.for(['mitaka', 'wallaby'] as const)(
    'as %s may have it, arms, lists, hands over, extends and deletes (case 26)',
    async (release, t) => {
      const { client, pool, projectId, spare } = await aSandbox(t, { release, withoutV3: true })
      assert.equal(await client.microversion(CALL), '2.0')
      const { id } = await spare('srv3_x')
      await spare('srv3_y')
      assert.deepEqual(
        (await listed(pool.volumes, { name: 'srv3_x', createdSince: new Date(0) })).map(one => one.id),
        [id]
      )
      const armed = await pool.transfers.create(id, 'srv3_x', CALL)
      assert.deepEqual(
        (await collect(pool.transfers.pages(CALL))).map(one => one.id),
        [armed.id]
      )
      assert.equal((await pool.transfers.ofVolume(id, CALL)).length, 1)
      await pool.volumes.update(id, { name: 'web-01_sys', metadata: {} }, CALL)
      const tenant = await client.project(projectId('tenant-a'), CALL)
      await tenant.transfers.accept(armed.id, armed.authKey, CALL)
      await tenant.volumes.extend(id, 40, CALL)
      const disk = await tenant.volumes.find(id, CALL)
      assert.deepEqual([disk?.name, disk?.sizeGib, disk?.projectId], ['web-01_sys', 40, tenant.id])
      assert.equal(await tenant.volumes.faultOf(id, CALL), undefined)
      await tenant.volumes.delete(id, CALL)
      assert.equal(await tenant.volumes.find(id, CALL), undefined)
    }
  )

  it('and since Xena does not have that either is told (case 3)', async t => {
    await assert.rejects(
      aSandbox(t, { release: 'zed', withoutV3: true }).then(({ pool }) => pool.volumes.find('v1', CALL)),
      /Cinder is neither at http:\S+\/volume\/v3\/ nor at/
    )
  })
})

describe('a cloud of another release than before', () => {
  it('is spoken to in its own way from the first refusal on, downgraded and upgraded (case 5)', async t => {
    const { client, pool, spare, cloud } = await aSandbox(t, { release: 'latest' })
    await spare()
    cloud.release = 'queens'
    const { id } = await spare()
    assert.equal(await client.microversion(CALL), '3.50')
    assert.equal((await listed(pool.volumes, { name: 'spare-1' })).length, 2, 'each of them made once')
    const armed = await pool.transfers.create(id, 'spare', CALL)
    assert.deepEqual(
      (await pool.transfers.ofVolume(id, CALL)).map(one => one.id),
      [armed.id]
    )
    cloud.release = 'latest'
    assert.equal((await pool.transfers.find(armed.id, CALL))?.volumeId, id, 'what it spoke before it speaks still')
  })
})

describe('what an operator has set otherwise', () => {
  it('such as a missing file of filters keeps no volume from being listed (case 18)', async t => {
    const { pool, spare, notices, clock } = await aSandbox(t, { release: 'pike', resourceFilters: false })
    const { id } = await spare()
    clock.pass(60)
    assert.equal((await listed(pool.volumes, { metadata: METADATA })).length, 1)
    assert.deepEqual(
      (await listed(pool.volumes, { createdSince: new Date(0), metadata: METADATA })).map(one => one.id),
      [id]
    )
    assert.equal(notices.length, 1)
  })

  it('such as limits that hide what is used leaves the quota unknown (case 24)', async t => {
    const { pool, fault } = await aSandbox(t, { release: 'mitaka', usedLimits: false })
    fault({ operation: 'quota_show', kind: 'status', status: 403 })
    assert.equal((await pool.volumes.quota(CALL)).size, 0)
  })

  it('such as its language, also where it is told another one, changes no decision', async t => {
    const { client, pool, projectId, spare } = await aSandbox(t, { release: 'latest', locale: 'zh_CN' })
    const { id } = await spare()
    const armed = await pool.transfers.create(id, 'spare', CALL)
    const tenant = await client.project(projectId('tenant-a'), CALL)
    const wrong = await failureOf(tenant.transfers.accept(armed.id, 'wrong', CALL))
    const gone = await failureOf(tenant.transfers.accept(id, 'wrong', CALL))
    assert.deepEqual([wrong.code, gone.code], ['bad_request', 'not_found'])
    assert.match(gone.message, /\p{Script=Han}/u)
    await tenant.transfers.accept(armed.id, armed.authKey, CALL)
    assert.equal(await pool.volumes.find(id, CALL), undefined)
  })
})
