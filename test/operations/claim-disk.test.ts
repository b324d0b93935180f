import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { cloudRequests, countStatements, loginAs, makeVolume, setStatus, volumeIn } from '../support/cloud.ts'
import { aService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const available = async (service: TestService): Promise<number> =>
  (await service.stats()).pools[0]?.spares['available'] ?? 0

describe('claiming a disk from stock', () => {
  it('gives the oldest spare, renamed and without our metadata, to the project', async t => {
    const service = await aService(t)
    const [oldest] = (await service.spares()).toSorted((a, b) => (a.created_at + a.id < b.created_at + b.id ? -1 : 1))
    const { status, body } = await service.claim({ hostname: 'web-01' })
    assert.equal(status, 200)
    assert.equal(body.volume_id, oldest?.volume_id)
    assert.deepEqual(
      [body.source, body.status, body.name, body.size, body.volume_type, body.image_version, body.miss_reason],
      ['pool', 'available', 'web-01_sys', 20, 'ceph-ssd', '20261101', null]
    )
    const [volume] = service.volumes('tenant-a')
    assert.ok(volume)
    assert.deepEqual([volume.id, volume.name, volume.status], [body.volume_id, 'web-01_sys', 'available'])
    assert.deepEqual(volume.metadata, {})
    assert.equal(await available(service), 4)
  })

  it('costs two statements and four calls to Cinder when the spare is armed: look-up beside look and rename, then accept', async t => {
    const service = await aService(t)
    await service.claim({ hostname: 'first' }) // Logs in to the project.
    const before = await cloudRequests(service)
    const statements = countStatements(service)
    await service.claim({ hostname: 'second' })
    assert.equal(statements(), 2)
    const calls = { transfer_accept: 1, volume_list: 1, volume_show: 1, volume_update: 1 }
    assert.deepEqual(await requestsSince(service, before), calls)
  })

  it('costs an admin a look more for each change, since Cinder would let him change what is not there', async t => {
    const service = await aService(t, { user: 'admin' })
    await service.claim({ hostname: 'first' })
    const before = await cloudRequests(service)
    await service.claim({ hostname: 'second' })
    const calls = { transfer_accept: 1, volume_list: 1, volume_show: 2, volume_update: 1 }
    assert.deepEqual(await requestsSince(service, before), calls)
  })

  it('gives rival claims different volumes', async t => {
    const service = await aService(t, { connections: 5 })
    const names = ['a', 'b', 'c', 'd', 'e']
    const answers = await Promise.all(names.map(hostname => service.claim({ hostname })))
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body.source]),
      names.map(() => [200, 'pool'])
    )
    assert.equal(new Set(answers.map(({ body }) => body.volume_id)).size, 5)
  })

  it('only renames in the pool’s own project, where a disk goes that no project is named for', async t => {
    const service = await aService(t)
    const { status, body } = await service.claim({ project_id: undefined })
    assert.deepEqual([status, body.source, body.project_id], [200, 'pool', service.project('pool')])
    const volume = service.volumes('pool').find(({ id }) => id === body.volume_id)
    assert.deepEqual([volume?.name, volume?.status, volume?.metadata], ['web-01_sys', 'available', {}])
  })

  it('only renames with claims.handover rename, and arms nothing', async t => {
    const service = await aService(t, { config: { claims: { handover: 'rename' } } })
    assert.ok((await service.spares()).every(({ armed }) => !armed))
    const { status, body } = await service.claim({ project_id: undefined })
    assert.deepEqual([status, body.source], [200, 'pool'])
    const other = await service.claim({ hostname: 'web-02' })
    assert.deepEqual([other.status, other.body.code], [403, 'project_not_accessible'])
    assert.equal(await available(service), 4)
  })

  it('arms on the spot without prearm', async t => {
    const service = await aService(t, { config: { claims: { prearm: false } } })
    assert.ok((await service.spares()).every(({ armed }) => !armed))
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.project_id], [200, 'pool', service.project('tenant-a')])
  })

  it('takes the type without regard to case, and the category sys by default', async t => {
    const service = await aService(t)
    const { body } = await service.claim({ type: 'SSD' })
    assert.deepEqual([body.source, body.type, body.name], ['pool', 'ssd', 'web-01_sys'])
  })

  it('extends the disk before it is handed over when a larger one is wanted', async t => {
    const service = await aService(t)
    const { status, body } = await service.claim({ size: 40 })
    assert.deepEqual([status, body.source, body.size], [200, 'pool', 40])
    assert.equal(service.volumes('tenant-a')[0]?.sizeGib, 40)
  })

  it('gives the spare as it is when a smaller one is wanted', async t => {
    const service = await aService(t)
    const { body } = await service.claim({ size: 1 })
    assert.deepEqual([body.source, body.size], ['pool', 20])
  })

  it('accepts with the caller’s own token, so that the owner is the caller’s', async t => {
    const service = await aService(t)
    const token = await loginAs(service, 'tenant-b-user', 'tenant-b')
    const { status, body } = await service.claim({ project_id: undefined }, { 'x-auth-token': token })
    assert.deepEqual([status, body.source, body.project_id], [200, 'pool', service.project('tenant-b')])
    const owner = [...service.sandbox.cloud.users.values()].find(({ name }) => name === 'tenant-b-user')
    assert.equal(service.volumes('tenant-b')[0]?.userId, owner?.id)
  })

  it('starts a refill, and is not held up by it', async t => {
    const service = await aService(t)
    await service.claim()
    await service.fill()
    assert.equal(await available(service), 5)
  })
})

