import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { attach } from '../support/attach.ts'
import { setStatus, volumeIn } from '../support/cloud.ts'
import { quoting } from '../support/cloud-setting.ts'
import { aService, type TestService } from '../support/service.ts'
import { SERVICE_ROLES } from '../support/service-role.ts'

const reconcile = (service: TestService) => service.call<{ settled: number }>('POST', '/pool/reconcile')

/** Nothing of ours is left on it: no mark, no transfer, no row. */
async function assertGiven(service: TestService, id: string, project: string, name: string): Promise<void> {
  const volume = volumeIn(service, id)
  assert.deepEqual(
    [volume.projectId, volume.name, volume.metadata, volume.status],
    [service.project(project), name, {}, 'available']
  )
  assert.deepEqual(service.sandbox.cloud.transfers.ofVolume(id), [])
  assert.ok((await service.spares()).every(({ volume_id }) => volume_id !== id))
}

describe.for(SERVICE_ROLES)('a disk that has moved to its project, where the service is %s', role => {
  it.for([
    ['the answer to its accept is lost', { kind: 'reset_after' }],
    ['its accept ends in an error', { kind: 'status', status: 500, acts: true }],
    ['its accept is never answered', { kind: 'hang', acts: true }]
  ] as const)('stays its tenant’s, though %s, for the repeat and for reconcile', async ([, fault], t) => {
    const service = await aService(t, { role, cloudSeconds: 2 })
    for (const [hostname, mend] of [
      ['repeated', () => service.claim({ hostname: 'repeated' })],
      ['reconciled', () => reconcile(service)]
    ] as const) {
      // All looks fail too, so that nobody knows how it ended.
      service.sandbox.cloud.addFault({ operation: 'transfer_accept', ...fault })
      service.sandbox.cloud.addFault({
        operation: 'volume_show',
        kind: 'status',
        status: 500,
        after: role === 'member' ? 1 : 2
      })
      const { body } = await service.claim({ hostname })
      assert.equal(body.code, 'claim_unsettled')
      service.sandbox.cloud.faults.remove()
      const [disk] = service.volumes('tenant-a').filter(({ name }) => name === `${hostname}_sys`)
      assert.ok(disk, 'Cinder has moved it')
      service.clock.pass(60)
      await mend()
      await reconcile(service)
      await assertGiven(service, disk.id, 'tenant-a', `${hostname}_sys`)
      assert.equal((await service.claim({ hostname })).body.volume_id, disk.id)
    }
    const theirs = service.volumes('tenant-a').map(({ id }) => id)
    for (const hostname of ['b-1', 'b-2', 'b-3']) {
      const { body } = await service.claim({ hostname, project_id: service.project('tenant-b') })
      assert.ok(!theirs.includes(body.volume_id), 'it is given to nobody else')
    }
  })
})

describe('a spare that somebody has laid hands on', () => {
  const WAYS = [
    ['by a rename only', { handover: 'rename' }, 'pool'],
    ["into the pool's own project, not armed", { prearm: false }, 'pool'],
    ['in a transfer made by the claim', { prearm: false }, 'tenant-a']
  ] as const
  const HANDS = {
    attached: attach,
    renamed: ({ sandbox }: TestService, id: string) => {
      const volume = sandbox.cloud.volumes.get(id)
      if (volume) sandbox.cloud.volumes.change(volume, { name: 'kept' })
    },
    'about to be attached': (service: TestService, id: string) => setStatus(service, id, 'reserved')
  }

  it.for(WAYS.flatMap(way => Object.entries(HANDS).map(([what, lay]) => [what, ...way, lay] as const)))(
    'is not handed out and not touched when it is %s, where disks go %s',
    async ([, , claims, project, lay], t) => {
      const service = await aService(t, { config: { claims } })
      const [oldest] = (await service.spares()).toSorted((a, b) => (a.created_at < b.created_at ? -1 : 1))
      const id = oldest?.volume_id ?? ''
      lay(service, id)
      const { updatedAt: _, ...before } = { ...volumeIn(service, id) }
      const hostnames = ['a', 'b', 'c', 'd']
      const given: string[] = []
      for (const hostname of hostnames) {
        const { status, body } = await service.claim({ hostname, project_id: service.project(project) })
        assert.deepEqual([status, body.source], [200, 'pool'])
        given.push(body.volume_id)
      }
      assert.ok(!given.includes(id))
      await reconcile(service)
      const { updatedAt: _later, ...after } = { ...volumeIn(service, id) }
      assert.deepEqual(after, before)
      assert.ok((await service.spares()).every(({ volume_id }) => volume_id !== id))
    }
  )

  it('is not taken back from a claim that broke off, once somebody has renamed it', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 2 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    const [spare] = (await service.spares()).filter(({ status }) => status === 'reserved')
    service.sandbox.cloud.volumes.change(volumeIn(service, spare?.volume_id ?? ''), { name: 'kept' })
    service.clock.pass(60)
    await reconcile(service)
    assert.deepEqual([(await service.claims()).length, (await service.spares()).length], [0, 4])
    const { name, metadata } = volumeIn(service, spare?.volume_id ?? '')
    assert.deepEqual([name, metadata], ['kept', {}])
  })
})

