import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'vitest'
import { findSecret, keyring, readSecret, secretProblems } from '../../src/config/secret.ts'

const HEX = '0123456789abcdef'.repeat(4)

function aFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'secret-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

describe('the secret', () => {
  it('is made on the first start, in a folder that is made too, for nobody else to read', t => {
    const file = join(aFolder(t), 'data', 'secret')
    const secret = readSecret(file, {})
    assert.equal(secret.length, 32)
    assert.equal(readFileSync(file, 'utf8'), `${secret.toString('hex')}\n`)
    assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  it('is the same ever after', t => {
    const file = join(aFolder(t), 'secret')
    assert.deepEqual(readSecret(file, {}), readSecret(file, {}))
  })

  it('differs from service to service', t => {
    const folder = aFolder(t)
    assert.notDeepEqual(readSecret(join(folder, 'one'), {}), readSecret(join(folder, 'two'), {}))
  })

  it('comes from SPARE_POOL_SECRET before the file, which is then not made', t => {
    const file = join(aFolder(t), 'secret')
    assert.equal(readSecret(file, { SPARE_POOL_SECRET: HEX.toUpperCase() }).toString('hex'), HEX)
    assert.equal(existsSync(file), false)
  })

  it.for(['', 'hunter2', HEX.slice(1), `${HEX}0`, `${HEX.slice(1)}g`])(
    'is refused, and not repeated, as %j',
    (text, t) => {
      const file = join(aFolder(t), 'secret')
      writeFileSync(file, text)
      for (const work of [() => readSecret(file, {}), () => readSecret('nowhere', { SPARE_POOL_SECRET: text })]) {
        assert.throws(
          work,
          error =>
            error instanceof Error && /32 bytes in hex/.test(error.message) && !/hunter2|0123/.test(error.message)
        )
      }
      assert.match(secretProblems(file, {}).join(), /^secret_file: .* must hold 32 bytes in hex/)
      assert.match(
        secretProblems(file, { SPARE_POOL_SECRET: text }).join(),
        /^SPARE_POOL_SECRET must hold 32 bytes in hex/
      )
    }
  )

  it('is looked for without being made', t => {
    const file = join(aFolder(t), 'secret')
    assert.equal(findSecret(file, {}), undefined)
    assert.deepEqual(secretProblems(file, {}), [])
    assert.equal(existsSync(file), false)
    writeFileSync(file, `${HEX}\n`)
    assert.equal(findSecret(file, {}), file)
    assert.deepEqual(secretProblems(file, {}), [])
    assert.equal(findSecret(file, { SPARE_POOL_SECRET: HEX }), 'SPARE_POOL_SECRET')
  })
})

describe('a keyring', () => {
  const ring = keyring(Buffer.from(HEX, 'hex'))

  it('opens what it sealed, and shows nothing of it', () => {
    for (const text of ['665ac9b6eafcf415', '', 'ключ 🔑']) {
      const sealed = ring.seal(text)
      assert.equal(ring.open(sealed), text)
      if (text) assert.doesNotMatch(Buffer.from(sealed, 'base64').toString('latin1'), new RegExp(text))
    }
  })

  it('seals the same text differently each time', () => {
    assert.notEqual(ring.seal('665ac9b6eafcf415'), ring.seal('665ac9b6eafcf415'))
  })

  it('opens nothing that another secret sealed, nor what was tampered with', () => {
    const sealed = ring.seal('665ac9b6eafcf415')
    assert.equal(keyring(Buffer.alloc(32, 1)).open(sealed), undefined)
    for (const at of [0, 12, 28]) {
      const bytes = Buffer.from(sealed, 'base64')
      bytes[at] = (bytes[at] ?? 0) ^ 1
      assert.equal(ring.open(bytes.toString('base64')), undefined, `byte ${at}`)
    }
    const cut = Buffer.from(ring.seal(''), 'base64').subarray(0, 16).toString('base64') // Four bytes of its tag.
    for (const rubbish of ['', 'AAAA', 'not base64 at all', cut]) assert.equal(ring.open(rubbish), undefined)
  })
})
