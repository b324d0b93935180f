import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { claimDisk } from '../../src/operations/claim/claim-disk.ts'
import { codeOf } from '../../src/pool/errors.ts'
import { loginAs, makeVolume, setStatus, volumeIn } from '../support/cloud.ts'
import { quoting, RESTING_SECONDS } from '../support/cloud-setting.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

/** The pool of the sandbox's own images, empty and not to be filled. */
const EMPTY = { filled: false } as const

const available = async (service: TestService): Promise<number> =>
  (await service.stats()).pools[0]?.spares['available'] ?? 0

const setQuota = (service: TestService, project: string, resource: string, limit: number): void =>
  void service.sandbox.cloud.quotas.set(`${service.project(project)} ${resource}`, limit)

/** Waits for its disk on a clock that stands still until the test moves it. */
const claimOverHttp = (service: TestService, wait_seconds = 60): Promise<Response> =>
  fetch(`${service.service.url}/pool/claim`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ hostname: 'web-01', ...DEBIAN, project_id: service.project('tenant-a'), wait_seconds })
  })

type Claimed = Awaited<ReturnType<TestService['claim']>>

/** The claim's repeat has another disk, and nothing is left of the first. */
async function assertReplaced(service: TestService, first: Claimed): Promise<void> {
  const second = await service.claim({ wait_seconds: 30 })
  assert.deepEqual([second.status, second.body.source], [200, 'created'])
  assert.equal(second.body.claim_id, first.body.claim_id)
  assert.notEqual(second.body.volume_id, first.body.volume_id)
  service.clock.pass(RESTING_SECONDS)
  await service.call('POST', '/pool/check')
  assert.deepEqual(
    service.volumes().map(({ id, status }) => [id, status]),
    [[second.body.volume_id, 'available']]
  )
}

