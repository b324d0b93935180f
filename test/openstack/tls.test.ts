import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { CloudError } from '../../src/pool/errors.ts'
import { aFolder } from '../support/command-line.ts'
import { CALL, POOL, ScriptedCloud } from '../support/scripted-cloud.ts'

/** Signed by itself, for 127.0.0.1, for a hundred years; it protects nothing. */
const CERTIFICATE = 'test/support/tls/certificate.pem'
const KEY = 'test/support/tls/key.pem'
const pems = { cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }

describe('over TLS', () => {
  it('a cloud whose certificate is not known is not asked anything', async t => {
    const cloud = await ScriptedCloud.start(t, pems)
    await assert.rejects(cloud.connect().poolProject(CALL), (error: unknown) => {
      assert.ok(error instanceof CloudError)
      assert.deepEqual([error.code, error.mayHaveActed], ['unavailable', false])
      assert.match(error.message, /no connection, self-signed certificate/)
      return true
    })
    assert.equal(cloud.seen.length, 0)
  })

  it('is trusted by its CA, or blindly where that is asked for', async t => {
    const cloud = await ScriptedCloud.start(t, pems)
    for (const trust of [{ cacert: CERTIFICATE }, { verify: false }]) {
      assert.equal((await cloud.connect({ settings: cloud.settings(trust) }).poolProject(CALL)).id, POOL)
    }
  })

  it('shows its own certificate where one is asked for', async t => {
    const cloud = await ScriptedCloud.start(t, { ...pems, ca: pems.cert, requestCert: true, rejectUnauthorized: true })
    const both = join(aFolder(t), 'both.pem')
    writeFileSync(both, Buffer.concat([pems.cert, pems.key]))
    for (const own of [{ cert: CERTIFICATE, key: KEY }, { cert: both }]) {
      const settings = cloud.settings({ cacert: CERTIFICATE, ...own })
      assert.equal((await cloud.connect({ settings }).poolProject(CALL)).id, POOL)
    }
    await assert.rejects(
      cloud.connect({ settings: cloud.settings({ cacert: CERTIFICATE }) }).poolProject(CALL),
      CloudError
    )
  })
})
