import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { CloudError } from '../../src/pool/errors.ts'
import { Gate } from '../support/gate.ts'
import { CALL, fault, POOL, ScriptedCloud, TENANT, volumeBody } from '../support/scripted-cloud.ts'

const SHOW = 'GET /volumes/v1'
const unauthorised = fault(401, 'error', 'The request you have made requires authentication.')
const code = (expected: string) => (error: unknown) => error instanceof CloudError && error.code === expected

describe('logging in', () => {
  it('gives fifty waiters the token of one login', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect()
    const projects = await Promise.all(Array.from({ length: 50 }, () => client.poolProject(CALL)))
    assert.deepEqual([...new Set(projects.map(project => project.id))], [POOL])
    assert.equal(cloud.logins, 1)
  })

  it('has one token for each project', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder(SHOW, { body: { volume: volumeBody('v1') } })
    const client = cloud.connect()
    for (let round = 0; round < 2; round++) {
      for (const project of [await client.poolProject(CALL), await client.project(TENANT, CALL)]) {
        await project.volumes.find('v1', CALL)
      }
    }
    assert.equal(cloud.logins, 2)
    assert.deepEqual(
      cloud.seen.filter(({ path }) => path.endsWith('/volumes/v1')).map(seen => seen.headers['x-auth-token']),
      ['token-1', 'token-2', 'token-1', 'token-2']
    )
  })

  it('takes the pool for what it is when it is asked for by its id', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect()
    assert.equal((await client.project(POOL, CALL)).id, POOL)
    assert.equal(cloud.logins, 1)
  })

  it('says that Keystone refused, in its own words and without the password', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.on('POST /identity/v3/auth/tokens', fault(401, 'error', 'No "top-secret" here.'))
    await assert.rejects(cloud.connect().poolProject(CALL), (error: CloudError) => {
      assert.equal(error.code, 'login_refused')
      const words = 'Keystone: No "***" here. (token_issue, HTTP 401, req-cinder-1)'
      assert.equal(error.message, `The service's own login is refused. ${words}`)
      return true
    })
    assert.equal(cloud.logins, 1)
  })

  it('does not take a login that Keystone no longer knows for a volume that is gone, or a caller who is nobody', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder(SHOW, unauthorised)
    const client = cloud.connect()
    const { volumes } = await client.poolProject(CALL)
    const words = 'Could not find Application Credential: deleted.'
    cloud.on('POST /identity/v3/auth/tokens', fault(404, 'error', words))
    await assert.rejects(volumes.find('v1', CALL), code('login_refused'))
    await assert.rejects(volumes.delete('v1', CALL), code('login_refused'))
    await assert.rejects(client.identify('callers', CALL), code('unavailable'))
  })

  it('lets one waiter give up without taking the login from the others', async t => {
    const cloud = await ScriptedCloud.start(t)
    const gate = new Gate()
    cloud.on('POST /identity/v3/auth/tokens', async seen => {
      await gate.passed
      return cloud.login(seen)
    })
    const client = cloud.connect()
    const impatient = new AbortController()
    const first = client.poolProject({ ...CALL, signal: impatient.signal })
    const second = client.poolProject(CALL)
    impatient.abort(new Error('the caller went away'))
    await assert.rejects(first, code('timeout'))
    gate.open()
    assert.equal((await second).id, POOL)
    assert.equal(cloud.logins, 1)
  })

  it('refuses another project with an application credential, and says what to do', async t => {
    const cloud = await ScriptedCloud.start(t)
    const auth = {
      auth_url: `${cloud.url}/identity/v3`,
      application_credential_id: 'ac',
      application_credential_secret: 'shh'
    }
    const client = cloud.connect({ settings: cloudSettings({ auth }, {}) })
    assert.equal((await client.poolProject(CALL)).id, POOL)
    assert.deepEqual(cloud.seen[0]?.body, {
      auth: {
        identity: { methods: ['application_credential'], application_credential: { id: 'ac', secret: 'shh' } }
      }
    })
    await assert.rejects(client.project(TENANT, CALL), (error: CloudError) => {
      assert.equal(error.code, 'project_refused')
      assert.match(error.message, /application credential.*let the caller claim with a token of its own/)
      return true
    })
  })
})

describe('logging in with a token that is there already', () => {
  const tokenLogin = (cloud: ScriptedCloud) =>
    cloudSettings(
      { auth_type: 'v3token', auth: { auth_url: `${cloud.url}/identity/v3`, token: 'top-secret', project_id: POOL } },
      {}
    )

  it('scopes it to the project that is wanted', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect({ settings: tokenLogin(cloud) })
    assert.equal((await client.poolProject(CALL)).id, POOL)
    assert.equal((await client.project(TENANT, CALL)).id, TENANT)
    const identity = { methods: ['token'], token: { id: 'top-secret' } }
    assert.deepEqual(
      cloud.seen.map(({ body }) => body),
      [POOL, TENANT].map(id => ({ auth: { identity, scope: { project: { id } } } }))
    )
  })

  it('says what to do once the token has ended, and does not show it', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect({ settings: tokenLogin(cloud) })
    cloud.on('POST /identity/v3/auth/tokens', fault(404, 'error', 'Could not recognize Fernet token "top-secret".'))
    await assert.rejects(client.poolProject(CALL), (error: CloudError) => {
      assert.equal(error.code, 'login_refused')
      assert.match(
        error.message,
        /refused\..*"\*\*\*".*logs in with a token, and stops when that ends: give it a user with a/
      )
      return true
    })
  })
})

