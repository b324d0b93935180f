import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
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

const RUN_PREFIX = 'spare-pool-'
const ADDRESS = { port: 5432, user: 'postgres', database: 'postgres' }
const START_SECONDS_MAX = 60 // Recovery after a crash takes its time.
const STOP_SECONDS_MAX = 10
const STARTS_MAX = 10
const TRIES_MAX = 300

/**
 * Ends PostgreSQL when our own process does, however that dies: the pipe on its standard input ends then. It holds when this
 * shell itself is killed, as the reader is a process of its own. What is in `$run` is of no use to anyone after that; while
 * we live, it is ours to remove.
 */
const GUARD = `
  exec 9<&0; run=$1; shift
  "$@" </dev/null 9<&- & server=$!
  (read -r _ <&9; kill -INT $server) & reader=$!
  trap 'kill -INT $server' TERM INT
  while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
  if kill $reader 2>/dev/null; then exit $code; fi
  rm -rf "$run"`

/** Another process starts or ends the same server at this moment, or the remains of a killed one are just going. */
const BUSY = /lock file|shared memory block/

/** Starts the private PostgreSQL of a data directory, or joins the one that runs there already. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { clock = systemClock } = options
  const dataDir = resolve(options.dataDir)
  await mkdir(dataDir, { recursive: true })
  const runDir = await mkdtemp(join(shortTemporaryFolder(), RUN_PREFIX))
  const start = () => startServer(dataDir, runDir, options, clock)
  try {
    for (let tries = 1; ; tries++) {
      const socketDir = await lastSocketDir(dataDir)
      if (socketDir && (await isKept(socketDir))) {
        await remove(runDir)
        return { socketDir, ...ADDRESS, stop: async () => {} }
      }
      const server = await start().catch(asError)
      if (!(server instanceof Error)) {
        if (socketDir && socketDir !== runDir) await remove(socketDir) // Of one that was killed.
        return { socketDir: runDir, ...ADDRESS, stop: keepRunning(server, start, runDir, clock) }
      }
      if (!BUSY.test(server.message) || tries === TRIES_MAX) throw server
      await clock.sleep(100)
    }
  } catch (error) {
    await remove(runDir)
    throw error
  }
}

/** Where the server listens that runs on this data, or that was killed. */
async function lastSocketDir(dataDir: string): Promise<string | undefined> {
  const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  return pidFile.split('\n').find(line => basename(line).startsWith(RUN_PREFIX))
}

/** Whether a server answers whose owner lives to keep it. */
async function isKept(socketDir: string): Promise<boolean> {
  const owner = await ownerOf(socketDir)
  return owner !== undefined && isAlive(owner)
}

/** Starts the server again, at the same place, when it ends by itself, such as when the system runs out of memory. */
function keepRunning(
  first: ChildProcess,
  start: () => Promise<ChildProcess>,
  runDir: string,
  clock: Clock
): () => Promise<void> {
  const stopping = new AbortController()
  const running = (async () => {
    let server = first
    for (let starts = 1; starts <= STARTS_MAX && (await endsBefore(stopping.signal, server)); starts++) {
      await clock.sleep(starts * 100)
      server = await start().catch(() => server) // Its log says why, and every query that nobody answers.
    }
    await aborted(stopping.signal)
    await stopServer(server, clock)
    await remove(runDir)
  })()
  return () => {
    stopping.abort()
    return running
  }
}

/** A server that answers. */
async function startServer(
  dataDir: string,
  runDir: string,
  options: EmbeddedPostgresOptions,
  clock: Clock
): Promise<ChildProcess> {
  const logPath = join(dataDir, 'postgres.log')
  const log = await openLog(logPath)
  try {
    const { size: logStart } = await log.stat()
    const cluster = await openCluster(dataDir, runDir)
    const server = spawnServer(cluster, runDir, options, log)
    await cluster.folder.close()
    if (await untilReady(server, runDir, clock)) return server
    await stopServer(server, clock)
    const tail = (await readFile(logPath)).subarray(logStart).toString().slice(-2_000)
    throw new Error(`The embedded PostgreSQL in ${dataDir} did not start. Its log says:\n${tail}`)
  } finally {
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
    autovacuum_naptime: '15s', // Of a minute's churn the dead rows would be most of some tables.
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
  const deadline = clock.monotonicMs() + START_SECONDS_MAX * 1_000
  while (!hasEnded(server) && clock.monotonicMs() < deadline) {
    if ((await ownerOf(socketDir)) === process.pid) return true
    await clock.sleep(20)
  }
  return false
}

async function stopServer(server: ChildProcess, clock: Clock): Promise<void> {
  server.stdin?.end() // The same way out as when we die.
  const patience = new AbortController()
  const late = clock.sleep(STOP_SECONDS_MAX * 1_000, patience.signal).then(
    () => server.pid && process.kill(-server.pid, 'SIGKILL'),
    () => {}
  )
  await ended(server)
  patience.abort()
  await late
}

const hasEnded = (server: ChildProcess): boolean => server.exitCode !== null || server.signalCode !== null

async function ended(server: ChildProcess): Promise<void> {
  if (!hasEnded(server)) await once(server, 'exit')
}

async function endsBefore(signal: AbortSignal, server: ChildProcess): Promise<boolean> {
  await Promise.race([ended(server), aborted(signal)])
  return !signal.aborted
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

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

const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true })

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