describe('a refusal that does not end', () => {
  it('ends the claim for which a disk was made, and says why', async t => {
    const service = await aService(t, { filled: false, config: { pools: [] } })
    const message = 'Invalid volume: transferring encrypted volume is not supported'
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 400, message })
    const { status, body } = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([status, body.code], [502, 'cloud_error'])
    assert.match(body.detail, quoting(/encrypted volume is not supported/))
    assert.match(body.detail, /The claim was undone/)
    assert.deepEqual(await service.claims(), [])
    for (let pass = 0; pass < 2; pass += 1) await service.call('POST', '/pool/check')
    assert.deepEqual(service.volumes('pool'), [])
  })

  it.for([
    ['refused', { kind: 'status', status: 400 }, 'invalid_request'],
    ['answered with an error', { kind: 'status', status: 500 }, 'cloud_error']
  ] as const)('costs the pool no spare where the claim’s name is %s', async ([, fault, code], t) => {
    const service = await aService(t)
    const before = await service.spares()
    const times = fault.status === 500 ? 3 : 1 // A change of a name is repeated by itself.
    for (const hostname of ['a', 'b', 'c']) {
      service.sandbox.cloud.addFault({ operation: 'volume_update', ...fault, count: times })
      assert.equal((await service.claim({ hostname })).body.code, code)
    }
    const names = (rows: typeof before) => rows.map(({ id, status, armed }) => [id, status, armed])
    assert.deepEqual(names(await service.spares()), names(before))
    for (const { volume_id, name } of before) assert.equal(volumeIn(service, volume_id ?? '').name, name)
  })
})

describe('a disk of which Cinder may still make a transfer that nobody waits for, where the service is admin', () => {
  /** Longer than a call may take, and shorter than a late one may. */
  const LATE = { operation: 'transfer_create', kind: 'delay', ms: 60_000, count: 1 } as const
  const onlyDisk = (service: TestService): string => service.volumes()[0]?.id ?? ''
  async function assertOneIsRetired(service: TestService): Promise<void> {
    const statuses = (await service.spares()).map(({ status }) => status)
    assert.deepEqual(statuses.toSorted(), ['available', 'available', 'available', 'available', 'retiring'])
  }

  it('is not handed over before that, so that the transfer never meets the disk in its project', async t => {
    const service = await aService(t, { role: 'admin', filled: false, createSeconds: 5, cloudSeconds: 1 })
    assert.equal((await service.claim()).status, 202)
    service.clock.pass(60)
    service.sandbox.cloud.addFault(LATE)
    assert.equal((await service.claim()).body.code, 'cloud_timeout')
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    service.clock.pass(70)
    assert.equal((await service.claim()).body.volume_id, onlyDisk(service))
    await assertGiven(service, onlyDisk(service), 'tenant-a', 'web-01_sys')
  })

  it('leaves the stock, when its claim ends since its rename is refused', async t => {
    const service = await aService(t, { role: 'admin', cloudSeconds: 1, config: { claims: { prearm: false } } })
    service.sandbox.cloud.addFault(LATE)
    service.sandbox.cloud.addFault({ operation: 'volume_update', kind: 'status', status: 400, count: 1 })
    assert.equal((await service.claim()).body.code, 'invalid_request')
    await assertOneIsRetired(service)
  })

  it('leaves the stock, when that is its transfer as it is put back', async t => {
    const service = await aService(t, { role: 'admin', cloudSeconds: 1 })
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 2 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    service.clock.pass(60)
    service.sandbox.cloud.addFault(LATE)
    assert.equal((await reconcile(service)).body.settled, 0)
    assert.equal((await reconcile(service)).body.settled, 1)
    await assertOneIsRetired(service)
  })
})
