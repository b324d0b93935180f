/** `dist` as a process of its own: the service under measurement does not share its time with its client. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CLOUDS_YAML } from '../../test/openstack/cloud.ts'
import { say } from './stage.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const STOP_MS = 30_000

export function build(): void {
  say('building the service')
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: CHECKOUT, stdio: 'inherit' })
}

export interface ServiceProcess {
  readonly url: string
  readonly pid: number
  /** What it has said so far, for whoever finds that it answers wrongly. */
  said(): string
  stop(): Promise<void>
}

/** Runs the service with a configuration file, in a folder, with no more of our environment than it needs. */
export async function serve(config: string, cwd: string): Promise<ServiceProcess> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', config], {
    cwd,
    env: { PATH, OS_CLIENT_CONFIG_FILE: CLOUDS_YAML },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  const ended = once(child, 'close').then(() => output)
  const url = await new Promise<string>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      output += chunk.toString()
      const started = /"url":"([^"]+)".*"msg":"service started"/.exec(output)
      if (started?.[1]) resolve(started[1])
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    ended.then(text => reject(new Error(`The service does not start:\n${text}`)), reject)
  })
  return { url, pid: child.pid ?? 0, said: () => output, stop: () => stop(child, ended) }
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.kill('SIGTERM')
  const late = setTimeout(() => void child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(late)
}
