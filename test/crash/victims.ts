import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Order } from '../support/programs/killed-worker.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = 'test/support/programs/killed-worker'
/** Started ahead: they load their modules while a test looks at what the last one has left behind. */
const WAITING = 2

/**
 * Processes of the program `killed-worker`, each killed by SIGKILL at a step. There are so many of them that the program is
 * compiled once: what runs TypeScript as it is takes three times as long to start.
 */
export class Victims {
  readonly #folder = mkdtempSync(join(tmpdir(), 'spare-pool-victims-'))
  readonly #waiting: Victim[] = []

  constructor() {
    symlinkSync(join(CHECKOUT, 'node_modules'), join(this.#folder, 'node_modules'))
    writeFileSync(join(this.#folder, 'package.json'), '{ "type": "module" }')
    const compilerOptions = { noEmit: false, noCheck: true, rootDir: CHECKOUT, outDir: this.#folder }
    const config = {
      extends: join(CHECKOUT, 'tsconfig.json'),
      compilerOptions,
      files: [join(CHECKOUT, `${PROGRAM}.ts`)]
    }
    writeFileSync(join(this.#folder, 'tsconfig.json'), JSON.stringify({ ...config, include: [] }))
    execFileSync(join(CHECKOUT, 'node_modules/.bin/tsc'), ['--project', this.#folder], { stdio: 'inherit' })
    while (this.#waiting.length < WAITING) this.#waiting.push(this.#start())
  }

  /** Resolves when one of them has begun with it and was killed. */
  async die(order: Order): Promise<void> {
    const victim = this.#waiting.shift() ?? this.#start()
    this.#waiting.push(this.#start())
    await victim.die(order)
  }

  async close(): Promise<void> {
    await Promise.all(this.#waiting.map(victim => victim.end()))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #start(): Victim {
    return new Victim(join(this.#folder, `${PROGRAM}.js`))
  }
}

class Victim {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #complaint = ''

  constructor(program: string) {
    this.#child = spawn(process.execPath, [program], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#complaint += chunk.toString()
    })
    this.#ended = once(this.#child, 'close')
  }

  async die(order: Order): Promise<void> {
    this.#child.send(order)
    await this.#ended
    if (this.#child.signalCode !== 'SIGKILL') throw new Error(`It ended otherwise: ${this.#complaint}`)
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}