describe('claiming a disk again', () => {
  it('gives the same volume, under the same claim', async t => {
    const service = await aService(t)
    const first = await service.claim()
    const second = await service.claim()
    assert.equal(second.status, 200)
    assert.deepEqual(second.body, first.body)
    assert.equal(await available(service), 4)
  })

  it('gives it under the name that its tenant has given it since', async t => {
    const service = await aService(t)
    const { body } = await service.claim()
    const volume = volumeIn(service, body.volume_id)
    service.sandbox.cloud.volumes.change(volume, { name: 'spare-disk of mine' })
    assert.equal((await service.claim()).body.volume_id, body.volume_id)
    assert.equal(volume.name, 'spare-disk of mine')
  })

  it('gives 50 repeats at once one volume and uses one spare', async t => {
    const service = await aService(t, { connections: 10 })
    const answers = await Promise.all(Array.from({ length: 50 }, () => service.claim()))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(new Set(answers.map(({ body }) => body.volume_id)).size, 1)
    assert.equal(new Set(answers.map(({ body }) => body.claim_id)).size, 1)
    assert.equal(await available(service), 4)
    assert.equal(service.volumes('tenant-a').length, 1)
  })

  it('gives repeats on two replicas one volume', async t => {
    const one = await aService(t, { connections: 5 })
    const two = await aService(t, { beside: one, connections: 5 })
    const answers = await Promise.all([one.claim(), two.claim(), one.claim(), two.claim()])
    assert.equal(new Set(answers.map(({ body }) => body.volume_id)).size, 1)
    assert.equal(one.volumes('tenant-a').length, 1)
  })

  it('makes a new claim once the volume is gone from Cinder', async t => {
    const service = await aService(t)
    const first = await service.claim()
    service.sandbox.cloud.volumes.remove(volumeIn(service, first.body.volume_id))
    const second = await service.claim()
    assert.equal(second.body.source, 'pool')
    assert.notEqual(second.body.volume_id, first.body.volume_id)
    assert.notEqual(second.body.claim_id, first.body.claim_id)
  })

  it('recognises the same idempotency key, and refuses it for another claim', async t => {
    const service = await aService(t)
    const key = { 'idempotency-key': 'order-17' }
    const first = await service.claim({}, key)
    const again = await service.claim({ wait_seconds: 5 }, key)
    assert.equal(again.body.volume_id, first.body.volume_id)
    const other = await service.claim({ hostname: 'web-02' }, key)
    assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused'])
    const elsewhere = await service.claim({ hostname: 'web-02', project_id: service.project('tenant-b') }, key)
    assert.deepEqual([elsewhere.status, elsewhere.body.source], [200, 'pool'])
  })

  it('lets a key be used again after an answer that made no claim', async t => {
    const service = await aService(t, { filled: false })
    const key = { 'idempotency-key': 'order-18' }
    const empty = await service.claim({ on_empty: 'fail' }, key)
    assert.equal(empty.body.code, 'pool_empty')
    const other = await service.claim({ hostname: 'web-02' }, key)
    assert.equal(other.body.source, 'created')
  })

  it('goes on where another replica died, once it has watched its lease for five seconds', async t => {
    const service = await aService(t)
    const { sandbox, clock } = service
    sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 2 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    sandbox.cloud.faults.remove()
    const leaseUntil = new Date(clock.now().getTime() + 10_000).toISOString()
    await service.rows(`update claims set lease_holder = gen_random_uuid(), lease_until = '${leaseUntil}'`)
    clock.pass(60)
    const beganMs = clock.monotonicMs()
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source], [200, 'pool'])
    assert.ok(clock.monotonicMs() - beganMs >= 5_000)
  })

  it('is not undone by who was silent for so long that another has taken it over', async t => {
    const service = await aService(t)
    const { sandbox, clock } = service
    sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 2 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    clock.pass(60)
    sandbox.cloud.faults.remove()
    sandbox.cloud.addFault({ operation: 'volume_show', kind: 'delay', ms: 1_000, count: 1 })
    const reconciling = fetch(`${service.service.url}/pool/reconcile`, { method: 'POST' }) // On a clock that stands still.
    await until(() => sandbox.cloud.faults.list()[0]?.strikes === 1) // It looks at the spare that is to be put back.
    const leaseUntil = new Date(clock.now().getTime() + 10_000).toISOString()
    await service.rows(`update claims set lease_holder = gen_random_uuid(), lease_until = '${leaseUntil}'`)
    const before = structuredClone(service.volumes().find(({ name }) => name === 'web-01_sys'))
    assert.ok(before)
    clock.pass(7)
    assert.equal((await reconciling).status, 200)
    assert.deepEqual(service.sandbox.cloud.volumes.get(before.id), before)
    assert.equal(before.status, 'awaiting-transfer')
  })

  it('goes on where another request broke off, with the same spare', async t => {
    const service = await aService(t)
    const { sandbox, clock } = service
    sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 500, acts: true, count: 2 })
    sandbox.cloud.addFault({ operation: 'volume_show', kind: 'status', status: 500, after: 1, count: 3 })
    const first = await service.claim()
    assert.deepEqual([first.status, first.body.code], [503, 'claim_unsettled'])
    assert.equal(service.volumes('tenant-a').length, 1)
    clock.pass(60)
    const second = await service.claim()
    assert.deepEqual([second.status, second.body.source], [200, 'pool'])
    assert.equal(second.body.volume_id, service.volumes('tenant-a')[0]?.id)
    assert.equal(service.volumes('tenant-a').length, 1)
  })

  it('goes on where another request broke off without a spare, with the oldest in stock', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'reset_before', count: 2 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    service.sandbox.cloud.faults.remove()
    await service.rows('delete from backup_volumes where claim_id is not null')
    service.clock.pass(60)
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.miss_reason], [200, 'pool', null])
  })
})

