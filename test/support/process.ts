import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface ProcessOptions {
  readonly uid?: number
  readonly gid?: number
  /** The checkout that the program belongs to; ours by default. */
  readonly checkout?: string
  readonly node?: string
}

export interface TestProcess {
  readonly pid: number
  /** Resolves with what a line of its output says after `word`; rejects when the program ends before. */
  said(word: string): Promise<string>
  kill(signal: NodeJS.Signals): void
  /** Resolves with the whole output when it has ended. */
  readonly ended: Promise<string>
}

interface Lifetime {
  onTestFinished(finish: () => Promise<void>): void
}

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a program of `test/support/programs` as a process of its own, which is killed when the test ends. */
export function aProcess(
  t: Lifetime,
  program: string,
  args: readonly string[],
  options: ProcessOptions = {}
): TestProcess {
  const { checkout = CHECKOUT, node = process.execPath, ...identity } = options
  const child = spawn(node, ['--import', 'tsx', `test/support/programs/${program}.ts`, ...args], {
    ...identity,
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  let hear = () => {}
  const listen = (chunk: Buffer) => {
    output += chunk.toString()
    hear()
  }
  child.stdout.on('data', listen)
  child.stderr.on('data', listen)
  const ended = once(child, 'close').then(() => output)
  const said = (word: string) =>
    new Promise<string>((resolve, reject) => {
      hear = () => {
        const line = output.split('\n').find(line => line.startsWith(`${word} `))
        if (line) resolve(line.slice(word.length + 1))
      }
      hear()
      ended.then(() => reject(new Error(`It ended without saying ${word}:\n${output}`)), reject)
    })
  const kill = (signal: NodeJS.Signals) => void child.kill(signal)
  t.onTestFinished(async () => {
    kill('SIGKILL')
    await ended
  })
  return { pid: child.pid ?? 0, said, kill, ended }
}
