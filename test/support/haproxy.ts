/** An HAProxy in front of a service. */
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Lifetime } from './database.ts'
import { until } from './until.ts'

const { HAPROXY = '/usr/sbin/haproxy' } = process.env

export const PROGRAM = HAPROXY
export const isMissing = !existsSync(HAPROXY)

const PORT = 8080

export interface ProxySettings {
  /** How often it closes half of the connections to the service that nobody uses; its own default is 5 s. */
  readonly purgeMs: number
}

/** Starts one for a service; gives the address that leads through it. */
export async function aProxy(t: Lifetime, service: string, { purgeMs }: ProxySettings): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'haproxy-'))
  t.onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}` // That nobody else listens at.
  const config = `
    defaults
      mode http
      option forwardfor
      http-reuse always
      retries 0
      timeout connect 5s
      timeout client 60s
      timeout server 60s
      timeout http-keep-alive 60s
    frontend pool
      bind ${address}:${PORT}
      default_backend service
    backend service
      server one ${new URL(service).host} pool-purge-delay ${purgeMs}ms
  `
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, `${config}\n`)
  const proxy = spawn(HAPROXY, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(proxy, 'exit')
  let log = ''
  proxy.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  t.onTestFinished(async () => {
    proxy.kill('SIGTERM')
    await ended
  })
  await until(() => listens(address, proxy.exitCode === null ? undefined : log))
  return `http://${address}:${PORT}`
}

async function listens(address: string, failure: string | undefined): Promise<boolean> {
  if (failure !== undefined) throw new Error(`haproxy ended:\n${failure}`)
  const socket = connect(PORT, address)
  const isOpen = await once(socket, 'connect').then(
    () => true,
    () => false
  )
  socket.destroy()
  return isOpen
}
