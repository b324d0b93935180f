import { type Environment, expanded, type Files } from './client-files.ts'
import type { Tls } from './connections.ts'
import type { Said } from './layers.ts'

/** Whom to trust and how to prove who we are, as `requests` takes it: no verification beats a `cacert`. */
export function tlsOf(said: Said, env: Environment, files: Files): Tls {
  const verify = verification(said)
  const insecure = isInsecure(said) || verify === false
  const cert = pem('cert', said, files)
  return {
    insecure,
    ca: insecure ? undefined : authorities(verify, said, env, files),
    cert,
    // Without a key of its own it stands in the same file.
    key: cert === undefined ? undefined : (pem('key', said, files) ?? cert)
  }
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

function authorities(verify: boolean | string, said: Said, env: Environment, files: Files): string | undefined {
  if (said.has('cacert')) return pem('cacert', said, files)
  if (typeof verify === 'string') return read(verify, said.nameOf('verify'), said, files)
  const name = ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'].find(variable => env[variable])
  return name && read(env[name] ?? '', name, said, files)
}

function pem(key: string, said: Said, files: Files): string | undefined {
  const path = said.filled(key)
  return path === undefined ? undefined : read(path, said.nameOf(key), said, files)
}

function read(path: string, name: string, { problems }: Said, files: Files): string | undefined {
  try {
    const text = files.read(expanded(path, files))
    if (text !== undefined) return text
    problems.push(`${name}: there is no file ${path}.`)
  } catch (error) {
    problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}.`)
  }
  return undefined
}
