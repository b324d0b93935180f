import type { Tls } from './connections.ts'
import { messageOf } from './failures.ts'
import type { Said } from './layers.ts'

/** Whom to trust and how to prove who we are, as Python's `requests` takes it: no verification beats a `cacert`. */
export function tlsOf(said: Said): Tls {
  const pem = (key: string) => readPem(said.filled(key), said.nameOf(key), said)
  const verify = verification(said)
  const insecure = isInsecure(said) || verify === false
  const cert = pem('cert')
  const key = cert === undefined ? undefined : (pem('key') ?? cert) // Without a file of its own it stands in the same one.
  return { insecure, ca: insecure ? undefined : authorities(said, verify), cert, key }
}

function authorities(said: Said, verify: boolean | string): string | undefined {
  if (said.has('cacert')) return readPem(said.filled('cacert'), said.nameOf('cacert'), said)
  if (typeof verify === 'string') return readPem(verify, said.nameOf('verify'), said)
  const { env } = said.look
  const bundle = ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'].find(variable => env[variable])
  return bundle && readPem(env[bundle], bundle, said)
}

/** Yes, no, or by which certificates: `verify` may be a file's path. */
function verification(said: Said): boolean | string {
  const value = said.value('verify') ?? true
  if (typeof value === 'boolean') return value
  if (typeof value === 'string' && !/^(true|false|yes|no|on|off|\d*)$/i.test(value))
    return said.filled('verify') ?? true
  const advice = 'must be true or false without quotes (of variables, OS_INSECURE says it), or the path of a file'
  said.refuse('verify', `${advice} with certificates`)
  return true
}

/** Only the word true, in any case: the clients take all else for false. */
function isInsecure(said: Said): boolean {
  const value = said.value('insecure') ?? false
  if (typeof value === 'boolean') return value
  return said.text('insecure')?.toLowerCase() === 'true'
}

function readPem(path: string | undefined, name: string, { look: { files, problems } }: Said): string | undefined {
  if (!path) return undefined
  try {
    const text = files.read(path.replace(/^~(?=\/)/, files.home))
    if (text === undefined) problems.push(`${name}: there is no file ${path}.`)
    return text
  } catch (error) {
    problems.push(`${name}: ${messageOf(error)}.`)
    return undefined
  }
}
