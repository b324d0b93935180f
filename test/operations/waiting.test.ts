/** Who waits longest is served first, by whatever comes first. */
import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { claimDisk } from '../../src/operations/claim/claim-disk.ts'
import { setStatus, volumeIn } from '../support/cloud.ts'
import { aRequest } from '../support/samples.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

/** A volume a minute, and nothing in stock at first. */
const SLOW = {
  filled: false,
  createSeconds: 60,
  cloud: { flattens: false }, // Else up to Newton what is accepted would wait for what is made.
  config: { pools: [{ ...DEBIAN, target: 1 }] }
} as const

const check = (service: TestService) => service.call('POST', '/pool/check')

/** One volume is being made for the stock. */
async function aRefill(t: Parameters<typeof aService>[0], options: object = {}) {
  const service = await aService(t, { ...SLOW, ...options })
  await service.call('POST', '/pool/replenish')
  const [refill] = service.volumes()
  assert.ok(refill)
  return { service, refill }
}

/** Its answer comes in the time of the test's clock, which stands still. */
const claimOverHttp = (service: TestService, body: object): Promise<Response> =>
  fetch(`${service.service.url}/pool/claim`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ hostname: 'web-01', ...DEBIAN, project_id: service.project('tenant-a'), ...body })
  })

const statusOf = async (service: TestService, volumeId: string): Promise<string | undefined> =>
  (await service.spares()).find(({ volume_id }) => volume_id === volumeId)?.status

describe('a claim whose disk is being made', () => {
  it('is given the spare that comes into stock first, and its own goes on for the stock', async t => {
    const { service, refill } = await aRefill(t)
    const first = await service.claim()
    assert.equal(first.status, 202)
    service.clock.pass(61)
    await check(service)
    assert.deepEqual([volumeIn(service, refill.id).projectId, refill.name], [service.project('tenant-a'), 'web-01_sys'])
    assert.equal(await statusOf(service, first.body.volume_id), 'creating')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.volume_id, body.claim_id], [200, refill.id, first.body.claim_id])
    assert.deepEqual([body.source, body.miss_reason, body.spare_age_seconds], ['created', 'empty', null])
    service.clock.pass(61)
    await check(service)
    assert.equal(await statusOf(service, first.body.volume_id), 'available')
    const { body: plan } = await service.call<{ requested: number }>('POST', '/pool/replenish')
    assert.deepEqual([plan.requested, service.volumes().length], [0, 2])
  })

  it('is given it while it waits for its answer', async t => {
    const { service, refill } = await aRefill(t)
    const claiming = claimOverHttp(service, { wait_seconds: 60 })
    await until(() => service.volumes().length === 2)
    setStatus(service, refill.id, 'available')
    await check(service)
    const answer = await service.clock.during(claiming)
    assert.equal(answer.status, 200)
    assert.equal(((await answer.json()) as { volume_id: string }).volume_id, refill.id)
  })

  it('is not overtaken by one that comes later, nor by one that waits for less long', async t => {
    const { service, refill } = await aRefill(t)
    for (const hostname of ['first', 'second']) {
      assert.equal((await service.claim({ hostname })).status, 202)
      service.clock.pass(1)
    }
    setStatus(service, refill.id, 'available')
    await check(service)
    assert.equal((await service.claim({ hostname: 'third' })).status, 202)
    assert.equal((await service.claim({ hostname: 'second' })).status, 202)
    assert.deepEqual((await service.claim({ hostname: 'first' })).body.volume_id, refill.id)
  })

  it('is given a spare without a transfer, too, where the pool makes none ahead of time', async t => {
    const { service, refill } = await aRefill(t, { config: { ...SLOW.config, claims: { prearm: false } } })
    await service.claim()
    service.clock.pass(61)
    await check(service)
    assert.equal((await service.claim()).body.volume_id, refill.id)
  })

  it('has one of its own where it wants a larger one', async t => {
    const { service, refill } = await aRefill(t)
    const { body } = await service.claim({ size: 40 })
    service.clock.pass(61)
    await check(service)
    assert.equal(await statusOf(service, refill.id), 'available')
    service.clock.pass(61)
    await check(service)
    assert.deepEqual((await service.claim({ size: 40 })).body.volume_id, body.volume_id)
  })

  it('is given a spare that another claim puts back', async t => {
    const { service, refill } = await aRefill(t)
    service.clock.pass(61)
    await check(service)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 504, count: 2 })
    const other = { hostname: 'other', project_id: service.project('tenant-b') }
    assert.equal((await service.claim(other)).body.code, 'claim_unsettled')
    assert.equal((await service.claim()).status, 202)
    service.sandbox.cloud.faults.remove()
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota', count: 1 })
    assert.equal((await service.claim(other)).body.code, 'quota_exceeded')
    await service.call('POST', '/pool/reconcile')
    assert.deepEqual([volumeIn(service, refill.id).projectId, refill.name], [service.project('tenant-a'), 'web-01_sys'])
  })

  it('gives the spare back as it was where its project has no room any more', async t => {
    const { service, refill } = await aRefill(t)
    await service.claim()
    service.sandbox.cloud.quotas.set(`${service.project('tenant-a')} volumes`, 0)
    service.clock.pass(61)
    await check(service)
    assert.deepEqual([await statusOf(service, refill.id), await service.claims()], ['available', []])
    assert.deepEqual([refill.name, refill.status], [`spare-${refill.metadata['spare_id']}`, 'awaiting-transfer'])
  })

  it('is given a spare from stock where its own has failed', async t => {
    const { service, refill } = await aRefill(t)
    const { body } = await service.claim()
    service.sandbox.cloud.volumes.remove(volumeIn(service, body.volume_id))
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    service.clock.pass(61)
    await check(service)
    const again = await service.claim()
    assert.deepEqual([again.status, again.body.volume_id, again.body.source], [200, refill.id, 'created'])
    assert.equal(service.volumes().length, 1)
  })

  it('has it asked for before any refill of the same snapshot', async t => {
    const service = await aService(t, SLOW)
    const volumes: number[] = []
    const wake = (tick: string): void => void (tick === 'replenish' && volumes.push(service.volumes().length))
    const request = aRequest({ projectId: service.project('tenant-a') })
    const requestId = 'req-00000000-0000-4000-8000-000000000005'
    await service.clock.during(claimDisk({ ...service.service.deps, wake }, request, { requestId }))
    assert.deepEqual(volumes, [1])
  })
})

describe('a claim that waits for stock', () => {
  it('is given the next spare before those that came later', async t => {
    const { service, refill } = await aRefill(t)
    const waiting = claimOverHttp(service, { hostname: 'first', on_empty: 'fail', wait_seconds: 60 })
    await until(async () => (await service.rows('select id from claims where waiting')).length === 1)
    setStatus(service, refill.id, 'available')
    await check(service)
    const later = await service.claim({ hostname: 'later', on_empty: 'fail' })
    assert.equal(later.body.code, 'pool_empty')
    const answer = await service.clock.during(waiting)
    const { volume_id, source } = (await answer.json()) as { volume_id: string; source: string }
    assert.deepEqual([answer.status, volume_id, source], [200, refill.id, 'pool'])
  })

  it('leaves nothing behind when its time is up, and the next spare to others', async t => {
    const { service, refill } = await aRefill(t)
    const { status, body } = await service.claim({ on_empty: 'fail', wait_seconds: 5 })
    assert.deepEqual([status, body.code, await service.claims()], [503, 'pool_empty', []])
    service.clock.pass(61)
    await check(service)
    assert.equal(await statusOf(service, refill.id), 'available')
  })
})
