import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'vitest'
import { reconcile as reconcileOnce } from '../../src/operations/ticks/reconcile.ts'
import type { Spare } from '../../src/pool/spare.ts'
import { cloudRequests, countStatements, loginAs, setStatus, volumeIn } from '../support/cloud.ts'
import { aService, type TestService } from '../support/service.ts'

const reconcile = async (service: TestService) =>
  (await service.call<Record<string, number>>('POST', '/pool/reconcile')).body
const check = (service: TestService) => service.call('POST', '/pool/check')

/** A claim that broke off: the service died between reserving the spare and the named step in Cinder. */
async function brokenClaim(service: TestService): Promise<string> {
  const { sandbox, clock } = service
  sandbox.cloud.addFault({ operation: 'volume_show', kind: 'status', status: 500, after: 1 })
  const { body } = await service.claim()
  assert.equal(body.code, 'claim_unsettled')
  sandbox.cloud.faults.remove()
  clock.pass(60)
  const [claim] = await service.claims()
  assert.equal(claim?.status, 'open')
  return claim?.claim_id ?? ''
}

describe('reconcile, on a claim that broke off', () => {
  it('gives it its disk when Cinder had moved it', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_after', count: 1 })
    const claim = await brokenClaim(service)
    assert.equal((await reconcile(service))['settled'], 1)
    const [settled] = await service.claims()
    const [volume] = service.volumes('tenant-a')
    assert.deepEqual(
      [settled?.claim_id, settled?.status, settled?.source, settled?.volume_id],
      [claim, 'available', 'pool', volume?.id]
    )
    assert.equal(volume?.name, 'web-01_sys')
    assert.equal((await service.spares()).length, 4)
  })

  it('puts its spare back as it was when Cinder had not, and forgets the claim', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 1 })
    await brokenClaim(service)
    assert.equal((await reconcile(service))['settled'], 1)
    assert.deepEqual(await service.claims(), [])
    const spares = await service.spares()
    assert.ok(spares.every(({ status, armed }) => status === 'available' && armed))
    for (const { name, metadata } of service.volumes('pool')) assert.equal(name, `spare-${metadata['spare_id']}`)
    assert.equal((await service.claim()).body.source, 'pool')
  })

  it('leaves alone a claim that somebody works on', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 1 })
    await brokenClaim(service)
    const until = new Date(service.clock.now().getTime() + 10_000).toISOString()
    await service.rows(`update claims set lease_holder = gen_random_uuid(), lease_until = '${until}'`)
    assert.equal((await reconcile(service))['settled'], 0)
  })
})

