import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { beforeAll, describe, it } from 'vitest'
import { aConfigFile, aFolder, runCommand } from '../support/command-line.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aTlsPostgres, CLIENT, CLIENT_PASSPHRASE, OWN_CA, PASSWORD, type TlsPostgres } from '../support/tls-postgres.ts'

const t = whileTestsRun()
let server: TlsPostgres
beforeAll(async () => {
  server = await aTlsPostgres(t, { speaksTls: true })
})

const urlOf = (user: string, parameters: Readonly<Record<string, string>>): string =>
  `postgres://${user}@localhost:${server.port}/postgres?${new URLSearchParams(parameters).toString()}`

describe('database.url', () => {
  it.for([
    ['no sslmode', {}],
    ['sslmode=prefer', { sslmode: 'prefer' }],
    ['sslmode=require', { sslmode: 'require' }],
    ['sslmode=verify-ca', { sslmode: 'verify-ca', sslrootcert: resolve(OWN_CA) }],
    [
      'sslmode=verify-full and a certificate of our own',
      {
        sslmode: 'verify-full',
        sslrootcert: resolve(OWN_CA),
        sslcert: resolve(CLIENT.certificate),
        sslkey: resolve(CLIENT.key),
        sslpassword: CLIENT_PASSPHRASE
      }
    ]
  ] as const)('makes no library warn on standard error, with %s', async ([, parameters], u) => {
    const url = urlOf('postgres', parameters)
    const { code, stderr, stdout } = await runCommand(u, ['migrate', '--config', aConfigFile(u, { database: { url } })])
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^applied: |^nothing to do/)
  })

  it('makes none warn of a password file either', async u => {
    const home = aFolder(u)
    writeFileSync(join(home, '.pgpass'), `localhost:*:*:secretive:${PASSWORD.replaceAll(':', '\\:')}\n`)
    const file = aConfigFile(u, { database: { url: urlOf('secretive', {}) } })
    const migrate = () => runCommand(u, ['migrate', '--config', file], { env: { HOME: home } })
    chmodSync(join(home, '.pgpass'), 0o600)
    const { stderr } = await migrate()
    assert.match(stderr, /^spare-pool: .*(grant it|permission denied)[^\n]*\n$/, 'it is let in, and may do nothing')
    chmodSync(join(home, '.pgpass'), 0o644)
    const refused = await migrate()
    assert.match(refused.stderr, /^spare-pool: The connection to the database was refused: check the password[^\n]*\n$/)
  })

  it.for(['serve', 'migrate', 'doctor'])(
    '%s says what is wrong with it, and where it comes from',
    async (command, u) => {
      const file = aConfigFile(u, { database: { url: urlOf('postgres:hunter2', { sslrootcert: '/nowhere/ca.pem' }) } })
      const { code, stderr } = await runCommand(u, [command, '--config', file])
      assert.equal(code, 2)
      assert.match(stderr, /^ {2}database\.url: sslrootcert cannot be read: \/nowhere\/ca\.pem \(ENOENT\)$/m)
      const env = { DATABASE_URL: 'postgres://pool:hunter2@db/pool?sslmode=on' }
      const other = await runCommand(u, [command, '--config', file], { env })
      assert.match(other.stderr, /^ {2}database\.url \(from DATABASE_URL\): sslmode must be one of /m)
      assert.doesNotMatch(stderr + other.stderr, /hunter2/)
    }
  )
})
