import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Lifetime } from '../lifetime.ts'
import type { CloudCommands } from './cloud-process.ts'

const PROGRAM = fileURLToPath(new URL('cloud-process.js', import.meta.url))

type Wish<Name extends keyof CloudCommands> = Parameters<CloudCommands[Name]>
type Result<Name extends keyof CloudCommands> = Awaited<ReturnType<CloudCommands[Name]>>

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** The sandbox cloud in its own process, and the way to tell it what to do. */
export class CloudProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #lastId = 0

  constructor(t: Lifetime) {
    this.#child = fork(PROGRAM, { execArgv: ['--enable-source-maps'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
    const ended = once(this.#child, 'exit')
    this.#child.on('exit', () => {
      for (const [id, tell] of this.#waiting) tell({ id, error: 'the sandbox cloud has ended' })
    })
    t.onTestFinished(async () => {
      this.#child.kill('SIGKILL')
      await ended
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async ask<Name extends keyof CloudCommands>(name: Name, ...[wish]: Wish<Name>): Promise<Result<Name>> {
    this.#lastId += 1
    const id = this.#lastId
    const answered = new Promise<Answer>(resolve => this.#waiting.set(id, resolve))
    this.#child.send({ id, name, wish })
    const { result, error } = await answered
    if (error !== undefined) throw new Error(`The sandbox cloud could not ${name}: ${error}`)
    return result as Result<Name>
  }
}
