import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { beforeAll, describe, it, type TestContext } from 'vitest'
import { PoolError } from '../../src/pool/errors.ts'
import { type Database, openDatabase, query, runScript, warmUp } from '../../src/store/connection/database.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { listenOnLoopback } from '../support/loopback.ts'
import { aServer, aStandbyOf, type OwnServer } from '../support/own-postgres.ts'
import { aService } from '../support/service.ts'

/** An address with several hosts, in this order. */
const urlOf = (hosts: readonly { host: string; port: number }[], parameters = ''): string =>
  `postgres://postgres@/postgres?host=${hosts.map(({ host }) => encodeURIComponent(host)).join(',')}` +
  `&port=${hosts.map(({ port }) => port).join(',')}${parameters}`

const at = ({ socketDir }: OwnServer): { host: string; port: number } => ({ host: socketDir, port: 5432 })
const DEAD = { host: '/nowhere', port: 5432 }

function opened(t: TestContext, url: string, connectionsMax = 1): Database {
  const db = openDatabase({ url, connectionsMax, env: {} })
  t.onTestFinished(() => db.destroy())
  return db
}

async function socketDirOf(db: Database): Promise<string | undefined> {
  const [row] = await query<{ dir: string }>(db, "select current_setting('unix_socket_directories') as dir")
  return row?.dir
}

/** Says one thing to whoever comes, and counts them. */
async function aDoorkeeper(t: TestContext, sqlState: string): Promise<{ host: string; port: number; visits: number }> {
  const listener = createServer(socket => {
    keeper.visits += 1
    socket.once('data', () => {
      const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0Mgo away\0\0`)
      const head = Buffer.from([0x45, 0, 0, 0, fields.length + 4])
      socket.end(Buffer.concat([head, fields]))
    })
  })
  const port = await listenOnLoopback(t, listener)
  const keeper = { host: '127.0.0.1', port, visits: 0 }
  return keeper
}

describe('database.url with several hosts', () => {
  const t = whileTestsRun()
  let primary: OwnServer
  let standby: OwnServer
  beforeAll(async () => {
    primary = await aServer(t)
    await primary.start()
    await primary.stop()
    standby = await aStandbyOf(t, primary)
  })

  it('leads to the first that takes writes, whatever is dead or only reads', async u => {
    const hosts = [DEAD, at(standby), at(primary)]
    for (const parameters of ['', '&target_session_attrs=read-write', '&target_session_attrs=primary']) {
      assert.equal(await socketDirOf(opened(u, urlOf(hosts, parameters))), primary.socketDir, parameters)
    }
    assert.equal(await socketDirOf(opened(u, urlOf(hosts, '&target_session_attrs=any'))), standby.socketDir)
  })

  it('passes over one that is starting up, but not one that refuses the login', async u => {
    const starting = await aDoorkeeper(u, '57P03')
    const plain = '&sslmode=disable'
    assert.equal(await socketDirOf(opened(u, urlOf([starting, at(primary)], plain))), primary.socketDir)
    const refusing = await aDoorkeeper(u, '28P01')
    await assert.rejects(socketDirOf(opened(u, urlOf([refusing, at(primary)], plain))), {
      message: /refused the login: check the user and password in database\.url \(28P01\)/
    })
  })

  it('is asked from the one that served last on, so that a dead one costs its time once', async u => {
    const starting = await aDoorkeeper(u, '57P03')
    const db = opened(u, urlOf([starting, at(primary)], '&sslmode=disable'), 3)
    await socketDirOf(db)
    assert.equal(starting.visits, 1)
    await warmUp(db, 3)
    assert.equal(starting.visits, 1)
  })

  it('with no primary among them is told as that, to the log by host', async u => {
    const failing = socketDirOf(opened(u, urlOf([at(standby), DEAD])))
    await assert.rejects(failing, error => {
      assert.ok(error instanceof PoolError && error.cause instanceof Error)
      assert.match(error.message, /^The database is read-only.*\(25006\)/)
      assert.doesNotMatch(error.message, /nowhere/)
      assert.match(error.cause.message, /:5432: it takes no writes, as a standby does; \/nowhere:5432: connect ENOENT/)
      return true
    })
    const alone = socketDirOf(opened(u, `${standby.url}&target_session_attrs=read-write`))
    await assert.rejects(alone, { message: /^The database is read-only/ })
  })
})

describe('when a standby is promoted', () => {
  it('the service goes on by itself over the same database.url', async t => {
    const synchronous = { synchronous_standby_names: '*', synchronous_commit: 'remote_apply' }
    const primary = await aServer(t, synchronous)
    await primary.start()
    await primary.stop()
    const standby = await aStandbyOf(t, primary)
    const url = urlOf([at(primary), at(standby)])
    const service = await aService(t, { config: { database: { url }, claims: { check_existing: 'claims' } } })
    const before = await service.claim({ hostname: 'before' })
    assert.equal(before.status, 200)
    await primary.stop()
    const during = await service.claim({ hostname: 'during' })
    assert.deepEqual([during.status, during.body.code], [503, 'database_unavailable'])
    await runScript(opened(t, standby.url), 'select pg_promote()')
    const after = await service.claim({ hostname: 'during' })
    assert.deepEqual([after.status, after.body.source], [200, 'pool'])
    const again = await service.claim({ hostname: 'before' })
    assert.equal(again.body.volume_id, before.body.volume_id)
  })
})
