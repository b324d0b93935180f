import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { addType } from '../../sandbox/seed.ts'
import { cloudRequests } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

interface Ticked {
  readonly requested: number
  readonly available: number
  readonly left: number
}

const tick = async (service: TestService, path: 'replenish' | 'check' | 'reconcile'): Promise<Ticked> => {
  const { status, body } = await service.call<Ticked>('POST', `/pool/${path}`)
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

const poolOf = async (service: TestService) => {
  const [pool] = (await service.stats()).pools
  assert.ok(pool)
  return pool
}

const armings = async (service: TestService): Promise<number> =>
  (await cloudRequests(service)).get('transfer_create') ?? 0

const REASON = 'Invalid volume: transferring encrypted volume is not supported'
const refuseTransfers = ({ sandbox }: TestService): void =>
  sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 400, message: REASON })

/** Finished, and refused when they were to be armed. */
async function refused(t: Parameters<typeof aService>[0], target: number): Promise<TestService> {
  const service = await aService(t, { filled: false, config: { pools: [{ ...DEBIAN, target }] } })
  refuseTransfers(service)
  await tick(service, 'replenish')
  assert.equal((await tick(service, 'check')).left, target)
  return service
}

describe('a transfer that Cinder refuses to make', () => {
  it('is the pool’s failure, told in Cinder’s words', async t => {
    const service = await refused(t, 2)
    const pool = await poolOf(service)
    assert.equal(pool.condition, 'backing_off')
    assert.match(pool.last_error ?? '', /^volume \S+ cannot be armed: .*transferring encrypted volume is not supported/)
    service.clock.pass(301)
    const later = await poolOf(service)
    assert.deepEqual([later.condition, later.last_error], ['empty', pool.last_error])
  })

  it('is tried again when the back-off is over and not before, however many volumes and looks there are', async t => {
    const service = await refused(t, 3)
    let tries = await armings(service)
    assert.equal(tries, 3)
    for (const backOffSeconds of [10, 20, 40]) {
      for (let looks = 0; looks < 3; looks += 1) await tick(service, 'check')
      service.clock.pass(backOffSeconds / 2) // Each look takes time of its own.
      await tick(service, 'check')
      assert.equal(await armings(service), tries, `within ${backOffSeconds} s`)
      service.clock.pass(backOffSeconds / 2)
      await tick(service, 'check')
      tries += 3
      assert.equal(await armings(service), tries, `after ${backOffSeconds} s`)
    }
    assert.match((await poolOf(service)).last_error ?? '', /not supported/)
  })

  it('is forgotten once all is well, and the volumes come into stock', async t => {
    const service = await refused(t, 2)
    service.sandbox.cloud.faults.remove()
    service.clock.pass(11)
    assert.equal((await tick(service, 'check')).available, 2)
    const { condition, last_error } = await poolOf(service)
    assert.deepEqual([condition, last_error], ['full', null])
  })

  it('is tried at once after a resume', async t => {
    const service = await refused(t, 2)
    service.sandbox.cloud.faults.remove()
    assert.equal((await tick(service, 'check')).available, 0)
    await service.call('POST', '/pool/resume', DEBIAN)
    assert.equal((await tick(service, 'check')).available, 2)
  })

  it('costs no other pool anything', async t => {
    const pools = [
      { ...DEBIAN, target: 1 },
      { os: 'windows2022', type: 'ssd', target: 1 }
    ]
    const service = await aService(t, { filled: false, config: { pools } })
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 403, count: 1 })
    await tick(service, 'replenish')
    await tick(service, 'check')
    const conditions = (await service.stats()).pools.map(({ condition }) => condition)
    assert.deepEqual(conditions.toSorted(), ['backing_off', 'full'])
  })
})

const SECRET_POOLS = [{ os: 'vault', type: 'ssd', target: 2 }]
const VAULT = { os: 'vault', type: 'ssd' }

