import assert from 'node:assert/strict'
import { beforeAll, describe, it } from 'vitest'
import { cloudsEntry, loggedIn } from '../openstack/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { passwordAuth, send } from '../support/session.ts'
import { aRealService, assertProblem, given, type RealService } from './support.ts'

const lifetime = whileTestsRun()
let real: RealService

beforeAll(async () => {
  real = await aRealService(lifetime, { pools: [{ os: 'debian12', type: 'ssd', target: 2 }] })
  await real.full()
})

/** How often the service has asked Keystone about a caller's token. */
async function validations(): Promise<number> {
  const metrics = await (await fetch(`${real.service.url}/metrics`)).text()
  const counts = metrics.matchAll(/^spare_pool_cloud_requests_total\{.*operation="token_validate".*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

describe("Keystone's tokens", () => {
  it('of a member claim into its own project, and see its claims alone', async () => {
    const { body } = await real.claim(real.tenantA, { hostname: 'own' })
    assert.equal(body.project_id, real.tenantA.projectId)
    const elsewhere = { hostname: 'other', project_id: real.tenantB.projectId }
    assertProblem(await real.claim(real.tenantA, elsewhere), 403, 'forbidden', /its?|only/)
    const path = `/pool/claims/${body.claim_id}`
    assert.equal((await real.call(real.tenantA, 'GET', path)).body.volume_id, body.volume_id)
    assertProblem(await real.call(real.tenantB, 'GET', path), 404, 'claim_not_found', /./)
    assert.equal((await real.call(real.apiServer, 'GET', path)).body.volume_id, body.volume_id)
    assert.deepEqual((await real.call(real.tenantB, 'GET', '/pool/claims')).body.claims, [])
  })

  it('let nobody but readers of the pool’s own project, and administrators, look at the pool', async () => {
    for (const [who, status] of [
      [real.tenantA, 403],
      [real.apiServer, 403],
      [real.pool, 200],
      [real.admin, 200],
      [await loggedIn('admin', 'tenant-a'), 200]
    ] as const) {
      assert.equal((await real.call(who, 'GET', '/pool/stats')).status, status)
    }
    for (const who of [real.tenantA, real.apiServer, real.pool]) {
      assertProblem(await real.call(who, 'POST', '/pool/pause'), 403, 'forbidden', /role admin/)
    }
  })

  it('that are missing, made up, or not scoped to a project are refused', async () => {
    const { authUrl, user, password } = cloudsEntry('tenant-a-user')
    const unscoped = await send('POST', `${authUrl}/auth/tokens`, {}, passwordAuth(user, undefined, password))
    assert.equal(unscoped.status, 201)
    const tokens = [undefined, 'made-up', `${real.tenantA.token}x`, unscoped.headers['x-subject-token']]
    for (const token of tokens) {
      const answer = await real.call(token === undefined ? undefined : { token }, 'POST', '/pool/claim', {})
      assertProblem(answer, 401, 'unauthenticated', /token/)
    }
  })

  it('that were revoked before they were ever shown are refused', async () => {
    const { token } = await loggedIn('tenant-a-user')
    assert.equal((await real.admin.keystone('DELETE', '/auth/tokens', undefined, token)).status, 204)
    assertProblem(
      await real.claim({ token }, { hostname: 'revoked' }),
      401,
      'unauthenticated',
      /Keystone does not know/
    )
  })

  it('are asked about once and then remembered, for many at once too', async () => {
    const { token } = await loggedIn('tenant-b-user')
    const before = await validations()
    const list = () => real.call({ token }, 'GET', '/pool/claims')
    const answers = await Promise.all(Array.from({ length: 20 }, list))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    const first = (await validations()) - before
    // The service's own user may not look at others' tokens, and is told so once; then each is shown to itself.
    assert.ok(first === 1 || first === 2, `${first} requests`)
    await Promise.all(Array.from({ length: 20 }, list))
    assert.equal((await validations()) - before, first)
  })

  it('make the disk the caller’s: owner, quota and policy are those of the token', async () => {
    await real.full()
    const { volumeId } = given(await real.claim(real.tenantB, { hostname: 'mine' }))
    const { volume } = await real.tenantB.get(`/volumes/${volumeId}`)
    assert.equal(volume.user_id, real.tenantB.userId)
  })
})
