import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, it, type TestContext, vi } from 'vitest'
import { openDatabase, query } from '../../../src/store/connection/database.ts'
import { databaseUrlProblems } from '../../../src/store/connection/database-url.ts'
import { whileTestsRun } from '../../support/lifetime.ts'
import {
  ANOTHER_CA,
  aTlsPostgres,
  CLIENT,
  CLIENT_PASSPHRASE,
  OWN_CA,
  PASSWORD,
  type TlsPostgres
} from '../../support/tls-postgres.ts'

const t = whileTestsRun()
let withTls: TlsPostgres
let without: TlsPostgres
beforeAll(async () => {
  withTls = await aTlsPostgres(t, { speaksTls: true })
  without = await aTlsPostgres(t, { speaksTls: false })
})

/** `localhost` is what the certificate is for, `127.0.0.1` is not. */
type HostName = 'localhost' | '127.0.0.1'

interface Login {
  readonly user?: string
  readonly host?: HostName
  readonly env?: Readonly<Record<string, string>>
}

const urlOf = ({ port }: TlsPostgres, parameters: object, { user = 'postgres', host = 'localhost' }: Login): string =>
  `postgres://${user}@${host}:${port}/postgres?${new URLSearchParams({ ...parameters }).toString()}`

/** How a connection comes to be, if it does: encrypted or plain; else why not. */
async function wayTo(server: TlsPostgres, parameters: object, login: Login = {}): Promise<string> {
  const { env = {} } = login
  const db = openDatabase({ url: urlOf(server, parameters, login), env, connectionsMax: 1 })
  try {
    const [row] = await query<{ ssl: boolean }>(db, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')
    return row?.ssl ? 'encrypted' : 'plain'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await db.destroy()
  }
}

const REFUSED = /^The connection to the database was refused: check the password and sslmode/
const UNTRUSTED = /^A certificate is refused .*sslmode, sslrootcert/
const NO_LOGIN = /^The database refused the login|^The connection to the database was refused/

describe('sslmode', () => {
  it.for([
    ['disable', 'plain', 'plain'],
    ['allow', 'plain', 'plain'],
    ['prefer', 'encrypted', 'plain'],
    [undefined, 'encrypted', 'plain'],
    ['require', 'encrypted', REFUSED],
    ['verify-ca', 'encrypted', REFUSED],
    ['verify-full', 'encrypted', REFUSED]
  ] as const)('%s gives over a server with TLS %s, over one without %s', async ([sslmode, tls, plain]) => {
    const root = sslmode?.startsWith('verify') ? { sslrootcert: OWN_CA } : {}
    const parameters = { ...(sslmode ? { sslmode } : {}), ...root }
    assert.equal(await wayTo(withTls, parameters), tls)
    const other = await wayTo(without, parameters)
    if (typeof plain === 'string') assert.equal(other, plain)
    else assert.match(other, plain)
  })

  it.for([
    // Without a root certificate, `require` takes whatever is there; with one, it does what `verify-ca` does.
    ['require', undefined, 'encrypted', 'encrypted'],
    ['require', OWN_CA, 'encrypted', 'encrypted'],
    ['require', ANOTHER_CA, UNTRUSTED, UNTRUSTED],
    ['verify-ca', OWN_CA, 'encrypted', 'encrypted'],
    ['verify-ca', ANOTHER_CA, UNTRUSTED, UNTRUSTED],
    ['verify-full', OWN_CA, 'encrypted', UNTRUSTED],
    ['verify-full', ANOTHER_CA, UNTRUSTED, UNTRUSTED],
    ['verify-full', 'system', UNTRUSTED, UNTRUSTED],
    // These two go on without, rather than not at all.
    ['prefer', ANOTHER_CA, 'plain', 'plain'],
    ['prefer', OWN_CA, 'encrypted', 'encrypted'],
    ['allow', ANOTHER_CA, 'plain', 'plain']
  ] as const)(
    '%s with %s as root gives under the name of the certificate %s, under another %s',
    async ([sslmode, sslrootcert, right, wrong]) => {
      const parameters = { sslmode, ...(sslrootcert ? { sslrootcert } : {}) }
      for (const [host, expected] of [
        ['localhost', right],
        ['127.0.0.1', wrong]
      ] as const) {
        const way = await wayTo(withTls, parameters, { host })
        if (typeof expected === 'string') assert.equal(way, expected, host)
        else assert.match(way, expected, host)
      }
    }
  )

  it('allow and prefer take the other way where the server lets nobody in over the first', async () => {
    assert.equal(await wayTo(withTls, { sslmode: 'allow' }, { user: 'encrypted' }), 'encrypted')
    assert.equal(await wayTo(withTls, { sslmode: 'prefer' }, { user: 'plain' }), 'plain')
    assert.match(await wayTo(withTls, { sslmode: 'disable' }, { user: 'encrypted' }), NO_LOGIN)
    assert.match(await wayTo(withTls, { sslmode: 'require' }, { user: 'plain' }), NO_LOGIN)
  })

  it('comes from PGSSLMODE where the address has none, and ssl=true is require', async () => {
    assert.equal(await wayTo(withTls, {}, { env: { PGSSLMODE: 'disable' } }), 'plain')
    assert.equal(await wayTo(withTls, { sslmode: 'require' }, { env: { PGSSLMODE: 'disable' } }), 'encrypted')
    assert.match(await wayTo(without, { ssl: 'true' }), REFUSED)
  })

  it('is of no matter over a Unix socket', async () => {
    const { server } = withTls
    const db = openDatabase({ url: `${server.url}&sslmode=require`, connectionsMax: 1 })
    t.onTestFinished(() => db.destroy())
    assert.equal((await query(db, 'select 1')).length, 1)
  })

  it('verify-full with sslrootcert=system goes by whom the system trusts', async u => {
    u.onTestFinished(() => void vi.unstubAllEnvs())
    vi.stubEnv('SSL_CERT_FILE', OWN_CA) // How OpenSSL itself is told of another list.
    assert.equal(await wayTo(withTls, { sslrootcert: 'system' }), 'encrypted')
    assert.match(await wayTo(withTls, { sslrootcert: 'system' }, { host: '127.0.0.1' }), UNTRUSTED)
  })

  it('sslnegotiation=direct speaks TLS from the first byte', async () => {
    assert.equal(await wayTo(withTls, { sslmode: 'require', sslnegotiation: 'direct' }), 'encrypted')
  })

  it('sends a certificate of ours, whose key sslpassword opens', async () => {
    const own = { sslcert: CLIENT.certificate, sslkey: CLIENT.key, sslpassword: CLIENT_PASSPHRASE }
    const parameters = { sslmode: 'require', ...own }
    assert.equal(await wayTo(withTls, parameters, { user: 'certified' }), 'encrypted')
    assert.match(await wayTo(withTls, { sslmode: 'require' }, { user: 'certified' }), /certificate|refused/)
  })
})

describe('a password', () => {
  const secretive = { user: 'secretive' }

  it('may have any characters, encoded', async () => {
    const user = `secretive:${encodeURIComponent(PASSWORD)}`
    assert.equal(await wayTo(withTls, {}, { user }), 'encrypted')
    assert.equal(await wayTo(withTls, { password: PASSWORD }, secretive), 'encrypted')
    assert.equal(await wayTo(withTls, {}, { ...secretive, env: { PGPASSWORD: PASSWORD } }), 'encrypted')
  })

  it('that is missing or wrong is told without a word of it', async () => {
    const wrong = await wayTo(withTls, {}, { user: 'secretive:hunter2' })
    assert.match(wrong, /refused the login: check the user and password/)
    assert.doesNotMatch(wrong, /hunter2/)
    assert.match(await wayTo(withTls, {}, secretive), NO_LOGIN)
  })

  it('comes from the first line that fits of a file that nobody else may read', async u => {
    const lines = [
      '# comment',
      'elsewhere:*:*:*:no',
      `localhost:1:*:*:no`,
      `*:*:*:other:no`,
      `localhost:${withTls.port}:postgres:secretive:${PASSWORD.replaceAll(':', '\\:')}`,
      '*:*:*:*:no'
    ]
    const passfile = aFile(u, lines.join('\n'), 0o600)
    assert.equal(await wayTo(withTls, { passfile }, secretive), 'encrypted')
    assert.equal(await wayTo(withTls, {}, { ...secretive, env: { PGPASSFILE: passfile } }), 'encrypted')
    assert.match(await wayTo(withTls, { passfile }, { ...secretive, host: '127.0.0.1' }), NO_LOGIN)
    const open = aFile(u, lines.join('\n'), 0o644)
    assert.match(problemOf({ passfile: open }), /^database\.url: passfile may be read by others.*chmod 600/)
    assert.match(problemOf({ passfile: '/nowhere/pass' }), /^database\.url: passfile cannot be read: .*ENOENT/)
  })
})

function aFile(u: TestContext, text: string, mode = 0o600): string {
  const folder = mkdtempSync(join(tmpdir(), 'database-'))
  u.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'file')
  writeFileSync(path, text, { mode })
  return path
}

