/** What a caller cannot have costs the pool nothing: it is found out before a spare is extended, or a disk made. */
import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { claimDisk } from '../../src/operations/claim/claim-disk.ts'
import { loginAs, volumeIn } from '../support/cloud.ts'
import { aRequest } from '../support/samples.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const setQuota = (service: TestService, project: string, resource: string, limit: number): void =>
  void service.sandbox.cloud.quotas.set(`${service.project(project)} ${resource}`, limit)

const hideType = ({ sandbox }: TestService): void => {
  for (const type of sandbox.cloud.types.values()) type.isPublic = false
}

/** Whatever is not as a filled pool of five is at its beginning, and what was asked of the cloud that changes anything. */
async function assertNothingDone(service: TestService, before: number): Promise<void> {
  assert.deepEqual(await service.claims(), [])
  const spares = await service.spares()
  assert.ok(spares.every(({ status, armed }) => status === 'available' && armed))
  for (const { volume_id, name } of spares) {
    const volume = volumeIn(service, volume_id ?? '')
    assert.deepEqual([volume.name, volume.sizeGib, volume.status], [name, 20, 'awaiting-transfer'])
  }
  const changes = service.sandbox.cloud.journal.after(before).map(({ change }) => change)
  assert.deepEqual(
    changes.filter(change => /created|extended|moved|deleted/.test(change)),
    []
  )
}

const lastEntry = ({ sandbox }: TestService): number => sandbox.cloud.journal.after(0).at(-1)?.sequence ?? 0

/** What of it a disk of 400 GiB does not fit into. */
const LIMITS = [
  ['volumes', 0],
  ['gigabytes', 399],
  ['volumes_ceph-ssd', 0],
  ['gigabytes_ceph-ssd', 399],
  ['per_volume_gigabytes', 399]
] as const

describe('a disk that does not fit into its project', () => {
  it.for(LIMITS)('is refused before a spare is extended for it: %s %i', async ([resource, limit], t) => {
    const service = await aService(t)
    setQuota(service, 'tenant-a', resource, limit)
    const before = lastEntry(service)
    const { status, body } = await service.claim({ size: 400 })
    assert.deepEqual([status, body.code], [403, 'quota_exceeded'])
    assert.match(body.detail, new RegExp(`takes (1|400) of ${resource}, and ${limit} are left`))
    await assertNothingDone(service, before)
    assert.equal((await service.spares()).length, 5)
  })

  it.for(LIMITS)('is refused before it is made: %s %i', async ([resource, limit], t) => {
    const service = await aService(t, { filled: false })
    await service.sync()
    setQuota(service, 'tenant-a', resource, limit)
    const before = lastEntry(service)
    const { status, body } = await service.claim({ size: 400 })
    assert.deepEqual([status, body.code], [403, 'quota_exceeded'])
    await assertNothingDone(service, before)
    assert.deepEqual(await service.spares(), [])
  })

  it('is refused by what its own caller’s token sees of the limits', async t => {
    const service = await aService(t)
    const headers = { 'x-auth-token': await loginAs(service, 'tenant-b-user', 'tenant-b') }
    const user = [...service.sandbox.cloud.users.values()].find(({ name }) => name === 'pool-svc')
    user?.roles.delete(service.project('tenant-b'))
    setQuota(service, 'tenant-b', 'gigabytes', 30)
    const before = lastEntry(service)
    const { body } = await service.claim({ size: 40, project_id: service.project('tenant-b') }, headers)
    assert.equal(body.code, 'quota_exceeded')
    await assertNothingDone(service, before)
  })

  it('needs only what it grows by where it is in the pool’s own project, and the whole where it has to be made', async t => {
    const service = await aService(t)
    const project_id = service.project('pool')
    const used = (resource: string): number => service.sandbox.cloud.usage.of(project_id, resource)
    setQuota(service, 'pool', 'gigabytes', used('gigabytes') + 10)
    setQuota(service, 'pool', 'volumes', used('volumes'))
    const [before, refused] = [lastEntry(service), await service.claim({ project_id, size: 31 })]
    assert.deepEqual([refused.status, refused.body.code], [403, 'quota_exceeded'])
    await assertNothingDone(service, before)
    const grown = await service.claim({ project_id, size: 30 })
    assert.deepEqual([grown.status, grown.body.size], [200, 30])
    const made = await service.claim({ project_id, os: 'windows2022', hostname: 'web-02' })
    assert.deepEqual([made.status, made.body.code], [403, 'quota_exceeded'])
  })

  it('starts no refill: the spare that was held for it comes back', async t => {
    const service = await aService(t)
    setQuota(service, 'tenant-a', 'volumes', 0)
    const woken: string[] = []
    const deps = { ...service.service.deps, wake: (tick: string): void => void woken.push(tick) }
    const claim = async (hostname: string, project: string) => {
      const request = aRequest({ hostname, name: `${hostname}_sys`, projectId: service.project(project) })
      return await claimDisk(deps, request, { requestId: 'req-00000000-0000-4000-8000-000000000006' })
    }
    await assert.rejects(claim('web-01', 'tenant-a'), { code: 'quota_exceeded' })
    assert.deepEqual(woken, [])
    await claim('web-02', 'tenant-b')
    assert.deepEqual(woken, ['replenish'])
  })

  it('is taken to Cinder as it comes where the token may not look', async t => {
    const service = await aService(t)
    const { cloud } = service.sandbox
    cloud.addFault({ operation: 'quota_show', kind: 'status', status: 403, count: 2 })
    cloud.addFault({ operation: 'type_show', kind: 'status', status: 404, count: 1 })
    const { status, body } = await service.claim({ size: 40 })
    assert.deepEqual([status, body.source, body.size], [200, 'pool', 40])
  })
})