describe('a claim that finds no spare', () => {
  it('has a disk made and handed over as soon as it is available, by the check tick', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60 })
    const first = await service.claim()
    assert.deepEqual(
      [first.status, first.body.source, first.body.status, first.body.miss_reason, first.body.spare_age_seconds],
      [202, 'created', 'creating', 'empty', null]
    )
    service.clock.pass(100)
    await service.call('POST', '/pool/check')
    const volume = service.volumes('tenant-a')[0]
    assert.deepEqual([volume?.id, volume?.name, volume?.metadata], [first.body.volume_id, 'web-01_sys', {}])
    const second = await service.claim()
    assert.deepEqual([second.status, second.body.status, second.body.source], [200, 'available', 'created'])
    assert.deepEqual([second.body.claim_id, second.body.volume_id], [first.body.claim_id, first.body.volume_id])
  })

  it('waits for the disk as long as wait_seconds', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 3 })
    const { status, body } = await service.claim({ wait_seconds: 60 })
    assert.deepEqual([status, body.source, body.status], [200, 'created', 'available'])
    assert.equal(service.volumes('tenant-a')[0]?.id, body.volume_id)
  })

  it('is not kept waiting by a service that stops, and finds its disk on another', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 3600 })
    const claiming = claimOverHttp(service)
    await until(() => service.volumes().length === 1)
    await service.clock.during(service.service.stop())
    const answer = await claiming
    assert.equal(answer.status, 503)
    assert.match(await answer.text(), /the service is stopping.*claim_unsettled/)
    const other = await aService(t, { ...EMPTY, beside: service })
    service.clock.pass(4000)
    assert.deepEqual((await other.claim()).body.source, 'created')
    assert.equal(service.volumes().length, 1)
  })

  it('has one disk made for many repeats at once', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 3600, connections: 10 })
    const answers = await Promise.all(Array.from({ length: 20 }, () => service.claim()))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]))
    assert.equal(new Set(answers.map(({ body }) => body.volume_id)).size, 1)
    assert.equal(service.volumes().length, 1)
  })

  it('makes the disk in the size that is asked for', async t => {
    const service = await aService(t, EMPTY)
    const { body } = await service.claim({ size: 77, wait_seconds: 10 })
    assert.deepEqual([body.source, body.size, service.volumes('tenant-a')[0]?.sizeGib], ['created', 77, 77])
  })

  it('makes it in the pool’s size otherwise', async t => {
    const pools = [{ os: 'debian12', type: 'ssd', target: 5, size: 33 }]
    const service = await aService(t, { ...EMPTY, config: { pools } })
    assert.equal((await service.claim({ wait_seconds: 10 })).body.size, 33)
  })

  it('says why: no_pool where none is configured', async t => {
    const service = await aService(t)
    const { status, body } = await service.claim({ os: 'windows2022', wait_seconds: 10 })
    assert.deepEqual([status, body.source, body.miss_reason, body.size], [200, 'created', 'no_pool', 40])
  })

  it('says why: stale where only spares of an older snapshot are left', async t => {
    const service = await aService(t)
    await service.rows("update os set snapshot_id = 'another', version = '20261201'")
    const { body } = await service.claim({ on_empty: 'fail' })
    assert.equal(body.code, 'pool_empty')
    assert.match(body.detail, /\(stale\)/)
  })

  it('leaves budget and creating_max aside', async t => {
    const limits = { creating_max: 1, budget_gib: 0 }
    const service = await aService(t, { ...EMPTY, config: { limits }, createSeconds: 60 })
    assert.equal((await service.claim({ hostname: 'a' })).status, 202)
    assert.equal((await service.claim({ hostname: 'b' })).status, 202)
  })

  it('is answered pool_empty with Retry-After when on_empty is fail, and leaves no claim behind', async t => {
    const service = await aService(t, EMPTY)
    const { status, body, headers } = await service.claim({ on_empty: 'fail' })
    assert.deepEqual([status, body.code, Number(headers['retry-after']) > 0], [503, 'pool_empty', true])
    assert.deepEqual(await service.claims(), [])
    assert.equal(service.volumes().length, 0)
  })

  it('waits for stock as long as wait_seconds when on_empty is fail', async t => {
    const service = await aService(t, EMPTY)
    const claiming = service.claim({ on_empty: 'fail', wait_seconds: 60 })
    await service.fill()
    const { status, body } = await claiming
    assert.deepEqual([status, body.source, body.miss_reason], [200, 'pool', null])
  })

  it('is image_not_found when neither table os nor Cinder has the image', async t => {
    const service = await aService(t)
    const { status, body } = await service.claim({ os: 'plan9' })
    assert.deepEqual([status, body.code], [404, 'image_not_found'])
    assert.deepEqual(await service.claims(), [])
  })

  it('finds an image in Cinder that table os does not have yet', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addSnapshot({ name: 'alma9_ssd_1', type: 'ceph-ssd', sizeGib: 10 })
    const { body } = await service.claim({ os: 'alma9', wait_seconds: 10 })
    assert.deepEqual([body.source, body.miss_reason, body.image_version], ['created', 'no_pool', '1'])
  })

  it('does not look there with images.source os_table', async t => {
    const service = await aService(t, { ...EMPTY, config: { images: { source: 'os_table' } } })
    assert.equal((await service.claim()).body.code, 'image_not_found')
  })
})

