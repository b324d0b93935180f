import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { CloudError } from '../../src/pool/errors.ts'
import {
  CALL,
  fault,
  POOL,
  type Reply,
  ScriptedCloud,
  type Seen,
  TENANT,
  type Test,
  volumeBody
} from '../support/scripted-cloud.ts'
import { until } from '../support/until.ts'

const VALIDATE = 'GET /identity/v3/auth/tokens'
const code = (expected: string) => (error: CloudError) => error.code === expected

/** A cloud whose Keystone knows the token `callers`, of a member of the tenant's project. */
async function aCloud(t: Test) {
  const cloud = await ScriptedCloud.start(t)
  const known = ({ headers }: Seen): Reply =>
    headers['x-subject-token'] === 'callers'
      ? { body: { token: cloud.token(TENANT) } }
      : fault(404, 'error', `Could not find token: ${String(headers['x-subject-token'])}`)
  cloud.on(VALIDATE, known)
  return { cloud, client: cloud.connect(), known }
}

describe('finding out who a caller is', () => {
  it('shows Keystone the service’s token and the caller’s, and says what it says', async t => {
    const { cloud, client } = await aCloud(t)
    assert.deepEqual(await client.identify('callers', CALL), {
      token: 'callers',
      userId: 'cccc',
      projectId: TENANT,
      roles: ['member'],
      expiresAt: new Date('2026-11-22T13:00:00Z')
    })
    const asked = cloud.seen.at(-1)
    assert.equal(asked?.headers['x-auth-token'], 'token-1')
    assert.ok(asked?.query.has('nocatalog'))
  })

  it('does not know a token that Keystone does not know', async t => {
    const { client } = await aCloud(t)
    assert.equal(await client.identify('unknown', CALL), undefined)
  })

  it('does not ask about what cannot be a token', async t => {
    const { cloud, client } = await aCloud(t)
    for (const token of ['', 'two words', 'a\r\nb', 'ü', 'x'.repeat(9000)]) {
      assert.equal(await client.identify(token, CALL), undefined)
    }
    assert.equal(cloud.seen.length, 0)
  })

  it('does not know a token that is not scoped to a project', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.on(VALIDATE, { body: { token: { ...cloud.token(TENANT), project: undefined } } })
    assert.equal(await client.identify('callers', CALL), undefined)
  })

  it('asks once for many at a time, however many, and not again for four minutes', async t => {
    const { cloud, client } = await aCloud(t)
    await Promise.all(Array.from({ length: 500 }, () => client.identify('callers', CALL)))
    cloud.clock.pass(239)
    await client.identify('callers', CALL)
    assert.equal(cloud.count(VALIDATE), 1)
    cloud.clock.pass(62)
    await client.identify('callers', CALL)
    assert.equal(cloud.count(VALIDATE), 2)
  })

  it('asks again behind the back of who uses it, after four minutes, and forgets it when it is no more', async t => {
    const { cloud, client, known } = await aCloud(t)
    await client.identify('callers', CALL)
    cloud.clock.pass(241)
    cloud.on(VALIDATE, fault(503, 'error', 'busy'))
    for (let n = 0; n < 3; n += 1) assert.ok(await client.identify('callers', CALL))
    await until(() => cloud.count(VALIDATE) > 1)
    cloud.on(VALIDATE, known)
    cloud.clock.pass(16)
    const before = cloud.count(VALIDATE)
    assert.ok(await client.identify('callers', CALL))
    await until(() => cloud.count(VALIDATE) > before)
    await client.identify('another', CALL) // Its answer comes after the one before.
    cloud.clock.pass(239) // Beyond five minutes from the first.
    const asked = cloud.count(VALIDATE)
    assert.ok(await client.identify('callers', CALL))
    assert.equal(cloud.count(VALIDATE), asked)
    cloud.on(VALIDATE, fault(404, 'error', 'gone'))
    cloud.clock.pass(2)
    assert.ok(await client.identify('callers', CALL))
    await until(async () => (await client.identify('callers', CALL)) === undefined)
  })

  it('believes Keystone that a token is good, whatever the time is here', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.tokenLife = -3600 // Keystone's clock is behind.
    assert.ok(await client.identify('callers', CALL))
    assert.ok(await client.identify('callers', CALL))
  })

  it('keeps a token as long as before when the time is set', async t => {
    const { cloud, client } = await aCloud(t)
    await client.identify('callers', CALL)
    cloud.clock.jump(-7200)
    cloud.clock.pass(239)
    await client.identify('callers', CALL)
    assert.equal(cloud.count(VALIDATE), 1)
    cloud.clock.pass(62)
    await client.identify('callers', CALL)
    assert.equal(cloud.count(VALIDATE), 2)
  })

  it('forgets a token no later than it expires', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.tokenLife = 100
    const identity = await client.identify('callers', CALL)
    cloud.clock.pass(101)
    cloud.on(VALIDATE, fault(404, 'error', 'gone'))
    assert.ok(identity)
    assert.equal(await client.identify('callers', CALL), undefined)
  })

  it('lets a token speak for itself where the service may not look at it, and asks that way from then on', async t => {
    const { cloud, client, known } = await aCloud(t)
    cloud.on(VALIDATE, seen =>
      seen.headers['x-auth-token'] === 'token-1' ? fault(403, 'error', 'not allowed') : known(seen)
    )
    assert.equal((await client.identify('callers', CALL))?.projectId, TENANT)
    assert.equal(cloud.count(VALIDATE), 2)
    assert.equal(await client.identify('unknown', CALL), undefined)
    assert.equal(cloud.count(VALIDATE), 3)
  })

  it('takes a refusal of a token that speaks for itself as its end', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.on(VALIDATE, fault(403, 'error', 'not allowed'), fault(401, 'error', 'who are you'))
    assert.equal(await client.identify('callers', CALL), undefined)
    assert.equal(cloud.logins, 1)
  })

  it('logs in again when its own token is refused', async t => {
    const { cloud, client, known } = await aCloud(t)
    cloud.on(VALIDATE, fault(401, 'error', 'stale'), known)
    assert.equal((await client.identify('callers', CALL))?.projectId, TENANT)
    assert.equal(cloud.logins, 2)
  })

  it('blames the cloud, not the caller, when Keystone refuses the service or fails', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.on(VALIDATE, fault(500, 'error', 'oops: callers'))
    await assert.rejects(client.identify('callers', CALL), (error: CloudError) => {
      assert.equal(error.code, 'unavailable')
      assert.match(error.message, /oops: \*\*\*/)
      return true
    })
    cloud.on('POST /identity/v3/auth/tokens', fault(401, 'error', 'wrong password'))
    cloud.on(VALIDATE, fault(401, 'error', 'stale'))
    await assert.rejects(client.identify('callers', CALL), code('unavailable'))
  })
})

