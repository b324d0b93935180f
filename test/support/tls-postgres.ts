/** A PostgreSQL of a test's own that is reached over TCP, with TLS or without, under the name that its certificate has. */
import { randomInt } from 'node:crypto'
import { chmod, chown, copyFile, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { openDatabase, runScript } from '../../src/store/connection/database.ts'
import type { Lifetime } from './database.ts'
import { listenOnLoopback } from './loopback.ts'
import { aServer, type OwnServer } from './own-postgres.ts'

const FOLDER = 'test/support/tls'
export const OWN_CA = join(FOLDER, 'database-ca.pem')
export const ANOTHER_CA = join(FOLDER, 'another-ca.pem')
/** Of user `postgres`. */
export const CLIENT = { certificate: join(FOLDER, 'client-certificate.pem'), key: join(FOLDER, 'client-key.pem') }
export const CLIENT_PASSPHRASE = 'hunter2'
export const PASSWORD = 'a:b@c/d?e%f#g'

/** Who gets in over which way. `postgres` gets in over all. */
const ACCESS = `
  local     all  all                    trust
  hostssl   all  encrypted  127.0.0.0/8 trust
  hostnossl all  plain      127.0.0.0/8 trust
  host      all  secretive  127.0.0.0/8 scram-sha-256
  host      all  postgres   127.0.0.0/8 trust
`
const CERTIFIED = '  hostssl   all  certified  127.0.0.0/8 trust clientcert=verify-ca\n'

export interface TlsPostgres {
  readonly port: number
  readonly server: OwnServer
}

export async function aTlsPostgres(t: Lifetime, { speaksTls }: { speaksTls: boolean }): Promise<TlsPostgres> {
  // An address of loopback that nobody else has: the port is always the same.
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`
  const server = await aServer(t, { listen_addresses: address })
  await server.start()
  const db = openDatabase({ url: server.url, connectionsMax: 1 })
  await runScript(db, 'create role encrypted login; create role plain login; create role certified login')
  await runScript(db, `create role secretive login password '${PASSWORD}'`)
  await db.destroy()
  await server.stop()
  await configure(join(server.dataDir, 'postgres'), speaksTls)
  await server.start()
  return { server, port: await aPassage(t, address) }
}

async function configure(folder: string, speaksTls: boolean): Promise<void> {
  const { uid, gid } = await stat(folder)
  const settings = `ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.pem'\n`
  await writeFile(join(folder, 'postgresql.auto.conf'), speaksTls ? settings : '')
  await writeFile(join(folder, 'pg_hba.conf'), speaksTls ? ACCESS + CERTIFIED : ACCESS.replace(/.*hostssl.*\n/, ''))
  for (const [from, to] of [
    ['database-certificate.pem', 'server.pem'],
    ['database-key.pem', 'server.key'],
    ['database-ca.pem', 'ca.pem']
  ] as const) {
    await copyFile(join(FOLDER, from), join(folder, to))
    await chmod(join(folder, to), 0o600)
    if (process.getuid?.() === 0) await chown(join(folder, to), uid, gid)
  }
}

/** A port of 127.0.0.1, and so of `localhost`, that leads to PostgreSQL's own port at another address. */
async function aPassage(t: Lifetime, address: string): Promise<number> {
  const listener = createServer(socket => {
    const server = connect(5432, address)
    server.on('error', () => undefined) // It is closed then.
    socket.pipe(server).pipe(socket)
    socket.on('close', () => server.destroy())
    server.on('close', () => socket.destroy())
  })
  return await listenOnLoopback(t, listener)
}