describe('a created disk', () => {
  it('is replaced when it fails before it is available, and never left behind in error', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 5 })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
    const first = await service.claim()
    assert.equal(first.status, 202)
    service.clock.pass(30)
    await service.call('POST', '/pool/check')
    await assertReplaced(service, first)
  })

  it('is replaced when it is gone before it could be handed over', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 20 })
    const first = await service.claim()
    const { cloud } = service.sandbox
    cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 500 })
    service.clock.pass(100)
    await service.call('POST', '/pool/check')
    cloud.faults.remove()
    cloud.volumes.remove(volumeIn(service, first.body.volume_id))
    service.clock.pass(20)
    await service.call('POST', '/pool/reconcile')
    await assertReplaced(service, first)
  })

  it('is replaced when Cinder never finishes it, and deleted once an administrator has reset its state', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 5 })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'stuck_creating', count: 1 })
    const first = await service.claim()
    service.clock.pass(601)
    await service.call('POST', '/pool/check')
    setStatus(service, first.body.volume_id, 'error')
    await service.call('POST', '/pool/check')
    await assertReplaced(service, first)
  })

  it('stays the claim’s when somebody makes a volume of its name before it is handed over', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 5 })
    const first = await service.claim()
    await makeVolume(service, 'web-01_sys')
    service.clock.pass(30)
    await service.call('POST', '/pool/check')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.volume_id], [200, 'created', first.body.volume_id])
  })

  it('is replaced when Cinder loses it, and the claim names the new one from then on', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 5 })
    const first = await service.claim()
    service.sandbox.cloud.volumes.remove(volumeIn(service, first.body.volume_id))
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    const second = await service.claim()
    assert.deepEqual([second.status, second.body.volume_id], [202, service.volumes()[0]?.id])
    assert.equal((await service.claims())[0]?.volume_id, second.body.volume_id)
    await assertReplaced(service, first)
  })

  it('is not handed over when it is finished after it was given up, by the claim that waits for it', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 3600, cloud: { flattens: false } })
    const claiming = claimOverHttp(service, 10)
    await until(() => service.volumes().length === 1)
    const [given] = service.volumes()
    await service.rows("update backup_volumes set created_at = created_at - interval '11 minutes'")
    const { body } = await service.call<{ dropped: number }>('POST', '/pool/check')
    assert.equal(body.dropped, 1)
    setStatus(service, given?.id ?? '', 'available')
    const answer = await service.clock.during(claiming)
    assert.equal(answer.status, 202)
    for (const _ of ['deleted', 'gone']) await service.call('POST', '/pool/check')
    const { volume_id } = (await answer.json()) as { volume_id: string }
    assert.deepEqual(
      service.volumes().map(({ id }) => id),
      [volume_id]
    )
    assert.notEqual(volume_id, given?.id)
  })

  it('is found again by its metadata when the answer to its creation was lost', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60 })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 1 })
    const first = await service.claim()
    assert.deepEqual([first.status, first.body.code], [503, 'claim_unsettled'])
    await service.call('POST', '/pool/check')
    service.clock.pass(90)
    const second = await service.claim({ wait_seconds: 10 })
    assert.deepEqual([second.status, second.body.source], [200, 'created'])
    assert.equal(service.volumes().length, 1)
  })

  it('is made in the project itself where the service’s user is admin there', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60, user: 'admin' })
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.status], [202, 'created', 'creating'])
    const [volume] = service.volumes('tenant-a')
    assert.deepEqual([volume?.id, volume?.name, volume?.metadata], [body.volume_id, 'web-01_sys', {}])
    service.clock.pass(100)
    const again = await service.claim()
    assert.deepEqual([again.status, again.body.volume_id, again.body.source], [200, body.volume_id, 'created'])
    assert.equal(service.volumes().length, 1)
  })

  it('is found again there when the answer to its creation was lost', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 3, user: 'admin' })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 1 })
    const { status, body } = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([status, body.source], [200, 'created'])
    assert.equal(service.volumes().length, 1)
  })

  it('waits in the pool for the caller’s token where only that can accept', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60 })
    takeRole(service, 'tenant-b')
    const token = { 'x-auth-token': await loginAs(service, 'tenant-b-user', 'tenant-b') }
    const project_id = service.project('tenant-b')
    const first = await service.claim({ project_id }, token)
    assert.equal(first.status, 202)
    service.clock.pass(100)
    await service.call('POST', '/pool/check')
    await service.call('POST', '/pool/reconcile')
    assert.equal(service.volumes('tenant-b').length, 0)
    const second = await service.claim({ project_id }, token)
    assert.deepEqual([second.status, second.body.volume_id], [200, first.body.volume_id])
    assert.equal(service.volumes('tenant-b').length, 1)
  })

  it('goes on being made when a look at it fails while its claim waits', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 20 })
    await service.sync() // Reads the images, which takes looks as well.
    service.sandbox.cloud.addFault({ operation: 'volume_show', kind: 'status', status: 500, count: 3 })
    const first = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([first.status, first.body.code], [502, 'cloud_error'])
    const second = await service.claim({ wait_seconds: 60 })
    assert.deepEqual([second.status, second.body.source], [200, 'created'])
    assert.equal(service.volumes().length, 1)
  })

  it('is replaced in the project itself, too, where the one that failed is left to its owners', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 3, user: 'admin' })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
    const first = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([first.status, first.body.code], [503, 'claim_unsettled'])
    const second = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([second.status, second.body.source], [200, 'created'])
    const statuses = service.volumes('tenant-a').map(({ status }) => status)
    assert.deepEqual(statuses.toSorted(), ['available', 'error'])
  })

  it('is retired and deleted, not put into stock, when the project has no quota for it', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60, config: { pools: [] } })
    for (const hostname of ['web-01', 'web-02'])
      assert.equal((await service.claim({ hostname, size: 100 })).status, 202)
    setQuota(service, 'tenant-a', 'volumes', 0)
    service.clock.pass(200)
    const again = await service.claim({ size: 100 })
    assert.deepEqual([again.status, again.body.code], [403, 'quota_exceeded'])
    for (let pass = 0; pass < 4; pass += 1) await service.call('POST', '/pool/check')
    assert.deepEqual([await service.claims(), await service.spares(), service.volumes()], [[], [], []])
  })

  it('is not left behind when its hand-over broke off and nobody came back', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60, config: { pools: [] } })
    takeRole(service, 'tenant-b')
    const token = { 'x-auth-token': await loginAs(service, 'tenant-b-user', 'tenant-b') }
    const project_id = service.project('tenant-b')
    await service.claim({ project_id }, token)
    service.clock.pass(100)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 504, count: 2 })
    assert.equal((await service.claim({ project_id }, token)).body.code, 'claim_unsettled')
    assert.equal(service.volumes('pool')[0]?.name, 'web-01_sys')
    service.clock.pass(25 * 3600)
    for (const tick of ['reconcile', 'check', 'check']) await service.call('POST', `/pool/${tick}`)
    assert.deepEqual([await service.claims(), service.volumes()], [[], []])
  })

  it('is retired when nobody comes for it within a day', async t => {
    const service = await aService(t, { ...EMPTY, createSeconds: 60, config: { pools: [] } })
    takeRole(service, 'tenant-b')
    const token = { 'x-auth-token': await loginAs(service, 'tenant-b-user', 'tenant-b') }
    await service.claim({ project_id: service.project('tenant-b') }, token)
    service.clock.pass(25 * 3600)
    for (const tick of ['check', 'reconcile', 'check', 'check']) await service.call('POST', `/pool/${tick}`)
    assert.deepEqual(await service.claims(), [])
    assert.equal(service.volumes().length, 0)
  })
})

