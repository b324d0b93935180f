/** What a project shows and lets be changed, whoever looks: our client against the sandbox and the real cloud. */
import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { CloudError } from '../../src/pool/errors.ts'
import type { Project } from '../../src/pool/ports.ts'
import { aVolume, CALL, clientOf, listed, pool, shown, tenant, unique } from './support.ts'

const isNotFound = (error: unknown): boolean => error instanceof CloudError && error.code === 'not_found'

describe.for(['pool-svc', 'admin'])("the pool's project, seen by %s", user => {
  const poolProject = async (t: Parameters<typeof clientOf>[0]): Promise<Project> =>
    await clientOf(t, user).poolProject(CALL)

  it("does not show another project's volume, by its id or in a list", async t => {
    const { volumes } = await poolProject(t)
    const name = unique('theirs')
    const metadata = { spare_pool: name }
    const [theirs, ours] = [await aVolume(t, tenant, { name, metadata }), await aVolume(t, pool, { name, metadata })]
    assert.equal(await volumes.find(theirs.id, CALL), undefined)
    assert.equal((await volumes.find(ours.id, CALL))?.projectId, pool.projectId)
    for (const filter of [{ name }, { metadata }]) {
      assert.deepEqual(
        (await listed(volumes, filter)).map(({ id }) => id),
        [ours.id]
      )
    }
  })

  it("refuses to change another project's volume as if it were not there, and leaves it as it is", async t => {
    const { volumes, transfers } = await poolProject(t)
    const { id } = await aVolume(t, tenant, { metadata: { a: 'b' } })
    const before = await shown(tenant, id)
    await assert.rejects(volumes.update(id, { name: 'spare-x', metadata: {} }, CALL), isNotFound)
    await assert.rejects(volumes.extend(id, 9, CALL), isNotFound)
    await assert.rejects(transfers.create(id, 'spare-x', CALL), isNotFound)
    await volumes.delete(id, CALL) // Gone already, as far as this project knows.
    assert.deepEqual(await shown(tenant, id), before)
  })

  it('still changes what is its own', async t => {
    const { volumes, transfers } = await poolProject(t)
    const { id } = await aVolume(t, pool)
    await volumes.update(id, { name: unique('ours'), metadata: { c: 'd' } }, CALL)
    assert.deepEqual((await volumes.find(id, CALL))?.metadata, { c: 'd' })
    const { id: transferId } = await transfers.create(id, 'ours', CALL)
    assert.deepEqual(
      (await transfers.ofVolume(id, CALL)).map(one => one.id),
      [transferId]
    )
    await transfers.delete(transferId, CALL)
    await volumes.delete(id, CALL)
  })
})
