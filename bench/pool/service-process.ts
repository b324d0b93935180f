import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { request } from 'undici'
import { stringify } from 'yaml'
import { poolLogin } from '../../sandbox/seed.ts'
import type { Lifetime } from '../lifetime.ts'
import { type BenchDatabase, CHECKOUT, type Stage } from './stage.ts'

const MAIN = join(CHECKOUT, 'dist/main.js')
const START_SECONDS_MAX = 30
const STOP_SECONDS_MAX = 30

export interface ServiceWish {
  /** What its volumes carry, and the name of its database. */
  readonly name: string
  readonly database: Pick<BenchDatabase, 'url'>
  readonly pools: readonly { readonly os: string; readonly type: string; readonly target: number }[]
  /** Sections of the configuration that differ from a production's. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly nodeOptions?: readonly string[]
}

/** `spare-pool serve` as in production, its log in a file. */
export interface ServiceProcess {
  readonly url: string
  readonly pid: number
  /** From the start of its process until it said that it is ready. */
  readonly readySeconds: number
  /** Lines of the log that tell of trouble: warnings and errors. */
  complaints(): string[]
  call(method: 'GET' | 'POST', path: string, body?: object): Promise<string>
  /** The sum of a metric's values whose labels match. */
  metric(name: string, labels?: string): Promise<number>
  stop(): Promise<void>
}

export async function startService(t: Lifetime, stage: Stage, wish: ServiceWish): Promise<ServiceProcess> {
  const folder = mkdtempSync(join(stage.folder, `${wish.name}-`))
  const [configFile, logFile] = [join(folder, 'config.yaml'), join(folder, 'log')]
  writeFileSync(configFile, stringify(configFor(stage, wish)))
  const port = await freePort()
  const { PATH = '' } = process.env
  const log = openSync(logFile, 'a')
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...nodeOptions(stage, wish), MAIN, 'serve', '--config', configFile], {
    env: { PATH, NODE_ENV: 'production', PORT: String(port), SPARE_POOL_SECRET: stage.secret.toString('hex') },
    stdio: ['ignore', log, log]
  })
  const ended = once(child, 'exit')
  const stop = () => stopChild(child, ended)
  t.onTestFinished(stop)
  const url = `http://127.0.0.1:${port}`
  await untilReady(url, child, logFile)
  const readySeconds = (performance.now() - startedAt) / 1_000
  const call = (method: 'GET' | 'POST', path: string, body?: object) => callService(stage, url, method, path, body)
  return {
    url,
    pid: child.pid ?? 0,
    readySeconds,
    complaints: () => readFileSync(logFile, 'utf8').split('\n').filter(isComplaint),
    call,
    metric: async (name, labels = '') => sumOf(await call('GET', '/metrics'), name, labels),
    stop
  }
}

const nodeOptions = ({ options: { profile } }: Stage, { nodeOptions = [] }: ServiceWish): readonly string[] =>
  profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`, ...nodeOptions] : nodeOptions

const configFor = ({ facts }: Stage, { name, database, pools, config }: ServiceWish): object => ({
  deployment: name,
  database: { url: database.url },
  openstack: { auth: poolLogin(facts.authUrl) },
  pools,
  ...config
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

async function untilReady(url: string, child: ChildProcess, logFile: string): Promise<void> {
  const deadline = performance.now() + START_SECONDS_MAX * 1_000
  while (performance.now() < deadline && child.exitCode === null) {
    const answer = await request(`${url}/readyz`).catch(() => undefined)
    await answer?.body.dump()
    if (answer?.statusCode === 200) return
    await pause(5)
  }
  throw new Error(`The service does not start:\n${readFileSync(logFile, 'utf8').slice(-4_000)}`)
}

async function stopChild(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const late = setTimeout(() => void child.kill('SIGKILL'), STOP_SECONDS_MAX * 1_000)
  await ended
  clearTimeout(late)
}

const isComplaint = (line: string): boolean => /"level":"?(warn|error|fatal|40|50|60)"?/.test(line)

async function callService(stage: Stage, url: string, method: 'GET' | 'POST', path: string, body?: object) {
  const answer = await request(url + path, {
    method,
    headers: { 'x-auth-token': stage.adminToken, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) })
  })
  const text = await answer.body.text()
  if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`)
  return text
}

function sumOf(metrics: string, name: string, labels: string): number {
  const lines = metrics.split('\n').filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return lines
    .filter(line => line.includes(labels))
    .map(line => Number(line.slice(line.lastIndexOf(' '))))
    .reduce((sum, value) => sum + value, 0)
}
