import { type Environment, type Files, messageOf } from './client-files.ts'
import type { Tls } from './connections.ts'
import type { Said } from './layers.ts'

/** Whom to trust and how to prove who we are, as Python's `requests` takes it: no verification beats a `cacert`. */
export function tlsOf(said: Said, env: Environment, files: Files): Tls {
  const read = (path: string | undefined, name: string) => path && readPem(path, name, said, files)
  const pem = (key: string) => read(said.filled(key), said.nameOf(key))
  const verify = verification(said)
  const insecure = isInsecure(said) || verify === false
  const cert = pem('cert')
  const key = cert === undefined ? undefined : (pem('key') ?? cert) // Without a file of its own it stands in the same one.
  if (insecure) return { insecure, ca: undefined, cert, key }
  if (said.has('cacert')) return { insecure, ca: pem('cacert'), cert, key }
  if (typeof verify === 'string') return { insecure, ca: read(verify, said.nameOf('verify')), cert, key }
  const bundle = ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'].find(variable => env[variable])
  return { insecure, ca: bundle && read(env[bundle], bundle), cert, key }
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

function readPem(path: string, name: string, { problems }: Said, files: Files): string | undefined {
  try {
    const text = files.read(path.replace(/^~(?=\/)/, files.home))
    if (text === undefined) problems.push(`${name}: there is no file ${path}.`)
    return text
  } catch (error) {
    problems.push(`${name}: ${messageOf(error)}.`)
    return undefined
  }
}
