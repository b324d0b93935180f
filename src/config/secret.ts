import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Keyring } from '../pool/ports.ts'

const HEX_KEY = /^[0-9a-fA-F]{64}$/

/**
 * The secret that encrypts transfer keys at rest: 32 bytes in hex, from SPARE_POOL_SECRET or a file that is made on first
 * start. Replicas need the same one: a key sealed with another cannot be opened, and its spare is armed again.
 */
export function readSecret(file: string, env: Readonly<Record<string, string | undefined>>): Buffer {
  const fromEnvironment = env['SPARE_POOL_SECRET']
  if (fromEnvironment !== undefined) return toKey(fromEnvironment, 'SPARE_POOL_SECRET')
  mkdirSync(dirname(file), { recursive: true })
  try {
    writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  return toKey(readFileSync(file, 'utf8').trim(), file)
}

/** Where the secret is; undefined: nowhere yet. */
export function findSecret(file: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env['SPARE_POOL_SECRET'] !== undefined) return 'SPARE_POOL_SECRET'
  return existsSync(file) ? file : undefined
}

/** Why the secret that is there cannot be used. */
export function secretProblems(file: string, env: Readonly<Record<string, string | undefined>>): string[] {
  const source = findSecret(file, env)
  if (!source) return [] // The first start makes it.
  try {
    readSecret(file, env)
    return []
  } catch (error) {
    return [`${source === file ? 'secret_file: ' : ''}${error instanceof Error ? error.message : String(error)}`]
  }
}

function toKey(hex: string, source: string): Buffer {
  if (!HEX_KEY.test(hex)) throw new Error(`${source} must hold 32 bytes in hex (64 characters): openssl rand -hex 32`)
  return Buffer.from(hex, 'hex')
}

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM: nonce, tag and text, in base64. */
export const keyring = (key: Buffer): Keyring => ({
  seal(text) {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, key, nonce)
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
  },
  open(sealed) {
    const bytes = Buffer.from(sealed, 'base64')
    const [nonce, tag] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)]
    try {
      // With the length given, no shorter tag will do, which would be easier to guess.
      const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAuthTag(tag)
      const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES))
      return Buffer.concat([text, decipher.final()]).toString('utf8')
    } catch {
      return undefined // It was sealed with another secret, or is nothing that was sealed.
    }
  }
})