const problemOf = (parameters: object): string =>
  databaseUrlProblems(`postgres://pool@db.example/pool?${new URLSearchParams({ ...parameters }).toString()}`, {}).join(
    '\n'
  )

describe('a file that cannot be used is named by its parameter at the start:', () => {
  const own = { sslcert: CLIENT.certificate, sslkey: CLIENT.key, sslpassword: CLIENT_PASSPHRASE }
  it.for([
    [
      'a root that is missing',
      { sslrootcert: '/nowhere/ca.pem' },
      /^database\.url: sslrootcert cannot be read: .*ENOENT/
    ],
    ['a root that is a folder', { sslrootcert: 'test' }, /^database\.url: sslrootcert cannot be read: .*EISDIR/],
    ['a root that is no certificate', { sslrootcert: 'package.json' }, /^database\.url: sslrootcert is no certificate/],
    ['no root to verify with', { sslmode: 'verify-full' }, /^database\.url: sslrootcert is missing.*or system$/],
    ['no root to verify with', { sslmode: 'verify-ca' }, /^database\.url: sslrootcert is missing/],
    [
      'a root that vouches for all',
      { sslmode: 'require', sslrootcert: 'system' },
      /^database\.url: sslrootcert=system/
    ],
    ['a certificate that is missing', { sslcert: '/nowhere/c' }, /^database\.url: sslcert cannot be read: .*ENOENT/],
    ['a certificate without a key', { sslcert: CLIENT.certificate }, /^database\.url: sslkey is missing/],
    ['a certificate that is none', { ...own, sslcert: 'package.json' }, /^database\.url: sslcert is no certificate/],
    ['a key that is missing', { ...own, sslkey: '/nowhere/k' }, /^database\.url: sslkey cannot be read: .*ENOENT/],
    ['a key that stays shut', { ...own, sslpassword: 'wrong' }, /^database\.url: sslkey is no key .*sslpassword/],
    ['the key of another', { ...own, sslkey: 'test/support/tls/key.pem' }, /^database\.url: sslkey is not the key of/]
  ] as const)('%s', ([, parameters, problem]) => {
    assert.match(problemOf(parameters), problem)
    assert.equal(problemOf({ ...parameters, sslmode: 'disable', sslrootcert: OWN_CA }), '')
  })

  it('and one that is right, is not', () => {
    assert.equal(problemOf({ sslmode: 'verify-full', sslrootcert: OWN_CA, ...own }), '')
    assert.equal(problemOf({ sslrootcert: 'system' }), '')
  })
})

it('certificates are read for each connection, so that they may be replaced', async u => {
  const sslrootcert = aFile(u, '')
  copyFileSync(ANOTHER_CA, sslrootcert)
  const url = urlOf(withTls, { sslmode: 'verify-full', sslrootcert }, {})
  const db = openDatabase({ url, connectionsMax: 1 })
  u.onTestFinished(() => db.destroy())
  await assert.rejects(query(db, 'select 1'), { message: UNTRUSTED })
  copyFileSync(OWN_CA, sslrootcert)
  assert.equal((await query(db, 'select 1')).length, 1)
})
