import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'vitest'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { failureOf } from '../support/cloud-failures.ts'
import { CALL, POOL, type Reply, ScriptedCloud, type Test, volumeBody } from '../support/scripted-cloud.ts'

const TOKENS = 'POST /identity/v3/auth/tokens'
const SHOW = 'GET /volumes/v1'
/** Signed by itself, for 127.0.0.1, for a hundred years; it protects nothing. */
const CERTIFICATE = 'test/support/tls/certificate.pem'
const pems = { cert: readFileSync(CERTIFICATE), key: readFileSync('test/support/tls/key.pem') }

const to = (location: string, status = 302): Reply => ({ status, headers: { location }, body: 'moved' })

/** A Keystone that answers at another address than the one that is configured. */
async function aMovedKeystone(t: Test, status: number) {
  const cloud = await ScriptedCloud.start(t)
  cloud.on('POST /identity/moved/auth/tokens', seen => cloud.login(seen))
  cloud.on(TOKENS, to('/identity/moved/auth/tokens', status))
  return cloud
}

describe('a Keystone that redirects', () => {
  it.for([301, 302, 307, 308])('on the same server is followed, with method and body, for %s', async (status, t) => {
    const cloud = await aMovedKeystone(t, status)
    assert.equal((await cloud.connect().poolProject(CALL)).id, POOL)
    const [first, second] = cloud.seen
    assert.deepEqual([second?.method, second?.body], [first?.method, first?.body])
    assert.equal(second?.headers['content-type'], 'application/json')
  })

  it('from a login to something to be read instead is not followed', async t => {
    const cloud = await aMovedKeystone(t, 303)
    const error = await failureOf(cloud.connect().poolProject(CALL))
    assert.deepEqual([error.code, error.status, cloud.seen.length], ['failed', 303, 1])
  })

  it('in a circle is left after three hops, and the address to set is asked for', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.on(TOKENS, to('/identity/v3/auth/tokens'))
    const error = await failureOf(cloud.connect().poolProject(CALL))
    assert.match(error.message, /Keystone at http:\S+ redirects more than 3 times\. Set openstack\.auth\.auth_url to/)
    assert.equal(cloud.logins, 4)
  })

  it('from http to https of the same host is followed', async t => {
    const [plain, secure] = [await ScriptedCloud.start(t), await ScriptedCloud.start(t, pems)]
    plain.on(TOKENS, to(`${secure.url}/identity/v3/auth/tokens`, 301))
    const settings = plain.settings({ cacert: CERTIFICATE })
    assert.equal((await plain.connect({ settings }).poolProject(CALL)).id, POOL)
    assert.equal(secure.logins, 1)
  })

  it('from https to http is not, even of the same host: nothing is sent there', async t => {
    const [plain, secure] = [await ScriptedCloud.start(t), await ScriptedCloud.start(t, pems)]
    secure.on(TOKENS, to(`${plain.url}/identity/v3/auth/tokens`))
    const settings = secure.settings({ cacert: CERTIFICATE })
    const error = await failureOf(secure.connect({ settings }).poolProject(CALL))
    assert.match(error.message, /which is less safe or another server: nothing was sent there\. Set openstack\.auth/)
    assert.deepEqual([error.code, plain.seen.length], ['failed', 0])
  })

  it.for(['http://127.0.0.2:5000/keystone/v3/auth/tokens?sso=1', '//127.0.0.2:5000/keystone/v3/auth/tokens'])(
    'to another host is told with the address to set: %s',
    async (location, t) => {
      const cloud = await ScriptedCloud.start(t)
      cloud.on(TOKENS, to(location))
      const error = await failureOf(cloud.connect().poolProject(CALL))
      assert.equal(
        error.message,
        `Keystone at ${cloud.url} redirects to http://127.0.0.2:5000/keystone/v3/auth/tokens, which is another host: ` +
          "nothing was sent there. Set openstack.auth.auth_url to http://127.0.0.2:5000/keystone/v3, if that is Keystone's " +
          '(token_issue, HTTP 302)'
      )
    }
  )

  it('to another port, which is another server, is not followed', async t => {
    const [one, other] = [await ScriptedCloud.start(t), await ScriptedCloud.start(t)]
    one.on(TOKENS, to(`${other.url}/login`))
    const error = await failureOf(one.connect().poolProject(CALL))
    assert.match(
      error.message,
      /another server: nothing was sent there\. Set openstack\.auth\.auth_url to Keystone's own/
    )
    assert.equal(other.seen.length, 0)
  })

  it('without saying where to has failed', async t => {
    const cloud = await ScriptedCloud.start(t)
    cloud.on(TOKENS, { status: 302 })
    assert.match((await failureOf(cloud.connect().poolProject(CALL))).message, /it answered 302 without a word/)
  })

  it('keeps an application credential to itself as well', async t => {
    const cloud = await aMovedKeystone(t, 307)
    const other = await ScriptedCloud.start(t)
    cloud.on('POST /identity/moved/auth/tokens', to(`${other.url}/v3/auth/tokens`))
    const auth = { application_credential_id: 'ac', application_credential_secret: 'shh' }
    const settings = cloudSettings({ auth: { auth_url: `${cloud.url}/identity`, ...auth } }, {})
    assert.equal((await failureOf(cloud.connect({ settings }).poolProject(CALL))).code, 'failed')
    assert.equal(other.seen.length, 0)
  })
})

describe('a Cinder that redirects', () => {
  it('on the same server is followed, and else is told with its own setting', async t => {
    const cloud = await ScriptedCloud.start(t)
    const { volumes } = await cloud.connect().poolProject(CALL)
    cloud.on('GET /moved', { body: { volume: volumeBody('v1') } })
    cloud.onCinder(SHOW, to('/moved', 303), to('http://127.0.0.2/cinder/v3/p/volumes/v1'))
    assert.equal((await volumes.find('v1', CALL))?.id, 'v1')
    assert.equal(cloud.seen.at(-1)?.headers['x-auth-token'], 'token-1')
    const { message } = await failureOf(volumes.find('v1', CALL))
    assert.match(message, /Set openstack\.block_storage_endpoint_override to http:\/\/127\.0\.0\.2\/cinder, if that is/)
  })
})