describe('renewing a token', () => {
  it('fetches the next one behind the back of the calls, in the last minutes of the old one', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect()
    await client.poolProject(CALL)
    await client.poolProject(CALL)
    const gate = new Gate()
    const renewed = new Gate()
    cloud.on('POST /identity/v3/auth/tokens', async seen => {
      await gate.passed
      renewed.open()
      return cloud.login(seen)
    })
    cloud.clock.pass(3600 - 240)
    await Promise.all(Array.from({ length: 20 }, () => client.poolProject(CALL))) // None waits for the gate.
    gate.open()
    await renewed.passed
    assert.equal(cloud.logins, 2)
  })

  it('fetches those of other projects along with the pool’s, for as long as they are used', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder(SHOW, { body: { volume: volumeBody('v1') } })
    const client = cloud.connect()
    const [pool, tenant] = [await client.poolProject(CALL), await client.project(TENANT, CALL)]
    /** What the ticks do all the time. */
    const tick = async (logins: number) => {
      for (let round = 0; round < 100 && cloud.logins < logins; round++) await pool.volumes.find('v1', CALL)
      for (let round = 0; round < 10; round++) await pool.volumes.find('v1', CALL)
      return cloud.logins
    }
    await tenant.volumes.find('v1', CALL)
    cloud.clock.pass(3600 - 240)
    assert.equal(await tick(4), 4)
    cloud.clock.pass(3600 - 240)
    assert.equal(await tick(5), 5)
  })

  it('keeps using the old one while Keystone is away, and tells only those who need a new one', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect()
    await client.poolProject(CALL)
    cloud.on('POST /identity/v3/auth/tokens', unauthorised)
    cloud.clock.pass(3600 - 240)
    await client.poolProject(CALL)
    cloud.clock.pass(200)
    await assert.rejects(client.poolProject(CALL), code('login_refused'))
  })

  it('counts the life of a token from its own clock, whatever time Keystone has', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.on('POST /identity/v3/auth/tokens', seen => {
      const reply = cloud.login(seen)
      const token = { ...cloud.token(POOL), issued_at: '2020-01-01T00:00:00Z', expires_at: '2020-01-01T01:00:00Z' }
      return { ...reply, body: { token: { ...token, catalog: cloud.catalog() } } }
    })
    const client = cloud.connect()
    await client.poolProject(CALL)
    cloud.clock.pass(3000)
    await client.poolProject(CALL)
    assert.equal(cloud.logins, 1)
    cloud.clock.pass(550)
    await client.poolProject(CALL)
    assert.equal(cloud.logins, 2)
  })

  it('keeps a token as long as before when the time is set', async t => {
    const cloud = await ScriptedCloud.start(t)
    const client = cloud.connect()
    await client.poolProject(CALL)
    cloud.clock.jump(7200)
    await client.poolProject(CALL)
    assert.equal(cloud.logins, 1)
    cloud.clock.jump(-14_400)
    cloud.clock.pass(3550)
    await client.poolProject(CALL)
    assert.equal(cloud.logins, 2)
  })

  it('logs in once more when Cinder refuses the token, once for all who were refused, and repeats each call', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder(SHOW, ({ headers }) =>
      headers['x-auth-token'] === 'token-1'
        ? { status: 401, body: { error: { code: 401, message: 'no' } } }
        : { body: { volume: volumeBody('v1') } }
    )
    const { volumes } = await cloud.connect().poolProject(CALL)
    const found = await Promise.all(Array.from({ length: 10 }, () => volumes.find('v1', CALL)))
    assert.ok(found.every(volume => volume?.id === 'v1'))
    assert.equal(cloud.logins, 2)
  })

  it('repeats even the creation of a volume after a 401, for it came before the handler', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder('POST /volumes', unauthorised, { status: 202, body: { volume: volumeBody('v1') } })
    const { volumes } = await cloud.connect().poolProject(CALL)
    assert.equal((await volumes.create({ name: 'a', snapshotId: 's', sizeGib: 1, volumeType: '' }, CALL)).id, 'v1')
  })

  it('waits out the second of a revocation, in which new tokens are revoked too', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder(SHOW, unauthorised, unauthorised, { body: { volume: volumeBody('v1') } })
    const { volumes } = await cloud.connect().poolProject(CALL)
    assert.equal((await volumes.find('v1', CALL))?.id, 'v1')
    assert.equal(cloud.logins, 3)
    assert.deepEqual(cloud.clock.slept, [1000])
  })

  it('gives up when that one is refused as well, which is no refusal of a login or of a caller', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.onCinder(SHOW, unauthorised)
    const { volumes } = await cloud.connect().poolProject(CALL)
    await assert.rejects(volumes.find('v1', CALL), code('unavailable'))
    assert.equal(cloud.logins, 3)
    assert.equal(cloud.countCinder(SHOW), 3)
  })
})