function takeRole(service: TestService, project: string): void {
  const user = [...service.sandbox.cloud.users.values()].find(({ name }) => name === 'pool-svc')
  user?.roles.delete(service.project(project))
}

async function inOrder(service: TestService): Promise<string[]> {
  const spares = await service.spares()
  return spares
    .toSorted((a, b) => (a.created_at + a.id < b.created_at + b.id ? -1 : 1))
    .map(({ volume_id }) => volume_id ?? '')
}

describe('a claim that cannot be finished', () => {
  it('is quota_exceeded when the project has none left, and puts the spare back as it was', async t => {
    const service = await aService(t)
    setQuota(service, 'tenant-a', 'volumes', 0)
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.code], [403, 'quota_exceeded'])
    assert.match(body.detail, quoting(/VolumeLimitExceeded/))
    await assertUntouched(service)
  })

  it('retires its spare when that turns out to be in error, and is over', async t => {
    const service = await aService(t)
    setQuota(service, 'tenant-a', 'volumes', 0)
    setStatus(service, (await inOrder(service))[0] ?? '', 'error')
    assert.equal((await service.claim()).body.code, 'quota_exceeded')
    assert.deepEqual([await service.claims(), await available(service)], [[], 4])
    assert.equal((await service.stats()).pools[0]?.spares['retiring'], 1)
  })

  it('retires a spare that has grown for it, and that its project then refuses', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota', count: 1 })
    const { status, body } = await service.claim({ size: 40 })
    assert.deepEqual([status, body.code], [403, 'quota_exceeded'])
    assert.equal(await available(service), 4)
    for (let pass = 0; pass < 2; pass += 1) await service.call('POST', '/pool/check')
    assert.equal(service.volumes().length, 4)
  })

  it('is volume_type_hidden when the project may not use the type', async t => {
    const service = await aService(t)
    for (const type of service.sandbox.cloud.types.values()) if (type.name === 'ceph-ssd') type.isPublic = false
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.code], [422, 'volume_type_hidden'])
    await assertUntouched(service)
  })

  it('is project_not_accessible when nobody’s token reaches the project', async t => {
    const service = await aService(t)
    const { status, body } = await service.claim({ project_id: '00000000000000000000000000000000' })
    assert.deepEqual([status, body.code], [403, 'project_not_accessible'])
    await assertUntouched(service)
  })

  it('is left open, not undone, when a refusal follows an accept that may still be on its way', async t => {
    const service = await aService(t)
    const { cloud } = service.sandbox
    cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 504, count: 1 })
    cloud.addFault({ operation: 'transfer_accept', kind: 'over_quota', count: 1 })
    const first = await service.claim()
    assert.deepEqual([first.status, first.body.code], [503, 'claim_unsettled'])
    assert.equal((await service.claims())[0]?.status, 'open')
    cloud.faults.remove() // Up to Newton a second accept is not sent while the first may be carried out.
    const second = await service.claim()
    assert.deepEqual([second.status, second.body.source], [200, 'pool'])
    assert.equal(service.volumes('tenant-a').length, 1)
  })

  it('disarms a spare that an earlier try had sent an accept for, before it goes back', async t => {
    const service = await aService(t)
    const { cloud } = service.sandbox
    cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 504, count: 2 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    cloud.faults.remove()
    const before = new Set([...cloud.transfers.all()].map(({ id }) => id))
    setQuota(service, 'tenant-a', 'volumes', 0)
    assert.equal((await service.claim()).body.code, 'quota_exceeded')
    const now = [...cloud.transfers.all()].filter(({ id }) => !before.has(id))
    assert.equal(now.length, 1)
    await assertUntouched(service)
  })

  it('is claim_unsettled or cloud_timeout, and no fault of ours, when its extension takes longer than the request may', async t => {
    const service = await aService(t)
    service.sandbox.cloud.delays = { ...service.sandbox.cloud.delays, extending: 3_600_000 }
    const call = { requestId: 'req-00000000-0000-4000-8000-000000000003', signal: AbortSignal.timeout(400) }
    const { hostname, os, type } = { hostname: 'web-01', os: 'debian12', type: 'ssd' }
    const request = { hostname, os, type, category: 'sys', name: 'web-01_sys', projectId: service.project('tenant-a') }
    const rest = {
      sizeGib: 40,
      onEmpty: 'create',
      waitSeconds: 0,
      idempotencyKey: undefined,
      caller: undefined
    } as const
    const claiming = claimDisk(service.service.deps, { ...request, ...rest }, call)
    const error = await service.clock.during(claiming).catch((failure: unknown) => failure)
    assert.ok(['claim_unsettled', 'cloud_timeout'].includes(codeOf(error)), String(error))
  })

  it('gives an existing volume although the spare that it had taken is gone', async t => {
    const service = await aService(t)
    const [oldest] = await inOrder(service)
    service.sandbox.cloud.volumes.remove(volumeIn(service, oldest ?? ''))
    const existing = await makeVolume(service, 'web-01_sys')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.volume_id], [200, 'existing', existing])
  })

  it('gives an existing volume although the spare that it had taken is in error', async t => {
    const service = await aService(t)
    setStatus(service, (await inOrder(service))[0] ?? '', 'error')
    const existing = await makeVolume(service, 'web-01_sys')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.volume_id], [200, 'existing', existing])
    assert.equal(await available(service), 4)
  })

  it('gives an existing volume, and retires the spare that may still be renamed', async t => {
    const service = await aService(t)
    const existing = await makeVolume(service, 'web-01_sys')
    service.sandbox.cloud.addFault({ operation: 'volume_update', kind: 'reset_after', count: 3 }) // All tries of one call.
    const { body } = await service.claim()
    assert.deepEqual([body.source, body.volume_id], ['existing', existing])
    assert.deepEqual(
      (await service.spares()).filter(({ status }) => status !== 'available').map(({ status }) => status),
      ['retiring']
    )
  })

  it('is unauthenticated when the caller’s own token has just been revoked', async t => {
    const service = await aService(t)
    const headers = { 'x-auth-token': await loginAs(service, 'tenant-a-user', 'tenant-a') }
    await service.claim({ hostname: 'first' }, headers)
    service.sandbox.cloud.tokens.delete(headers['x-auth-token'])
    const { status, body } = await service.claim({ hostname: 'second' }, headers)
    assert.deepEqual([status, body.code], [401, 'unauthenticated'])
    assert.equal(await available(service), 4)
  })

  it('is unauthenticated when that shows only as Cinder refuses it the accept', async t => {
    const service = await aService(t)
    const headers = { 'x-auth-token': await loginAs(service, 'tenant-a-user', 'tenant-a') }
    service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 401, count: 1 })
    const { status, body } = await service.claim({}, headers)
    assert.deepEqual([status, body.code], [401, 'unauthenticated'])
    assert.equal(await available(service), 5)
    assert.equal((await service.claim({}, headers)).body.source, 'pool')
  })

  it('is cloud_unavailable when the cloud is down, and is given its disk afterwards', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: '*', kind: 'status', status: 503, count: 12 })
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.code], [503, 'cloud_unavailable'])
    for (const fault of service.sandbox.cloud.faults.list()) service.sandbox.cloud.faults.remove(fault.id)
    service.clock.pass(60)
    assert.equal((await service.claim()).status, 200)
    assert.equal(service.volumes('tenant-a').length, 1)
    assert.equal(await available(service), 4)
  })

  async function assertUntouched(service: TestService): Promise<void> {
    assert.deepEqual(await service.claims(), [])
    assert.equal(await available(service), 5)
    assert.equal(service.volumes('tenant-a').length, 0)
    for (const { status, name, metadata } of service.volumes('pool')) {
      assert.deepEqual([status, name], ['awaiting-transfer', `spare-${metadata['spare_id']}`])
    }
  }
})

