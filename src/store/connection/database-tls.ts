import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { type ConnectionOptions, rootCertificates as nodesOwn } from 'node:tls'
import { inHome } from './home.ts'

/** As libpq means them: from `require` on nothing goes unencrypted, from `verify-ca` on not to just anybody. */
export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/** How a connection is encrypted. Files are named by what they are for; undefined: libpq's own place, if there is such a file. */
export interface TlsSettings {
  readonly mode: (typeof SSL_MODES)[number]
  /** TLS from the first byte, as PostgreSQL takes it from 17 on. */
  readonly isDirect: boolean
  /** Of who may vouch for the server; `system`: whoever the system trusts. */
  readonly rootCertificate: string | undefined
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly passphrase: string | undefined
}

/** Files are read for each connection, so that a certificate may be replaced while the service runs. */
export function tlsOptions(settings: TlsSettings): ConnectionOptions {
  const { mode, passphrase } = settings
  const ca = rootCertificates(settings)
  const cert = read('sslcert', settings.certificate, 'postgresql.crt')
  const key = cert && read('sslkey', settings.key, 'postgresql.key')
  if (cert && !key) throw new Error('sslkey is missing, the key of sslcert')
  if (!ca && mode.startsWith('verify')) {
    throw new Error(`sslrootcert is missing, without which sslmode=${mode} can trust nobody: name a file, or system`)
  }
  return {
    ...(ca ? { ca } : {}),
    rejectUnauthorized: ca !== undefined, // As in libpq, `require` does what `verify-ca` does where it can.
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(cert && key ? { cert, key } : {}),
    ...(passphrase ? { passphrase } : {})
  }
}

/** What keeps these settings from being used: a file that is not there, or is not what it should be. */
export function tlsProblems(settings: TlsSettings): string[] {
  const { mode, rootCertificate } = settings
  if (mode === 'disable') return []
  if (rootCertificate === 'system' && mode !== 'verify-full') {
    return ['sslrootcert=system needs sslmode=verify-full: anybody can have a certificate that a system trusts']
  }
  try {
    const { ca, cert, key, passphrase } = tlsOptions(settings)
    return [
      ...(rootCertificate === 'system'
        ? []
        : problemOf('sslrootcert', 'is no certificate in PEM', ca, parseCertificate)),
      ...problemOf('sslcert', 'is no certificate in PEM', cert, parseCertificate),
      ...problemOf('sslkey', 'is no key in PEM that sslpassword opens', key, pem =>
        createPrivateKey({ key: pem, passphrase })
      ),
      ...(fits(cert, key, passphrase) ? [] : ['sslkey is not the key of sslcert'])
    ]
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

const parseCertificate = (pem: string): unknown => new X509Certificate(pem)

function problemOf(parameter: string, problem: string, pem: unknown, parse: (pem: string) => unknown): string[] {
  if (typeof pem !== 'string') return []
  try {
    parse(pem)
    return []
  } catch {
    return [`${parameter} ${problem}`]
  }
}

function fits(cert: unknown, key: unknown, passphrase: string | undefined): boolean {
  if (typeof cert !== 'string' || typeof key !== 'string') return true
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey({ key, passphrase }))
  } catch {
    return true // Named already.
  }
}

/** Where systems keep whom they trust. OpenSSL's own variable comes first, Node's own list last. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem'
]

function rootCertificates({ rootCertificate }: TlsSettings): string | undefined {
  if (rootCertificate !== 'system') return read('sslrootcert', rootCertificate, 'root.crt')
  const { SSL_CERT_FILE } = process.env
  const bundle = SSL_CERT_FILE || SYSTEM_BUNDLES.find(path => existsSync(path))
  return bundle ? read('sslrootcert', bundle, '') : nodesOwn.join('\n')
}

function read(parameter: string, named: string | undefined, usual: string): string | undefined {
  const own = inHome('.postgresql', usual)
  const path = named ?? (own && existsSync(own) ? own : undefined)
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no file'
    throw new Error(`${parameter} cannot be read: ${path} (${code})`, { cause: error })
  }
}
