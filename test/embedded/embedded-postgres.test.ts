import assert from 'node:assert/strict'
import { chmod, chown, copyFile, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.ts'
import { type Database, openDatabase, query, runScript } from '../../src/store/connection/database.ts'
import { aCheckout } from '../support/checkout.ts'
import { aProcess } from '../support/process.ts'
import { until } from '../support/until.ts'

const NOBODY = { uid: 65_534, gid: 65_534 }
const PACKAGES = ['pg', 'tsx', `@embedded-postgres/${process.platform}-${process.arch}`]
const isRoot = process.getuid?.() === 0

async function aFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'data-'))
  t.onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 20 })) // A killed server goes on writing for a moment.
  return folder
}

async function started(t: TestContext, dataDir: string): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir })
  t.onTestFinished(() => postgres.stop())
  return postgres
}

async function connected<R>(socketDir: string, use: (db: Database) => Promise<R>): Promise<R> {
  const db = openDatabase({ socketDir, user: 'postgres', database: 'postgres' })
  try {
    return await use(db)
  } finally {
    await db.destroy()
  }
}

const remember = (socketDir: string): Promise<void> =>
  connected(socketDir, db => runScript(db, 'create table kept (id int); insert into kept values (1)'))

const recall = (socketDir: string): Promise<unknown[]> => connected(socketDir, db => query(db, 'select id from kept'))

async function postmasterPid(dataDir: string): Promise<number> {
  const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  return Number(pidFile.split('\n')[0])
}

const isMissing = (path: string): Promise<boolean> =>
  stat(path).then(
    () => false,
    () => true
  )

const isGone = (pid: number): boolean => {
  try {
    return !process.kill(pid, 0)
  } catch {
    return true
  }
}

