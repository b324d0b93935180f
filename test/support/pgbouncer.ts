/** A pgbouncer in transaction mode in front of the run's PostgreSQL. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import type { Lifetime } from './database.ts'

const { PGBOUNCER = '/usr/sbin/pgbouncer' } = process.env

export const PROGRAM = PGBOUNCER
export const isMissing = !existsSync(PGBOUNCER)

/** Whether it can keep track of prepared statements: from 1.21 on. */
export function tracksStatements(): boolean {
  const [, major, minor] = /PgBouncer (\d+)\.(\d+)/.exec(execFileSync(PGBOUNCER, ['--version']).toString()) ?? []
  return Number(major) > 1 || Number(minor) >= 21
}

/** Starts one for a database; gives the address that leads through it. `settings` are pgbouncer's own. */
export async function aPooler(
  t: Lifetime,
  database: string,
  settings: Readonly<Record<string, string>>
): Promise<string> {
  const { socketDir, user } = inject('server')
  const folder = await mkdtemp(join(tmpdir(), 'pooler-'))
  t.onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'pgbouncer.ini')
  const all = {
    listen_addr: '',
    listen_port: '6432',
    unix_socket_dir: folder,
    auth_type: 'trust',
    auth_file: join(folder, 'users.txt'),
    pool_mode: 'transaction',
    ...settings
  }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
  await writeFile(config, `[databases]\n* = host=${socketDir} port=5432\n\n[pgbouncer]\n${lines.join('\n')}\n`)
  await writeFile(join(folder, 'users.txt'), `"${user}" ""\n`)
  const { uid, gid } = statSync(socketDir) // It refuses to run as root, and only the server's own user comes to its socket.
  await chmod(folder, 0o755)
  if (process.getuid?.() === 0) await chown(folder, uid, gid)
  await run(t, config, process.getuid?.() === 0 ? { uid, gid } : {})
  return `postgres://${user}@/${database}?host=${encodeURIComponent(folder)}&port=6432`
}

async function run(t: Lifetime, config: string, identity: { uid?: number; gid?: number }): Promise<void> {
  const pooler = spawn(PGBOUNCER, [config], { ...identity, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(pooler, 'exit')
  t.onTestFinished(async () => {
    pooler.kill('SIGTERM')
    await ended
  })
  let log = ''
  await new Promise<void>((resolve, reject) => {
    pooler.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (log.includes('process up')) resolve()
    })
    ended.then(() => reject(new Error(`pgbouncer ended:\n${log}`)), reject)
  })
}
