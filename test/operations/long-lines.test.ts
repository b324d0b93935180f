import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { setStatus, volumeIn } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

/** More than one pass takes on at once. */
const MANY = 110
const LIMITS = { creating_max: 1_000, creating_max_per_snapshot: 1_000 }

/** A service with so many in stock, however much that is. */
async function aStockOf(t: TestContext, target: number): Promise<TestService> {
  const service = await aService(t, { filled: false, config: { pools: [{ ...DEBIAN, target }], limits: LIMITS } })
  for (const resource of ['volumes', 'gigabytes', 'volumes_ceph-ssd', 'gigabytes_ceph-ssd']) {
    service.sandbox.cloud.quotas.set(`${service.project('pool')} ${resource}`, -1)
  }
  await service.fill()
  return service
}

const statusOf = async (service: TestService, hostname: string): Promise<string | undefined> =>
  (await service.claims()).find(claim => claim.hostname === hostname)?.status

describe('what cannot be done yet does not hold up the others', () => {
  it('of claims to be settled', async t => {
    const service = await aService(t, { filled: false })
    assert.equal((await service.claim()).status, 202)
    // Claims of a project that the service's user cannot enter, whose callers do not come back.
    await service.rows(`
      insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, source, miss_reason,
                          created_at, updated_at)
      select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, fingerprint, 'closed', 'closed-' || n, 'closed-' || n,
             category, os, type, status, source, miss_reason, created_at, updated_at - interval '1 hour'
        from claims, generate_series(1, ${MANY}) n`)
    service.clock.pass(60)
    const { body } = await service.call<{ settled: number }>('POST', '/pool/reconcile')
    assert.equal(body.settled, 1)
    assert.equal(await statusOf(service, 'web-01'), 'available')
  })

  it('of retired volumes to be deleted', async t => {
    const service = await aStockOf(t, MANY + 1)
    await service.rows(
      "update backup_volumes set status = 'retiring', updated_at = (select max(updated_at) from backup_volumes)"
    )
    const [last, ...stuck] = service.volumes('pool').map(({ id }) => id)
    assert.ok(last)
    for (const id of stuck) setStatus(service, id, 'error_deleting')
    await service.rows(
      `update backup_volumes set updated_at = updated_at + interval '1 second' where volume_id = '${last}'`
    )
    for (let pass = 0; pass < 4; pass += 1) {
      service.clock.pass(5)
      await service.call('POST', '/pool/check')
    }
    assert.equal(service.sandbox.cloud.volumes.get(last), undefined)
    assert.equal(service.volumes('pool').length, MANY)
  })

  it('of finished disks to be handed over', async t => {
    const service = await aService(t, { filled: false, createSeconds: 30 })
    const hostnames = ['a', 'b', 'c', 'd']
    for (const hostname of hostnames) assert.equal((await service.claim({ hostname })).status, 202)
    service.clock.pass(200) // One after the other.
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'hang', count: 3 })
    void service.call('POST', '/pool/check').catch(() => undefined) // It ends when the service does.
    await until(async () => {
      const claims = await service.claims()
      return claims.some(({ status }) => status === 'available')
    }, 4)
    assert.equal(service.sandbox.cloud.faults.list()[0]?.strikes, 3)
    for (const { volume_id } of (await service.claims()).filter(({ status }) => status === 'available')) {
      assert.equal(volumeIn(service, volume_id ?? '').projectId, service.project('tenant-a'))
    }
  })
})