describe('reconcile, on the stock', () => {
  it('changes nothing where all is well', async t => {
    const service = await aService(t)
    await service.claim()
    assert.deepEqual(await reconcile(service), { settled: 0, adopted: 0, removed: 0, dropped: 0, left: 0 })
    assert.equal((await service.spares()).length, 4)
  })

  it('costs the same statements and requests for much stock as for little, up to a page of each', async t => {
    const cost = async (target: number) => {
      const pools = [{ os: 'debian12', type: 'ssd', target }]
      const limits = { creating_max: 99, creating_max_per_snapshot: 99 }
      const service = await aService(t, { config: { pools, limits } })
      await service.call('POST', '/pool/reconcile')
      const [before, statements] = [await cloudRequests(service), countStatements(service)]
      await service.call('POST', '/pool/reconcile')
      const after = await cloudRequests(service)
      const requests = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)])
      return [statements(), requests.filter(([, count]) => count !== 0)]
    }
    assert.deepEqual(await cost(60), await cost(3))
  })

  it('drops rows whose volume is gone', async t => {
    const service = await aService(t)
    const [spare] = await service.spares()
    service.sandbox.cloud.volumes.remove(volumeIn(service, spare?.volume_id ?? ''))
    assert.equal((await reconcile(service))['dropped'], 1)
    assert.equal((await service.spares()).length, 4)
  })

  it('retires a spare whose volume failed, and drops one that somebody attached', async t => {
    const service = await aService(t)
    const [one, two] = await service.spares()
    setStatus(service, one?.volume_id ?? '', 'error')
    setStatus(service, two?.volume_id ?? '', 'in-use')
    assert.equal((await reconcile(service))['dropped'], 2)
    await check(service)
    await check(service)
    assert.equal(service.sandbox.cloud.volumes.get(one?.volume_id ?? ''), undefined)
    assert.equal(volumeIn(service, two?.volume_id ?? '').status, 'in-use')
  })

  it('arms again a spare that somebody disarmed', async t => {
    const service = await aService(t, { config: { pools: [{ os: 'debian12', type: 'ssd', target: 1 }] } })
    const [spare] = await service.spares()
    for (const transfer of service.sandbox.cloud.transfers.ofVolume(spare?.volume_id ?? '')) {
      service.sandbox.cloud.transfers.remove(transfer)
    }
    setStatus(service, spare?.volume_id ?? '', 'available')
    await reconcile(service)
    await check(service)
    assert.equal(volumeIn(service, spare?.volume_id ?? '').status, 'awaiting-transfer')
    assert.equal((await service.claim()).body.volume_id, spare?.volume_id)
  })

  it('arms again a spare that waits in another transfer than the one whose key is known', async t => {
    const service = await aService(t, { config: { pools: [{ os: 'debian12', type: 'ssd', target: 1 }] } })
    const [spare] = await service.spares()
    const { transfers } = service.sandbox.cloud
    const [ours] = transfers.ofVolume(spare?.volume_id ?? '')
    assert.ok(ours)
    transfers.remove(ours)
    transfers.add({ ...ours, id: randomUUID() })
    await reconcile(service)
    await check(service)
    assert.equal((await service.claim()).body.volume_id, spare?.volume_id)
  })

  it('drops a spare that was renamed or stripped by hand, and leaves its volume alone', async t => {
    const service = await aService(t)
    const [one, two] = await service.spares()
    const { volumes } = service.sandbox.cloud
    volumes.change(volumeIn(service, one?.volume_id ?? ''), { name: 'kept by hand' })
    volumes.change(volumeIn(service, two?.volume_id ?? ''), { metadata: {} })
    assert.equal((await reconcile(service))['dropped'], 2)
    await service.sync({ purge: 'all' })
    for (let pass = 0; pass < 3; pass += 1) await check(service)
    const left = service.volumes('pool').map(({ id }) => id)
    assert.deepEqual(new Set(left), new Set([one?.volume_id, two?.volume_id]))
  })

  it('goes on with the rest if Cinder refuses one volume', async t => {
    const service = await aService(t)
    const [one, two] = await service.spares()
    for (const spare of [one, two]) {
      for (const transfer of service.sandbox.cloud.transfers.ofVolume(spare?.volume_id ?? '')) {
        service.sandbox.cloud.transfers.remove(transfer)
      }
      setStatus(service, spare?.volume_id ?? '', 'available')
    }
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 400, count: 1 })
    await reconcile(service)
    await check(service)
    const waiting = service.volumes('pool').filter(({ status }) => status === 'awaiting-transfer')
    assert.equal(waiting.length, 4)
  })

  it('retires spares whose snapshot is no longer current', async t => {
    const service = await aService(t)
    await service.rows("update os set snapshot_id = 'another', version = '20261201'")
    assert.equal((await service.stats()).pools[0]?.stale_spares, 5)
    await reconcile(service)
    await check(service)
    assert.equal(service.volumes('pool').length, 0)
  })

  it('shows a newer snapshot in Cinder, and changes nothing for it', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addSnapshot({ name: 'debian12_ssd_20261201', type: 'ceph-ssd', sizeGib: 20 })
    await reconcile(service)
    const [pool] = (await service.stats()).pools
    assert.deepEqual(
      [pool?.image?.version, pool?.image?.newer_in_cinder, pool?.condition],
      ['20261101', '20261201', 'full']
    )
    await service.sync()
    assert.equal((await service.stats()).pools[0]?.image?.newer_in_cinder, null)
  })

  it('forgets claims older than keep_days', async t => {
    const service = await aService(t, { config: { claims: { keep_days: 30 } } })
    await service.claim({ hostname: 'old' })
    service.clock.pass(31 * 86_400)
    await service.claim({ hostname: 'new' })
    await reconcile(service)
    assert.deepEqual(
      (await service.claims()).map(({ hostname }) => hostname),
      ['new']
    )
  })
})

