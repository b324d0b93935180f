import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'vitest'
import type { Transfer } from '../../sandbox/model.ts'
import { makeVolume, setStatus, volumeIn } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const ONE = { pools: [{ ...DEBIAN, target: 1 }] }

const reconcile = async (service: TestService): Promise<Record<string, number>> =>
  (await service.call<Record<string, number>>('POST', '/pool/reconcile')).body

const transfersOf = (service: TestService, volumeId: string): readonly Transfer[] =>
  service.sandbox.cloud.transfers.ofVolume(volumeId)

const repairs = async (service: TestService): Promise<number> => {
  const { body } = await service.call<string>('GET', '/metrics')
  return Number(/spare_pool_repairs_total\{kind="removed_transfer"\} (\d+)/.exec(body)?.[1] ?? 0)
}

/** A transfer whose key somebody else may have, beside whatever the volume waits in; as after a reset of its status. */
function addTransfer(service: TestService, volumeId: string, name?: string): Transfer {
  const transfer: Transfer = {
    id: randomUUID(),
    volumeId,
    name: name ?? volumeIn(service, volumeId).name ?? '',
    sourceProjectId: service.project('pool'),
    authKey: 'somebody else has it',
    createdAt: service.clock.now().getTime(),
    noSnapshots: true
  }
  service.sandbox.cloud.transfers.add(transfer)
  return transfer
}

describe('reconcile, on a transfer that no row knows', () => {
  it('takes it back once two passes have seen it, and arms its spare anew', async t => {
    const service = await aService(t, { config: ONE })
    const volumeId = (await service.spares())[0]?.volume_id ?? ''
    const stray = addTransfer(service, volumeId)
    assert.equal((await reconcile(service))['removed'], 0)
    assert.equal((await service.stats()).orphans, 1)
    assert.equal(transfersOf(service, volumeId).length, 2)
    assert.equal((await reconcile(service))['removed'], 1)
    assert.deepEqual([(await service.stats()).orphans, await repairs(service)], [0, 1])
    await service.call('POST', '/pool/check')
    const left = transfersOf(service, volumeId)
    assert.ok(left.length === 1 && left[0]?.id !== stray.id)
    const { body } = await service.claim()
    assert.deepEqual([body.source, body.volume_id], ['pool', volumeId])
  })

  it('takes it back even if spares are not armed ahead of time', async t => {
    const service = await aService(t, { config: { ...ONE, claims: { prearm: false } } })
    const volumeId = (await service.spares())[0]?.volume_id ?? ''
    addTransfer(service, volumeId)
    for (const removed of [0, 1, 0]) assert.equal((await reconcile(service))['removed'], removed)
    assert.deepEqual(transfersOf(service, volumeId), [])
    await service.call('POST', '/pool/check')
    assert.equal((await service.claim()).body.volume_id, volumeId)
  })

  it('has nothing to take back where all is well', async t => {
    const service = await aService(t)
    for (let pass = 0; pass < 3; pass += 1) assert.equal((await reconcile(service))['removed'], 0)
    assert.equal(await repairs(service), 0)
  })

  it('starts over with one that a pass has not seen', async t => {
    const service = await aService(t, { config: ONE })
    const volumeId = (await service.spares())[0]?.volume_id ?? ''
    const stray = addTransfer(service, volumeId)
    await reconcile(service)
    service.sandbox.cloud.transfers.remove(stray)
    await reconcile(service)
    service.sandbox.cloud.transfers.add(stray)
    assert.equal((await reconcile(service))['removed'], 0)
  })

  it('leaves alone transfers of volumes that are not ours, and those by other names', async t => {
    const service = await aService(t)
    const { volumes } = service.sandbox.cloud
    const [named, other, renamed] = (await service.spares()).map(({ volume_id: id }) => id ?? '')
    assert.ok(named && other && renamed)
    const foreign = await makeVolume(service, `spare-${randomUUID()}`, 'pool')
    setStatus(service, foreign, 'awaiting-transfer')
    volumes.change(volumeIn(service, other), {
      metadata: { ...volumeIn(service, other).metadata, spare_pool: 'other' }
    })
    const strays = [
      addTransfer(service, foreign),
      addTransfer(service, named, 'given by hand'),
      addTransfer(service, other),
      addTransfer(service, renamed)
    ]
    volumes.change(volumeIn(service, renamed), { name: 'kept by hand' })
    for (let pass = 0; pass < 3; pass += 1) assert.equal((await reconcile(service))['removed'], 0)
    for (const { id } of strays) assert.ok(service.sandbox.cloud.transfers.get(id))
    assert.equal(volumeIn(service, foreign).status, 'awaiting-transfer')
  })
})
