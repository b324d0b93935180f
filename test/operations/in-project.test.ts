import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { makeVolume, setStatus } from '../support/cloud.ts'
import { aService, type TestService } from '../support/service.ts'

/** No stock, and a user who makes disks in the tenants' projects themselves. */
const asAdmin = (t: TestContext): Promise<TestService> =>
  aService(t, { filled: false, user: 'admin', config: { pools: [] } })

const reconcile = (service: TestService) => service.call('POST', '/pool/reconcile')
const statusOf = async (service: TestService) => (await service.claims())[0]?.status

describe('a disk that is made in its project itself', () => {
  it('is asked for again when Cinder never heard of it, but not before it could have', async t => {
    const service = await asAdmin(t)
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_before', count: 1 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    assert.deepEqual(service.volumes(), [])
    service.clock.pass(5 + 60) // openstack.timeout_seconds, and as long as a message queue may take.
    const { status, body } = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([status, body.source], [200, 'created'])
    assert.deepEqual(
      service.volumes().map(({ id }) => id),
      [body.volume_id]
    )
  })

  it('is asked for again by reconcile where nobody comes back', async t => {
    const service = await asAdmin(t)
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_before', count: 1 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    await reconcile(service)
    assert.deepEqual(service.volumes(), [])
    for (let pass = 0; pass < 2; pass += 1) {
      service.clock.pass(300)
      await reconcile(service)
    }
    assert.equal(await statusOf(service), 'available')
    assert.equal(service.volumes('tenant-a').length, 1)
  })

  it('is made no more where a volume of its name turned up that is no system disk: the claim ends, and says so', async t => {
    const service = await asAdmin(t)
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_before', count: 1 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    const blank = await makeVolume(service, 'web-01_sys', 'tenant-a', false)
    setStatus(service, blank, 'available')
    assert.equal((await service.claim()).body.code, 'existing_volume_unusable')
    assert.deepEqual(await service.claims(), [])
  })

  it('stays the claim’s while it hangs, since it may be finished yet, and is replaced once it has failed', async t => {
    const service = await asAdmin(t)
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'stuck_creating', count: 1 })
    const first = await service.claim()
    assert.equal(first.status, 202)
    for (let day = 0; day < 3; day += 1) {
      service.clock.pass(86_400)
      await reconcile(service)
      const again = await service.claim()
      assert.deepEqual([again.status, again.body.volume_id], [202, first.body.volume_id])
    }
    assert.equal(service.volumes().length, 1)
    setStatus(service, first.body.volume_id, 'error') // As an administrator does.
    const { status, body } = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([status, body.claim_id], [200, first.body.claim_id])
    assert.notEqual(body.volume_id, first.body.volume_id)
    assert.equal(service.volumes('tenant-a').length, 2)
  })
})