describe('a spare that fails at hand-over', () => {
  it('gives way to the next one when its volume is gone', async t => {
    const service = await aService(t)
    const [oldest] = await inOrder(service)
    service.sandbox.cloud.volumes.remove(volumeIn(service, oldest ?? ''))
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.miss_reason], [200, 'pool', null])
    assert.equal(await available(service), 3)
  })

  it('is armed anew when its transfer is gone', async t => {
    const service = await aService(t)
    const [oldest] = await inOrder(service)
    for (const transfer of service.sandbox.cloud.transfers.ofVolume(oldest ?? '')) {
      service.sandbox.cloud.transfers.remove(transfer)
    }
    setStatus(service, oldest ?? '', 'available')
    const { body } = await service.claim()
    assert.deepEqual([body.source, body.volume_id], ['pool', oldest])
    assert.equal(service.volumes('tenant-a').length, 1)
  })

  it('gives way to the next one when Cinder takes no transfer for it, and is deleted', async t => {
    const service = await aService(t, { config: { claims: { prearm: false } } })
    const [oldest] = await inOrder(service)
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 400, count: 2 })
    const { body } = await service.claim()
    assert.equal(body.source, 'pool')
    assert.notEqual(body.volume_id, oldest)
    for (let pass = 0; pass < 2; pass += 1) await service.call('POST', '/pool/check')
    assert.equal(service.sandbox.cloud.volumes.get(oldest ?? ''), undefined)
    assert.equal(service.volumes('pool').length, 3)
  })

  it('gives way to the next one when it is in error, in the pool’s own project too', async t => {
    const service = await aService(t)
    const ids = await inOrder(service)
    setStatus(service, ids[0] ?? '', 'error')
    const { body } = await service.claim({ project_id: service.project('pool') })
    assert.deepEqual(
      [body.source, body.volume_id, volumeIn(service, body.volume_id).status],
      ['pool', ids[1], 'available']
    )
  })

  it('is not let go of while its renaming is still under way', async t => {
    const service = await aService(t, { config: { claims: { prearm: false } } })
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'status', status: 400, acts: false, count: 2 })
    service.sandbox.cloud.addFault({ operation: 'volume_update', kind: 'delay', ms: 2_000, count: 1 })
    const { status } = await service.claim()
    assert.equal(status, 200)
    service.clock.pass(5)
    await service.fill()
    await service.call('POST', '/pool/check') // Its row goes once Cinder has deleted the volume.
    const spares = await service.spares()
    assert.deepEqual(new Set(service.volumes('pool').map(({ id }) => id)), new Set(spares.map(one => one.volume_id)))
  })

  it('leads to a created disk when three in a row fail', async t => {
    const service = await aService(t)
    for (const id of await inOrder(service)) service.sandbox.cloud.volumes.remove(volumeIn(service, id))
    const { status, body } = await service.claim({ wait_seconds: 30 })
    assert.deepEqual([status, body.source, body.miss_reason], [200, 'created', 'handover_failed'])
  })
})

describe('a category that is no system disk', () => {
  it('keeps its old way', async t => {
    const service = await aService(t, EMPTY)
    const { status, body } = await service.claim({ category: 'data' })
    assert.deepEqual([status, body.code], [422, 'not_a_system_disk'])
  })

  it('is whatever claims.system_categories says', async t => {
    const service = await aService(t, { config: { claims: { system_categories: ['root'] } } })
    assert.equal((await service.claim({ category: 'root' })).body.name, 'web-01_root')
  })
})
