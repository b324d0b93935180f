import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCommand {
  readonly pid: number
  /** Resolves with the match once either output has it; rejects when the command ends before. */
  says(words: RegExp): Promise<RegExpExecArray>
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<Outcome>
}

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** `spare-pool …` as a process of its own, with no more of our environment than it needs; killed when the test ends. */
export function startCommand(t: Lifetime, args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const { PATH = '' } = process.env
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: { PATH, COLUMNS: '120', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const heard = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk: Buffer) => {
      heard[name] += chunk.toString()
      for (const listener of listeners) listener()
    })
  }
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, signal: child.signalCode, ...heard }))
  const says = (words: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const listen = (): void => {
        const match = words.exec(heard.stdout) ?? words.exec(heard.stderr)
        if (!match) return
        listeners.delete(listen) // A long output is not searched again and again for what it has said already.
        resolve(match)
      }
      listeners.add(listen)
      listen()
      ended.then(() => reject(new Error(`It ended without ${words}:\n${heard.stdout}${heard.stderr}`)), reject)
    })
  const kill = (signal: NodeJS.Signals): void => void child.kill(signal)
  t.onTestFinished(async () => {
    kill('SIGKILL')
    await ended
  })
  return { pid: child.pid ?? 0, says, kill, ended }
}

/** Runs a command to its end. */
export const runCommand = (t: Lifetime, args: readonly string[], options: CommandOptions = {}): Promise<Outcome> =>
  startCommand(t, args, options).ended

/** An empty folder, removed when the test ends. */
export function aFolder(t: Lifetime): string {
  const folder = mkdtempSync(join(tmpdir(), 'spare-pool-cli-'))
  t.onTestFinished(async () => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
  return folder
}

/** A configuration as a file, in a folder of its own. */
export function aConfigFile(t: Lifetime, document: object): string {
  const file = join(aFolder(t), 'config.yaml')
  writeFileSync(file, stringify(document))
  return file
}