describe('reconcile, on volumes that no row knows', () => {
  it('adopts what fits, once two passes have seen it', async t => {
    const service = await aService(t)
    await service.rows('delete from backup_volumes where id in (select id from backup_volumes limit 2)')
    assert.equal((await reconcile(service))['adopted'], 0)
    assert.equal((await service.stats()).orphans, 2)
    assert.equal((await reconcile(service))['adopted'], 2)
    assert.equal((await service.stats()).orphans, 0)
    await check(service)
    assert.equal((await service.spares()).filter(({ status, armed }) => status === 'available' && armed).length, 5)
    const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(hostname => service.claim({ hostname })))
    assert.ok(answers.every(({ body }) => body.source === 'pool'))
    assert.equal(service.volumes('pool').length, 0)
  })

  it('leaves alone what another replica has adopted in the same instant', async t => {
    const service = await aService(t)
    const looks = () => service.volumes('pool').map(({ id, name, metadata }) => ({ id, name, metadata }))
    await service.rows('delete from backup_volumes where id in (select id from backup_volumes limit 1)')
    await reconcile(service)
    const before = looks()
    const { deps } = service.service
    const adopt = async (spare: Spare): Promise<boolean> => {
      await deps.spares.adopt(spare) // The other one.
      return await deps.spares.adopt(spare)
    }
    await reconcileOnce({ ...deps, spares: { ...deps.spares, adopt } }, { requestId: `req-${randomUUID()}` })
    assert.deepEqual(looks(), before)
    await check(service)
    assert.equal((await service.spares()).filter(({ status, armed }) => status === 'available' && armed).length, 5)
  })

  it('removes what no pool wants', async t => {
    const service = await aService(t)
    await service.rows('delete from backup_volumes where id in (select id from backup_volumes limit 1)')
    await service.fill()
    assert.equal(service.volumes('pool').length, 6)
    await reconcile(service)
    assert.equal((await reconcile(service))['removed'], 1)
    await check(service)
    await check(service)
    assert.equal(service.volumes('pool').length, 5)
  })

  it('removes a volume of another type than its image’s, though there is room', async t => {
    const service = await aService(t)
    const { types, volumes } = service.sandbox.cloud
    const other = [...types.values()].find(({ name }) => name === 'ceph-sas')
    assert.ok(other)
    const [spare] = await service.spares()
    await service.rows(`delete from backup_volumes where id = '${spare?.id}'`)
    volumes.change(volumeIn(service, spare?.volume_id ?? ''), { type: other })
    await reconcile(service)
    const { adopted, removed } = await reconcile(service)
    assert.deepEqual([adopted, removed], [0, 1])
    await check(service)
    await check(service)
    assert.equal(volumes.get(spare?.volume_id ?? ''), undefined)
  })

  it('touches nothing of another deployment, renamed, attached or without our metadata', async t => {
    const service = await aService(t)
    const { volumes } = service.sandbox.cloud
    const spares = await service.spares()
    const [other, renamed, attached, bare] = spares.map(({ volume_id }) => volumeIn(service, volume_id ?? ''))
    assert.ok(other && renamed && attached && bare)
    await service.rows('delete from backup_volumes')
    volumes.change(other, { metadata: { ...other.metadata, spare_pool: 'another' } })
    volumes.change(renamed, { name: 'kept by hand' })
    const attachment = { id: 'a', serverId: 's', hostName: null, device: '/dev/vda', attachedAt: 0 }
    volumes.change(attached, { attachments: [attachment], status: 'in-use' })
    volumes.change(bare, { metadata: {} })
    const before = JSON.stringify([other, renamed, attached, bare])
    for (let pass = 0; pass < 3; pass += 1) {
      await reconcile(service)
      await check(service)
    }
    assert.equal(JSON.stringify([other, renamed, attached, bare].map(({ id }) => volumes.get(id))), before)
  })

  it('never touches a disk that was claimed, whatever its name and metadata say', async t => {
    const service = await aService(t)
    const { body } = await service.claim({ project_id: undefined })
    const token = await loginAs(service, 'pool-svc', 'pool')
    assert.ok(token)
    service.sandbox.cloud.volumes.change(volumeIn(service, body.volume_id), {
      name: 'spare-x',
      metadata: { spare_pool: 'default', spare_id: 'x' }
    })
    for (let pass = 0; pass < 3; pass += 1) {
      await reconcile(service)
      await check(service)
    }
    assert.equal(volumeIn(service, body.volume_id).status, 'available')
  })
})
