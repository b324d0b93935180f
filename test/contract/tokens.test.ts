import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  type Answer,
  admin,
  asked,
  assertFault,
  assertUnauthenticated,
  authUrl,
  CALL,
  clientOf,
  loginAs,
  pool,
  rival,
  send,
  tenant,
  traits
} from './support.ts'

const REFUSED = 'The request you have made requires authentication.'

const ask = (shown: string | undefined, subject: string | undefined, query = '?nocatalog'): Promise<Answer> =>
  send('GET', `${authUrl}/auth/tokens${query}`, { 'x-auth-token': shown, 'x-subject-token': subject })
const revoke = (shown: string, subject: string): Promise<Answer> =>
  send('DELETE', `${authUrl}/auth/tokens`, { 'x-auth-token': shown, 'x-subject-token': subject })

describe('a token shown to Keystone', () => {
  it('by an administrator is described as at its issue, without a catalogue where none is wanted', async () => {
    const answer = await ask(admin.token, tenant.token)
    const { token } = answer.body
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['x-subject-token'], tenant.token)
    assert.deepEqual([token.user.id, token.project.id, token.catalog], [tenant.userId, tenant.projectId, undefined])
    assert.ok((await ask(admin.token, tenant.token, '')).body.token.catalog.length > 0)
  })

  it('by its own user is described too, with itself or another of the user', async () => {
    const another = await loginAs('tenant-a-user', 'tenant-a')
    for (const shown of [tenant.token, another.token]) {
      assert.equal((await ask(shown, tenant.token)).body.token.user.id, tenant.userId)
    }
  })

  it('by another user without a role for it is refused', async () => {
    const message = 'You are not authorized to perform the requested action: identity:validate_token.'
    for (const { token } of [pool, rival]) assertFault(await ask(token, tenant.token), 403, 'error', message)
  })

  it('that is none is not found, whoever asks', async () => {
    for (const { token } of [admin, pool]) assertFault(await ask(token, 'none'), 404, 'error', /./)
    assertFault(await ask(admin.token, `${tenant.token.slice(0, -4)}AAAA`), 404, 'error', /./)
  })

  it('with no good token beside it is refused, itself included', async () => {
    for (const shown of ['none', undefined]) assertFault(await ask(shown, tenant.token), 401, 'error', REFUSED)
    assertFault(await ask('none', 'none'), 401, 'error', REFUSED)
  })

  it('and revoked before is no longer good for anything', async () => {
    const revoked = await loginAs('tenant-a-user', 'tenant-a')
    assert.equal((await revoke(revoked.token, revoked.token)).status, 204)
    assertFault(await ask(admin.token, revoked.token), 404, 'error', /./)
    assertFault(await ask(tenant.token, revoked.token), 404, 'error', /./)
    assertFault(await ask(revoked.token, revoked.token), 401, 'error', REFUSED)
    assertUnauthenticated(await revoked.call('GET', '/volumes'))
    assert.equal((await tenant.call('GET', '/volumes')).status, 200, "the user's other tokens stay good")
  })
})

describe("the service's client", () => {
  it('recognises a caller by a token that its own user may not ask about', async t => {
    const client = clientOf(t, 'pool-svc')
    const identity = await client.identify(tenant.token, CALL)
    assert.deepEqual(
      [identity?.token, identity?.userId, identity?.projectId, identity?.roles.toSorted()],
      [tenant.token, tenant.userId, tenant.projectId, ['member', 'reader']]
    )
    const life = (identity?.expiresAt.getTime() ?? 0) - Date.now()
    assert.ok(life > 0 && life <= 3_600_000, `${life} ms`)
  })

  it('recognises a caller as an administrator too', async t => {
    const identity = await clientOf(t, 'admin').identify(tenant.token, CALL)
    assert.deepEqual([identity?.userId, identity?.projectId], [tenant.userId, tenant.projectId])
  })

  it.for(['pool-svc', 'admin'])('knows nobody by a token that is none or was revoked, as %s', async (user, t) => {
    const client = clientOf(t, user)
    const revoked = await loginAs('tenant-b-user', 'tenant-b')
    assert.equal((await revoke(revoked.token, revoked.token)).status, 204)
    for (const token of ['none', revoked.token]) assert.equal(await client.identify(token, CALL), undefined)
  })

  it('logs in to its own project and to others in which it has a role, and to no more', async t => {
    const client = clientOf(t, 'tenant-a-user')
    const own = await client.poolProject(CALL)
    assert.deepEqual([own.id, own.roles.toSorted()], [tenant.projectId, ['member', 'reader']])
    await assert.rejects(client.project(pool.projectId, CALL), { code: 'project_refused' })
    const service = clientOf(t, 'pool-svc')
    assert.equal((await service.project(tenant.projectId, CALL)).id, tenant.projectId)
    const names = (await service.projects(CALL)).map(({ name }) => name)
    assert.deepEqual(names.toSorted(), ['pool', 'tenant-a', 'tenant-b'])
  })

  it('finds Cinder in the catalogue and asks for the microversion it wants', async t => {
    const client = clientOf(t, 'pool-svc')
    assert.equal(await client.microversion(CALL), `3.${asked}`)
    assert.equal((await client.release(CALL)).highestMinor, traits.maxMinor)
  })
})
