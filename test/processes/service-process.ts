import { type RunningCommand, startCommand } from '../support/command-line.ts'
import type { Lifetime } from './stage.ts'

const STARTS_MAX = 50

/** `spare-pool serve` as a process of its own, which is killed and started again, and started again where it ends by itself. */
export class ServiceProcess {
  /** Undefined while it does not run. */
  url: string | undefined
  kills = 0
  /** Starts that came to nothing, as when the database does not answer then. */
  failedStarts = 0
  /** What it said when it ended though nobody had told it to. */
  readonly crashes: string[] = []
  readonly #t: Lifetime
  readonly #configFile: string
  readonly #env: Readonly<Record<string, string>>
  #command: RunningCommand | undefined

  constructor(t: Lifetime, configFile: string, env: Readonly<Record<string, string>> = {}) {
    this.#t = t
    this.#configFile = configFile
    this.#env = env
  }

  /** Comes back once it answers. */
  async start(): Promise<void> {
    for (let starts = 0; starts < STARTS_MAX; starts += 1) {
      const command = startCommand(this.#t, ['serve', '--config', this.#configFile], { env: this.#env })
      this.#command = command
      const started = await command.says(/"url":"([^"]+)".*"msg":"service started"/).catch(() => undefined)
      if (this.#command !== command) return // Killed meanwhile.
      if (started) {
        this.url = started[1]
        void this.#noteCrash(command)
        return
      }
      this.failedStarts += 1
    }
    throw new Error(`The service does not start: ${JSON.stringify(await this.#command?.ended)}`)
  }

  /** What it says, as soon as it does. */
  async says(words: RegExp): Promise<string | undefined> {
    return (await this.#command?.says(words))?.[1]
  }

  async kill(): Promise<void> {
    const command = this.#forget()
    this.kills += 1
    command?.kill('SIGKILL')
    await command?.ended
  }

  /** As a supervisor does; gives its exit code. */
  async stop(): Promise<number | null | undefined> {
    const command = this.#forget()
    command?.kill('SIGTERM')
    return (await command?.ended)?.code
  }

  async #noteCrash(command: RunningCommand): Promise<void> {
    const { stdout, stderr } = await command.ended
    if (this.#command === command) this.crashes.push(`${stdout.slice(-2_000)}${stderr}`)
  }

  #forget(): RunningCommand | undefined {
    const command = this.#command
    this.#command = undefined
    this.url = undefined
    return command
  }
}
