import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rootCertificates as rootsOfNode } from 'node:tls'
import { readFile } from './client-files.ts'
import type { Parameters } from './database-parameters.ts'

/** Files are read for each connection, so that a certificate may be replaced while the service runs. */
export function tlsOptions({ sslmode = '', sslrootcert, sslcert, sslkey, sslpassword }: Parameters) {
  const ca = rootCertificates(sslrootcert)
  const cert = readFile('sslcert', sslcert, '.postgresql', 'postgresql.crt')
  const key = cert && readFile('sslkey', sslkey, '.postgresql', 'postgresql.key')
  if (cert && !key) throw new Error('sslkey is missing, the key of sslcert')
  if (!ca && sslmode.startsWith('verify')) {
    throw new Error(`sslrootcert is missing, without which sslmode=${sslmode} can trust nobody: name a file, or system`)
  }
  return {
    ...(ca ? { ca } : {}),
    rejectUnauthorized: ca !== undefined, // As in libpq, `require` does what `verify-ca` does where it can.
    ...(sslmode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(cert && key ? { cert, key } : {}),
    ...(sslpassword ? { passphrase: sslpassword } : {})
  }
}

/** What keeps these settings from being used, each by its parameter. */
export function tlsProblems(parameters: Parameters): string[] {
  const { sslmode, sslrootcert } = parameters
  if (sslmode === 'disable') return []
  if (sslrootcert === 'system' && sslmode !== 'verify-full') {
    return ['sslrootcert=system needs sslmode=verify-full: anybody can have a certificate that a system trusts']
  }
  try {
    const { ca, cert, key, passphrase } = tlsOptions(parameters)
    const readings: readonly (readonly [problem: string, read: () => unknown])[] = [
      ['sslrootcert is no certificate in PEM', () => ca && new X509Certificate(ca)],
      ['sslcert is no certificate in PEM', () => cert && new X509Certificate(cert)],
      ['sslkey is no key in PEM that sslpassword opens', () => key && createPrivateKey({ key, passphrase })]
    ]
    const problems = readings.filter(([, read]) => !canBe(read)).map(([problem]) => problem)
    if (problems.length > 0 || !cert || !key) return problems
    const isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey({ key, passphrase }))
    return isPair ? [] : ['sslkey is not the key of sslcert']
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

function canBe(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch {
    return false
  }
}

/** Where systems keep whom they trust. OpenSSL's own variable comes first, Node's own list last. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem'
]

function rootCertificates(named: string | undefined): string | undefined {
  if (named !== 'system') return readFile('sslrootcert', named, '.postgresql', 'root.crt')
  const bundle = process.env['SSL_CERT_FILE'] || SYSTEM_BUNDLES.find(path => existsSync(path))
  return bundle ? readFile('sslrootcert', bundle) : rootsOfNode.join('\n')
}