describe('claiming a name that exists', () => {
  it('gives the existing volume as it is, and puts the spare back as it was', async t => {
    const service = await aService(t)
    const spares = await service.spares()
    const existing = await makeVolume(service, 'web-01_sys')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.volume_id, body.size], [200, 'existing', existing, 3])
    assert.equal(await available(service), 5)
    const names = (rows: readonly { name: string; armed: boolean }[]) => rows.map(({ name, armed }) => [name, armed])
    assert.deepEqual(names(await service.spares()), names(spares))
    const pool = service.volumes('pool')
    assert.ok(pool.every(({ name, metadata }) => name === `spare-${metadata['spare_id']}`))
  })

  it('answers 202 while the existing volume is on its way, and 200 later', async t => {
    const service = await aService(t)
    const id = await makeVolume(service, 'web-01_sys')
    setStatus(service, id, 'creating')
    assert.equal((await service.claim()).status, 202)
    setStatus(service, id, 'available')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.volume_id], [200, 'existing', id])
  })

  it.for(['error', 'error_deleting', 'deleting', 'awaiting-transfer'])('refuses one that is %s', async (wrong, t) => {
    const service = await aService(t)
    const id = await makeVolume(service, 'web-01_sys')
    setStatus(service, id, wrong)
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.code], [409, 'existing_volume_unusable'])
    assert.equal(await available(service), 5)
    assert.deepEqual(await service.claims(), [])
  })

  it('of several prefers an available one, then one in use, then one on its way, the oldest of them', async t => {
    const service = await aService(t)
    const ids = []
    for (const status of ['error', 'creating', 'in-use', 'available', 'available']) {
      const id = await makeVolume(service, 'web-01_sys')
      setStatus(service, id, status)
      ids.push(id)
      service.clock.pass(1)
    }
    assert.equal((await service.claim()).body.volume_id, ids[3])
  })

  it('does not take a name for the same that differs in case', async t => {
    const service = await aService(t)
    await makeVolume(service, 'WEB-01_sys')
    assert.equal((await service.claim()).body.source, 'pool')
  })

  it('trusts table claims with claims.check_existing claims, and asks Cinder nothing', async t => {
    const service = await aService(t, { config: { claims: { check_existing: 'claims' } } })
    await makeVolume(service, 'web-01_sys')
    assert.equal((await service.claim()).body.source, 'pool')
  })

  it('then costs no look for the name: the volume is looked at, renamed and accepted', async t => {
    const service = await aService(t, { config: { claims: { check_existing: 'claims' } } })
    await service.claim({ hostname: 'first' }) // Logs in to the project.
    const [before, statements] = [await cloudRequests(service), countStatements(service)]
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, statements()], [200, 'pool', 2])
    assert.deepEqual(await requestsSince(service, before), { transfer_accept: 1, volume_show: 1, volume_update: 1 })
  })

  it('then puts the spare back under its own name where the project has no quota for it', async t => {
    const service = await aService(t, { config: { claims: { check_existing: 'claims' } } })
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota' })
    assert.equal((await service.claim()).body.code, 'quota_exceeded')
    const spares = await service.spares()
    assert.ok(spares.every(({ status, armed }) => status === 'available' && armed))
    for (const { volume_id, name } of spares) assert.equal(volumeIn(service, volume_id ?? '').name, name)
  })
})

async function requestsSince(service: TestService, before: ReadonlyMap<string, number>): Promise<object> {
  const after = await cloudRequests(service)
  const made = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
  return Object.fromEntries(made.filter(([, count]) => count !== 0))
}
