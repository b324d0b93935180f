/** A PostgreSQL of a test's own behind one address, which the test stops, starts and replaces as it likes. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.ts'
import { listenOnLoopback } from './loopback.ts'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

/** One server and its data. */
export class OwnServer {
  readonly dataDir: string
  readonly #settings: Readonly<Record<string, string>>
  #running: EmbeddedPostgres | undefined

  constructor(dataDir: string, settings: Readonly<Record<string, string>>) {
    this.dataDir = dataDir
    this.#settings = settings
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  get socketDir(): string {
    assert.ok(this.#running, 'it is stopped')
    return this.#running.socketDir
  }

  /** How to reach it itself, whatever the door leads to. */
  get url(): string {
    return `postgres://postgres@/postgres?host=${encodeURIComponent(this.socketDir)}`
  }

  async start(): Promise<void> {
    this.#running = await startEmbeddedPostgres({ dataDir: this.dataDir, durable: false, settings: this.#settings })
  }

  /** At once but cleanly: who is connected is told so, and cut. */
  async stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    await running?.stop()
  }
}

export async function aServer(t: Lifetime, settings: Readonly<Record<string, string>> = {}): Promise<OwnServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spare-pool-own-'))
  const server = new OwnServer(dataDir, settings)
  t.onTestFinished(async () => {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true, maxRetries: 20 })
  })
  return server
}

/** A standby that follows another server, whose data it begins with: that one must be stopped. */
export async function aStandbyOf(t: Lifetime, primary: OwnServer): Promise<OwnServer> {
  const standby = await aServer(t)
  await promisify(execFile)('cp', ['-a', join(primary.dataDir, 'postgres'), standby.dataDir])
  const folder = join(standby.dataDir, 'postgres')
  await primary.start()
  await writeFile(
    join(folder, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=${primary.socketDir} user=postgres'\n`
  )
  await writeFile(join(folder, 'standby.signal'), '')
  await standby.start()
  return standby
}

/** An address that leads to whichever server the test says; while that is stopped, it hangs up. */
export interface Door {
  readonly url: string
  lead(to: OwnServer): void
}

export async function aDoor(t: Lifetime): Promise<Door> {
  let target: OwnServer | undefined
  const listener = createServer(socket => {
    if (!target?.isRunning) return void socket.destroy()
    const server = connect(join(target.socketDir, '.s.PGSQL.5432'))
    server.on('error', () => undefined) // It is closed then.
    server.on('close', () => socket.destroy())
    socket.on('close', () => server.destroy())
    socket.pipe(server).pipe(socket)
  })
  const port = await listenOnLoopback(t, listener)
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    lead: to => {
      target = to
    }
  }
}
