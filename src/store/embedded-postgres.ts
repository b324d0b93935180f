import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Client } from 'pg'
import { systemClock } from '../clock.ts'
import type { Clock } from '../pool/ports.ts'
import { environment } from './embedded-binaries.ts'
import { type Cluster, isAlive, openCluster } from './embedded-cluster.ts'

export interface EmbeddedPostgresOptions {
  /** PostgreSQL's own folder in it is `postgres`, its log `postgres.log`. */
  readonly dataDir: string
  /** False for throw-away data: nothing waits for the disk, and a power cut may destroy it. */
  readonly durable?: boolean
  readonly settings?: Readonly<Record<string, string>>
  readonly clock?: Clock
}

/** A running server, as `openDatabase` takes it. */
export interface EmbeddedPostgres {
  readonly socketDir: string
  readonly port: number
  readonly user: string
  readonly database: string
  /** Ends it at once but cleanly. One that another process started is left running. */
  stop(): Promise<void>
}

const ADDRESS = { port: 5432, user: 'postgres', database: 'postgres' }
const START_SECONDS_MAX = 60 // Recovery after a crash takes its time.
const STOP_SECONDS_MAX = 10

/**
 * Ends PostgreSQL when our own process does, however that dies: the pipe on its standard input ends then. It holds when this
 * shell itself is killed, as the reader is a process of its own. What is in `$run` is of no use to anyone after that.
 */
const GUARD = `
  exec 9<&0; run=$1; shift
  "$@" </dev/null 9<&- & server=$!
  (read -r _ <&9; kill -INT $server) & reader=$!
  trap 'kill -INT $server' TERM INT
  while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
  kill $reader 2>/dev/null; rm -rf "$run"; exit $code`

/** Another process starts or ends the same server at this moment, or the remains of a killed one are just going. */
const BUSY = /lock file|shared memory block/

/** Starts the private PostgreSQL of a data directory, or joins the one that runs there already. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { clock = systemClock } = options
  const dataDir = resolve(options.dataDir)
  await mkdir(dataDir, { recursive: true })
  const deadline = clock.now().getTime() + START_SECONDS_MAX * 1_000
  for (;;) {
    const running = await joinRunning(dataDir)
    if (running) return running
    const started = await startOwn(dataDir, options, clock)
    if (!(started instanceof Error)) return started
    if (!BUSY.test(started.message) || clock.now().getTime() > deadline) throw started
    await clock.sleep(100)
  }
}

/** The server that another process runs on this data, if it answers, and its owner lives to keep it. */
async function joinRunning(dataDir: string): Promise<EmbeddedPostgres | undefined> {
  const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '') // Absent: nobody runs it.
  const socketDir = pidFile.split('\n')[4]
  if (!socketDir) return undefined
  const owner = await ownerOf(socketDir)
  return owner !== undefined && isAlive(owner) ? { socketDir, ...ADDRESS, stop: async () => {} } : undefined
}

async function startOwn(
  dataDir: string,
  options: EmbeddedPostgresOptions,
  clock: Clock
): Promise<EmbeddedPostgres | Error> {
  const runDir = await mkdtemp(join(shortTemporaryFolder(), 'spare-pool-'))
  const log = await openLog(join(dataDir, 'postgres.log'))
  let cluster: Cluster | undefined
  try {
    cluster = await openCluster(dataDir, runDir)
    const { size: logStart } = await log.stat()
    const server = spawnServer(cluster, runDir, options, log)
    let stopped: Promise<void> | undefined
    const stop = () => {
      stopped ??= stopServer(server, runDir, clock)
      return stopped
    }
    if (await untilReady(server, runDir, clock)) return { socketDir: runDir, ...ADDRESS, stop }
    await stop()
    const tail = (await readFile(join(dataDir, 'postgres.log'), 'utf8')).slice(logStart).slice(-2_000)
    return new Error(`The embedded PostgreSQL in ${dataDir} did not start. Its log says:\n${tail}`)
  } catch (error) {
    await rm(runDir, { recursive: true, force: true })
    throw error
  } finally {
    await cluster?.folder.close()
    await log.close()
  }
}

function spawnServer(
  cluster: Cluster,
  runDir: string,
  options: EmbeddedPostgresOptions,
  log: FileHandle
): ChildProcess {
  const settings = {
    listen_addresses: '',
    unix_socket_directories: runDir,
    unix_socket_permissions: '0700',
    port: String(ADDRESS.port),
    timezone: 'UTC',
    log_timezone: 'UTC',
    'spare_pool.owner': String(process.pid),
    ...(options.durable === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawn(
    '/bin/sh',
    ['-c', GUARD, 'sh', runDir, join(cluster.binDir, 'postgres'), '-D', cluster.path, ...args],
    {
      ...cluster.identity,
      cwd: '/',
      env: environment(),
      detached: true, // A terminal's Ctrl-C is for us, who stop the server last.
      stdio: ['pipe', log.fd, log.fd, cluster.folder.fd]
    }
  )
  server.stdin?.on('error', () => {}) // It went first.
  return server
}

/** Whether the server came to answer. */
async function untilReady(server: ChildProcess, socketDir: string, clock: Clock): Promise<boolean> {
  const deadline = clock.now().getTime() + START_SECONDS_MAX * 1_000
  while (!hasEnded(server) && clock.now().getTime() < deadline) {
    if ((await ownerOf(socketDir)) === process.pid) return true
    await clock.sleep(20)
  }
  return false
}

async function stopServer(server: ChildProcess, runDir: string, clock: Clock): Promise<void> {
  if (!hasEnded(server)) {
    const ended = once(server, 'exit')
    server.stdin?.end() // The same way out as when we die.
    const patience = new AbortController()
    const late = clock.sleep(STOP_SECONDS_MAX * 1_000, patience.signal).then(
      () => server.pid && process.kill(-server.pid, 'SIGKILL'),
      () => {}
    )
    await ended
    patience.abort()
    await late
  }
  await rm(runDir, { recursive: true, force: true })
}

const hasEnded = (server: ChildProcess): boolean => server.exitCode !== null || server.signalCode !== null

/** The pid of the process that a server belongs to; undefined when it does not answer. */
async function ownerOf(socketDir: string): Promise<number | undefined> {
  const { port, user, database } = ADDRESS
  const client = new Client({ host: socketDir, port, user, database, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {}) // It ended while we asked.
  try {
    await client.connect()
    const { rows } = await client.query<{ owner: string }>("select current_setting('spare_pool.owner') as owner")
    return Number(rows[0]?.owner)
  } catch {
    return undefined
  } finally {
    await client.end()
  }
}

/** A socket's path may have 107 bytes. */
const shortTemporaryFolder = (): string => (tmpdir().length <= 60 ? tmpdir() : '/tmp')

async function openLog(path: string): Promise<FileHandle> {
  const log = await open(path, 'a')
  if ((await log.stat()).size > 10_000_000) await log.truncate()
  return log
}