describe('a disk of a type that its project may not use', () => {
  it('is refused before a spare is extended for it', async t => {
    const service = await aService(t)
    hideType(service)
    const before = lastEntry(service)
    const { status, body } = await service.claim({ size: 40 })
    assert.deepEqual([status, body.code], [422, 'volume_type_hidden'])
    await assertNothingDone(service, before)
  })

  it('is refused before it is made', async t => {
    const service = await aService(t, { filled: false })
    await service.sync()
    hideType(service)
    const before = lastEntry(service)
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.code], [422, 'volume_type_hidden'])
    await assertNothingDone(service, before)
  })

  it('is given where an admin takes it in, who may use every type', async t => {
    const service = await aService(t, { user: 'admin' })
    hideType(service)
    const { status, body } = await service.claim({ size: 40 })
    assert.deepEqual([status, body.source], [200, 'pool'])
  })
})

describe('an extension that fails in Cinder', () => {
  it('ends its claim, and costs no more than the one spare', async t => {
    const service = await aService(t)
    service.sandbox.cloud.addFault({ operation: 'volume_extend', kind: 'error_volume' })
    const { status, body } = await service.claim({ size: 40 })
    assert.deepEqual([status, body.code], [502, 'cloud_error'])
    assert.match(body.detail, /could not extend a disk to 40 GiB.*error_extending/)
    assert.deepEqual(await service.claims(), [])
    const statuses = (await service.spares()).map(one => one.status)
    assert.deepEqual(statuses.toSorted(), ['available', 'available', 'available', 'available', 'retiring'])
  })
})

describe('the disks on their way for one project', () => {
  const LIMITED = { filled: false, createSeconds: 60, config: { limits: { creating_max_per_project: 2 } } } as const

  it('are no more than limits.creating_max_per_project: beyond, nothing is done', async t => {
    const service = await aService(t, LIMITED)
    for (const hostname of ['a', 'b']) assert.equal((await service.claim({ hostname })).status, 202)
    const { status, body, headers } = await service.claim({ hostname: 'c' })
    assert.deepEqual([status, body.code, headers['retry-after']], [429, 'rate_limited', '10'])
    assert.match(body.detail, /creating_max_per_project/)
    assert.deepEqual([(await service.claims()).length, service.volumes().length], [2, 2])
    const ofOther = await service.claim({ hostname: 'c', project_id: service.project('tenant-b') })
    assert.equal(ofOther.status, 202)
  })

  it('are asked after again and again by their own claims, and make room once they are there', async t => {
    const service = await aService(t, LIMITED)
    for (const hostname of ['a', 'b', 'a', 'b']) assert.equal((await service.claim({ hostname })).status, 202)
    assert.equal((await service.claim({ hostname: 'c' })).status, 429)
    service.clock.pass(300)
    await service.call('POST', '/pool/check')
    assert.equal((await service.claim({ hostname: 'c' })).status, 202)
  })

  it('are counted where they are made in the project itself, too', async t => {
    const service = await aService(t, { ...LIMITED, user: 'admin' })
    for (const hostname of ['a', 'b']) assert.equal((await service.claim({ hostname })).status, 202)
    assert.equal((await service.claim({ hostname: 'c' })).body.code, 'rate_limited')
    assert.equal(service.volumes().length, 2)
  })

  it('are no more with any number of replicas, and of claims at once', async t => {
    const service = await aService(t, { ...LIMITED, connections: 8 })
    await service.sync()
    const other = await aService(t, { ...LIMITED, beside: service, connections: 8 })
    const claims = Array.from({ length: 8 }, (_, n) => (n % 2 ? service : other).claim({ hostname: `web-${n}` }))
    const statuses = (await Promise.all(claims)).map(({ status }) => status)
    assert.deepEqual(
      statuses.toSorted((one, next) => one - next),
      [202, 202, 429, 429, 429, 429, 429, 429]
    )
    assert.equal(service.volumes().length, 2)
  })

  it('do not hold up a claim that stock is there for', async t => {
    const service = await aService(t, { ...LIMITED, filled: true })
    const claims = Array.from({ length: 4 }, (_, n) => service.claim({ hostname: `web-${n}`, ...DEBIAN }))
    assert.deepEqual(new Set((await Promise.all(claims)).map(({ status }) => status)), new Set([200]))
  })
})