describe('the embedded PostgreSQL', () => {
  it('keeps its data from one start to the next, and leaves nothing else', async t => {
    const dataDir = await aFolder(t)
    const first = await started(t, dataDir)
    await remember(first.socketDir)
    await Promise.all([first.stop(), first.stop()])
    await first.stop()
    assert.deepEqual((await readdir(dataDir)).toSorted(), ['postgres', 'postgres.log'])
    assert.ok(await isMissing(first.socketDir))
    const second = await started(t, dataDir)
    assert.deepEqual(await recall(second.socketDir), [{ id: 1 }])
  })

  it('stops when its owner is killed, and starts again with its data', async t => {
    const dataDir = await aFolder(t)
    const owner = aProcess(t, 'embedded-postgres', [dataDir])
    const socketDir = await owner.said('socket')
    await remember(socketDir)
    const postmaster = await postmasterPid(dataDir)
    owner.kill('SIGKILL')
    await owner.ended
    const next = await started(t, dataDir) // At once, while the old one may still be going.
    assert.deepEqual(await recall(next.socketDir), [{ id: 1 }])
    assert.notEqual(next.socketDir, socketDir)
    assert.ok(isGone(postmaster))
    await until(() => isMissing(socketDir))
  })

  it('is stopped by its owner, in the order that the owner chooses', async t => {
    const dataDir = await aFolder(t)
    const owner = aProcess(t, 'embedded-postgres', [dataDir])
    await owner.said('socket')
    const postmaster = await postmasterPid(dataDir)
    owner.kill('SIGTERM')
    assert.match(await owner.ended, /^stopped well$/m)
    assert.ok(isGone(postmaster))
  })

  it('is shared by all who start it on one data directory, and made once', async t => {
    const dataDir = await aFolder(t)
    const owners = await Promise.all([1, 2, 3].map(() => started(t, dataDir)))
    const child = aProcess(t, 'embedded-postgres', [dataDir])
    const socketDirs = new Set([...owners.map(owner => owner.socketDir), await child.said('socket')])
    assert.equal(socketDirs.size, 1)
    assert.deepEqual((await readdir(dataDir)).toSorted(), ['postgres', 'postgres.log'])
  })

  it('is made and started once by two processes that begin together', async t => {
    const dataDir = await aFolder(t)
    const rivals = [1, 2].map(() => aProcess(t, 'embedded-postgres', [dataDir]))
    const [one, other] = await Promise.all(rivals.map(rival => rival.said('socket')))
    assert.equal(one, other)
  })

  it('comes back by itself, at the same place, when it is killed', async t => {
    const dataDir = await aFolder(t)
    const postgres = await started(t, dataDir)
    await remember(postgres.socketDir)
    const killed = await postmasterPid(dataDir)
    process.kill(killed, 'SIGKILL')
    await until(() => recall(postgres.socketDir).then(Boolean, () => false))
    assert.deepEqual(await recall(postgres.socketDir), [{ id: 1 }])
    assert.notEqual(await postmasterPid(dataDir), killed)
  })

  it('recovers when everything was killed at once', async t => {
    const dataDir = await aFolder(t)
    const owner = aProcess(t, 'embedded-postgres', [dataDir])
    const socketDir = await owner.said('socket')
    await remember(socketDir)
    const postmaster = await postmasterPid(dataDir)
    process.kill(postmaster, 'SIGKILL')
    owner.kill('SIGKILL')
    await owner.ended
    assert.deepEqual(await recall((await started(t, dataDir)).socketDir), [{ id: 1 }])
    assert.ok(await isMissing(socketDir))
  })

  it('makes its data anew when that was cut short', async t => {
    const dataDir = await aFolder(t)
    const gone = aProcess(t, 'nothing', []) // Ends at once: there is no such program.
    await gone.ended
    const remains = join(dataDir, `postgres.init-${gone.pid}-x`)
    await writeFile(remains, '')
    await started(t, dataDir)
    assert.ok(!(await readdir(dataDir)).includes(`postgres.init-${gone.pid}-x`))
  })

  it('says what its log says when it does not start', async t => {
    const dataDir = await aFolder(t)
    await assert.rejects(
      startEmbeddedPostgres({ dataDir, settings: { shared_buffers: 'much' } }),
      /did not start.*shared_buffers/s
    )
    assert.ok(await isMissing(join(dataDir, 'postgres', 'postmaster.pid')))
  })

  it('says what to do when its binaries are not installed', async t => {
    const checkout = await aCheckout(t, ['pg', 'tsx'], 0o755)
    const child = aProcess(t, 'embedded-postgres', [await aFolder(t)], { checkout })
    assert.match(await child.ended, /is not installed .* without --omit=optional, or set database\.url/)
  })

  it('runs when its libraries were not linked on installation', async t => {
    const checkout = await aCheckout(t, PACKAGES, 0o755)
    const native = join(checkout, 'node_modules', PACKAGES.at(-1) ?? '', 'native')
    const links: { target: string }[] = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'))
    await Promise.all(links.map(({ target }) => unlink(join(native, '..', target)).catch(() => {})))
    await aProcess(t, 'embedded-postgres', [await aFolder(t)], { checkout }).said('socket')
  })

  if (isRoot) {
    it('runs for root below a folder that is closed to others', async t => {
      const checkout = await aCheckout(t, PACKAGES, 0o700)
      const dataDir = join(checkout, 'data')
      const owner = aProcess(t, 'embedded-postgres', [dataDir], { checkout })
      const socketDir = await owner.said('socket')
      await remember(socketDir)
      process.kill(await postmasterPid(dataDir), 'SIGKILL')
      await until(() => recall(socketDir).then(Boolean, () => false))
      owner.kill('SIGKILL')
      await until(() => isMissing(socketDir))
    })

    it('runs for an ordinary user', async t => {
      const checkout = await aCheckout(t, PACKAGES, 0o755)
      const dataDir = await aFolder(t)
      await chmod(dataDir, 0o700)
      await chown(dataDir, NOBODY.uid, NOBODY.gid)
      const node = join(checkout, 'node') // Ours may be out of that user's reach.
      await copyFile(process.execPath, node)
      await remember(await aProcess(t, 'embedded-postgres', [dataDir], { checkout, node, ...NOBODY }).said('socket'))
    })
  }
})