/** An image whose disks are encrypted: from the start, or known before they were. */
async function encrypted(
  t: Parameters<typeof aService>[0],
  options: { handover?: 'rename'; knownBefore?: boolean } = {}
): Promise<TestService> {
  const { handover, knownBefore = false } = options
  const claims = handover ? { claims: { handover } } : {}
  const service = await aService(t, { filled: false, config: { pools: SECRET_POOLS, ...claims } })
  const { cloud } = service.sandbox
  const type = addType(cloud, 'luks', true, !knownBefore)
  cloud.addSnapshot({ name: 'vault_ssd_1', type: 'luks' })
  if (knownBefore) await service.sync()
  type.encrypted = true
  return service
}

describe('an image whose source volume is encrypted', () => {
  it('is refused by a sync, with the reason', async t => {
    const service = await encrypted(t)
    const { body } = await service.sync()
    const refusal = body.ignored.find(({ name }) => name === 'vault_ssd_1')
    assert.match(refusal?.reason ?? '', /encrypted.*by transfer/)
    assert.ok(!body.images.some(({ os }) => os === 'vault'))
  })

  it('is refused by replenish and by a claim, with the reason', async t => {
    const service = await encrypted(t)
    assert.equal((await tick(service, 'replenish')).requested, 0)
    const { condition, last_error } = await poolOf(service)
    assert.equal(condition, 'no_image')
    assert.match(last_error ?? '', /no image.*vault_ssd_1 is not used: its source volume is encrypted/)
    const claim = await service.claim(VAULT)
    assert.deepEqual([claim.status, claim.body.code], [404, 'image_not_found'])
    assert.match(claim.body.detail, /vault_ssd_1 is not used: its source volume is encrypted/)
    service.sandbox.cloud.addSnapshot({ name: 'vault_ssd_2', type: 'ceph-ssd' })
    await service.fill()
    assert.deepEqual([(await poolOf(service)).condition, (await poolOf(service)).last_error], ['full', null])
  })

  it('serves where disks are only renamed', async t => {
    const service = await encrypted(t, { handover: 'rename' })
    await service.fill()
    assert.equal((await poolOf(service)).condition, 'full')
    assert.equal((await service.claim({ ...VAULT, project_id: service.project('pool') })).body.source, 'pool')
  })

  it.for([true, false])(
    'makes no stock where table os has it all the same; told with the answer: %s',
    async (told, t) => {
      const service = await encrypted(t, { knownBefore: true })
      const type = [...service.sandbox.cloud.types.values()].find(({ name }) => name === 'luks')
      assert.ok(type)
      type.encrypted = told
      assert.equal((await tick(service, 'replenish')).requested, 2)
      type.encrypted = true
      for (let looks = 0; looks < 3; looks += 1) {
        assert.equal((await tick(service, 'check')).available, 0)
        service.clock.pass(1)
      }
      const { condition, last_error } = await poolOf(service)
      assert.equal(condition, 'backing_off')
      assert.match(last_error ?? '', /Disks of vault on ssd.*encrypted/)
      assert.equal(await armings(service), 0)
      assert.deepEqual([service.volumes('pool'), await service.spares()], [[], []])
    }
  )

  it('ends a claim that misses with a final error, and leaves nothing behind', async t => {
    const service = await encrypted(t, { knownBefore: true })
    const { status, body } = await service.claim(VAULT)
    assert.deepEqual([status, body.code], [404, 'image_not_found'])
    assert.deepEqual(await service.claims(), [])
    for (let looks = 0; looks < 2; looks += 1) await tick(service, 'check')
    assert.deepEqual([service.volumes('pool'), await service.spares()], [[], []])
  })

  it('is neither kept in stock nor adopted once its disks turn out to be encrypted', async t => {
    const service = await encrypted(t, { knownBefore: true })
    const { cloud } = service.sandbox
    const type = [...cloud.types.values()].find(({ name }) => name === 'luks')
    assert.ok(type)
    type.encrypted = false
    await service.fill()
    await service.rows('delete from backup_volumes where id in (select id from backup_volumes limit 1)')
    type.encrypted = true
    for (let pass = 0; pass < 2; pass += 1) {
      await tick(service, 'reconcile')
      await tick(service, 'check')
    }
    assert.deepEqual([service.volumes('pool'), await service.spares()], [[], []])
  })
})
