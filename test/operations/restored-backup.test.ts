import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { attach } from '../support/attach.ts'
import { takeBackup } from '../support/backup.ts'
import { aService, type TestService } from '../support/service.ts'
import type { ServiceRole } from '../support/service-role.ts'

/** Every way in which a disk can be handed over, by the configuration and by the project that it goes to. */
const MODES = [
  { how: 'in a transfer made ahead of time', project: 'tenant-a', claims: {} },
  { how: 'in a transfer made by the claim', project: 'tenant-a', claims: { prearm: false } },
  { how: 'without a look for the name', project: 'tenant-a', claims: { check_existing: 'claims' } },
  { how: "into the pool's own project", project: 'pool', claims: {} },
  { how: "into the pool's own project, not armed", project: 'pool', claims: { prearm: false } },
  { how: 'by a rename only', project: 'pool', claims: { handover: 'rename' } }
] as const
const ROLES: readonly ServiceRole[] = ['member', 'admin']
const SETTINGS = MODES.flatMap(mode => ROLES.map(role => ({ ...mode, role })))

type Mode = (typeof SETTINGS)[number]

const aPool = (t: TestContext, { claims, role }: Mode): Promise<TestService> =>
  aService(t, { role, config: { claims } })

/** What anybody can see of a disk. */
const looksOf = (service: TestService, id: string): unknown => {
  const { type, updatedAt: _, ...looks } = { ...service.sandbox.cloud.volumes.get(id) }
  return { ...looks, type: type?.name }
}

async function claimed(service: TestService, project: string, ...hostnames: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const hostname of hostnames) {
    const { status, body } = await service.claim({ hostname, project_id: service.project(project), wait_seconds: 60 })
    assert.equal(status, 200, JSON.stringify(body))
    ids.push(body.volume_id)
  }
  return ids
}

async function mend(service: TestService): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await service.call('POST', '/pool/reconcile')
    await service.fill()
    service.clock.pass(120)
  }
}

/** Of what was given before the backup came back, none is given again, and each stays as it is whatever is mended since. */
async function assertLeftAlone(service: TestService, given: readonly string[], later: () => Promise<string[]>) {
  const before = given.map(id => looksOf(service, id))
  const givenLater = await later()
  assert.deepEqual(
    givenLater.filter(id => given.includes(id)),
    []
  )
  await mend(service)
  assert.deepEqual(
    given.map(id => looksOf(service, id)),
    before
  )
}

const inStock = async (service: TestService): Promise<number> =>
  (await service.spares()).filter(({ status }) => status === 'available').length

describe.for(SETTINGS)('after an older backup came back, where disks go $how, and the service is $role', mode => {
  it('gives nobody a disk that was given out since, and leaves each of those as it is', async t => {
    const service = await aPool(t, mode)
    const restore = await takeBackup(service.service.db)
    const earlier = await claimed(service, mode.project, 'first', 'second', 'third')
    attach(service, earlier[0] ?? '')
    await restore()
    await assertLeftAlone(service, earlier, () => claimed(service, mode.project, 'fourth', 'fifth', 'sixth'))
    const isLookedUp = !('check_existing' in mode.claims) // Else the table of claims is trusted, which knows nothing of them.
    if (isLookedUp) assert.deepEqual(await claimed(service, mode.project, 'first', 'second', 'third'), earlier)
    await service.fill()
    assert.equal(await inStock(service), 5)
  })

  it("does so also where a disk was given within the pool's own project, and now a tenant comes", async t => {
    const service = await aPool(t, mode)
    const restore = await takeBackup(service.service.db)
    const earlier = await claimed(service, 'pool', 'first', 'second')
    await restore()
    await assertLeftAlone(service, earlier, () => claimed(service, mode.project, 'third', 'fourth'))
  })

  it('does so also where the backup was made while the stock was', async t => {
    const service = await aService(t, { role: mode.role, config: { claims: mode.claims }, filled: false })
    await service.call('POST', '/pool/replenish')
    const restore = await takeBackup(service.service.db)
    await service.fill()
    const earlier = await claimed(service, mode.project, 'first', 'second')
    await restore()
    await assertLeftAlone(service, earlier, async () => {
      service.clock.pass(30)
      await service.call('POST', '/pool/check')
      return await claimed(service, mode.project, 'third', 'fourth')
    })
    assert.equal(await inStock(service), 5)
  })

  it('takes back no disk whose claim was under way when the backup was made, and answered since', async t => {
    const service = await aPool(t, mode)
    // As a claim is between its first statement and its last.
    const answered: string[] = []
    let restore = async (): Promise<void> => undefined
    const { claims } = service.service.deps
    const settle = claims.settle.bind(claims)
    Object.assign(claims, {
      settle: async (...args: Parameters<typeof settle>) => {
        restore = await takeBackup(service.service.db)
        return await settle(...args)
      }
    })
    answered.push(...(await claimed(service, mode.project, 'first')))
    Object.assign(claims, { settle })
    const before = answered.map(id => looksOf(service, id))
    await restore()
    service.clock.pass(60)
    await mend(service)
    assert.deepEqual(
      answered.map(id => looksOf(service, id)),
      before
    )
    assert.deepEqual(await claimed(service, mode.project, 'first'), answered)
  })
})
