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

/** Where a server runs, and how. */
interface Place extends Required<Pick<EmbeddedPostgresOptions, 'dataDir' | 'clock'>> {
  /** Of its socket, and of its programs where its user cannot reach ours. */
  readonly runDir: string
  readonly settings: Readonly<Record<string, string>>
}

const NOT_DURABLE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }
const RUN_PREFIX = 'spare-pool-'
const ADDRESS = { port: 5432, user: 'postgres', database: 'postgres' }
const START_SECONDS_MAX = 60 // Recovery after a crash takes its time.
const STOP_SECONDS_MAX = 10
const STARTS_MAX = 10
const TRIES_MAX = 300

/**
 * Ends PostgreSQL when our process does, however that dies: the pipe on its standard input ends then. The reader is a process
 * of its own, so this holds even when the shell is killed. While we live, `$run` is ours to remove.
 */
const GUARD = `
  exec 9<&0; run=$1; shift
  "$@" </dev/null 9<&- & server=$!
  (read -r _ <&9; kill -INT $server) & reader=$!
  trap 'kill -INT $server' TERM INT
  while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
  if kill $reader 2>/dev/null; then exit $code; fi
  rm -rf "$run"`

/** Another process starts or ends the same server at this moment, or a killed one is not quite gone. */
const BUSY = /lock file|shared memory block/

/** Starts the private PostgreSQL of a data directory, or joins the one that runs there already. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { clock = systemClock, durable = true } = options
  const dataDir = resolve(options.dataDir)
  await mkdir(dataDir, { recursive: true })
  const runDir = await mkdtemp(join(shortTemporaryFolder(), RUN_PREFIX))
  const place: Place = { dataDir, runDir, clock, settings: { ...(durable ? {} : NOT_DURABLE), ...options.settings } }
  try {
    for (let tries = 1; ; tries++) {
      const socketDir = await lastSocketDir(dataDir)
      const owner = socketDir && (await ownerOf(socketDir))
      if (owner && isAlive(owner)) {
        await remove(runDir)
        return { socketDir, ...ADDRESS, stop: async () => {} } // Its owner stops it.
      }
      try {
        const server = await startServer(place)
        if (socketDir && socketDir !== runDir) await remove(socketDir) // Of a server that was killed.
        return { socketDir: runDir, ...ADDRESS, stop: keepRunning(server, place) }
      } catch (error) {
        if (!BUSY.test(String(error)) || tries === TRIES_MAX) throw error
      }
      await clock.sleep(100)
    }
  } catch (error) {
    await remove(runDir)
    throw error
  }
}

/** Where the server listens that runs on this data, or that was killed. */
async function lastSocketDir(dataDir: string): Promise<string | undefined> {
  // Without a file that can be read no server runs here, or the start of one finds out why.
  const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  return pidFile.split('\n').find(line => basename(line).startsWith(RUN_PREFIX))
}

/** Starts the server again, at the same place, when it ends by itself, such as when the system runs out of memory. */
function keepRunning(first: ChildProcess, place: Place): () => Promise<void> {
  const { runDir, clock } = place
  let [server, isStopping] = [first, false]
  const watching = (async () => {
    for (let starts = 1; starts <= STARTS_MAX; starts++) {
      await ended(server)
      if (isStopping) return
      await clock.sleep(starts * 100)
      server = await startServer(place).catch(() => server) // Its log says why, and every query that nobody answers.
      if (isStopping) await stopServer(server, clock)
    }
  })()
  return async () => {
    isStopping = true
    await stopServer(server, clock)
    await watching
    await remove(runDir)
  }
}

/** Starts a server and waits until it answers. */
async function startServer(place: Place): Promise<ChildProcess> {
  const { dataDir, runDir, clock } = place
  const logPath = join(dataDir, 'postgres.log')
  const log = await openLog(logPath)
  try {
    const { size: logStart } = await log.stat()
    const cluster = await openCluster(dataDir, runDir)
    const server = spawnServer(cluster, place, log)
    await cluster.folder.close()
    if (await untilReady(server, runDir, clock)) return server
    await stopServer(server, clock)
    const tail = (await readFile(logPath)).subarray(logStart).toString().slice(-2_000)
    throw new Error(`The embedded PostgreSQL in ${dataDir} did not start. Its log says:\n${tail}`)
  } finally {
    await log.close()
  }
}

function spawnServer(cluster: Cluster, { runDir, settings }: Place, log: FileHandle): ChildProcess {
  const all = {
    listen_addresses: '',
    unix_socket_directories: runDir,
    unix_socket_permissions: '0700',
    port: String(ADDRESS.port),
    autovacuum_naptime: '15s', // After a minute's churn most rows of some tables would be dead.
    timezone: 'UTC',
    log_timezone: 'UTC',
    'spare_pool.owner': String(process.pid),
    ...settings
  }
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const command = [join(cluster.binDir, 'postgres'), '-D', cluster.path, ...args]
  const server = spawn('/bin/sh', ['-c', GUARD, 'sh', runDir, ...command], {
    ...cluster.identity,
    cwd: '/',
    env: environment(),
    detached: true, // A terminal's Ctrl-C is for us, who stop the server last.
    stdio: ['pipe', log.fd, log.fd, cluster.folder.fd]
  })
  server.stdin?.on('error', () => {}) // The server went first.
  return server
}

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
  const beInTime = clock.limit(STOP_SECONDS_MAX * 1_000, () => server.pid && process.kill(-server.pid, 'SIGKILL'))
  await ended(server)
  beInTime()
}

const hasEnded = (server: ChildProcess): boolean => server.exitCode !== null || server.signalCode !== null

async function ended(server: ChildProcess): Promise<void> {
  if (!hasEnded(server)) await once(server, 'exit')
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
    return undefined // It is not there, still starts, or is ending. Whoever asks again and again gives up in the end.
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