describe('acting with a caller’s token', () => {
  it('uses it in its project', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.onCinder('GET /volumes/v1', {
      body: { volume: volumeBody('v1', { 'os-vol-tenant-attr:tenant_id': TENANT }) }
    })
    const identity = await client.identify('callers', CALL)
    assert.ok(identity)
    const project = client.withToken(identity)
    assert.deepEqual([project.id, project.roles], [TENANT, ['member']])
    assert.equal((await project.volumes.find('v1', CALL))?.id, 'v1')
    assert.equal(cloud.seen.at(-1)?.headers['x-auth-token'], 'callers')
    assert.equal(cloud.seen.at(-1)?.path, `/volume/v3/${TENANT}/volumes/v1`)
  })

  it('does not look for another one when it is refused', async t => {
    const { cloud, client } = await aCloud(t)
    cloud.onCinder('GET /volumes/v1', fault(401, 'error', 'expired'))
    const expiresAt = new Date('2026-11-22T13:00:00Z')
    const project = client.withToken({ token: 'callers', userId: 'u', projectId: POOL, roles: [], expiresAt })
    await assert.rejects(project.volumes.find('v1', CALL), code('unauthenticated'))
    assert.equal(cloud.countCinder('GET /volumes/v1'), 1)
    assert.equal(cloud.logins, 1)
  })
})
