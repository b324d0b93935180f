import { collect } from '../../src/operations/concurrently.ts'
import type { Cloud, Project } from '../../src/pool/ports.ts'

/** Told of each step once it has been carried out, well or not, and before anybody hears what came of it. */
export type AfterStep = (step: string) => Promise<void> | void

type Method = (...args: unknown[]) => Promise<unknown>

/**
 * The steps of an operation: each of its calls to the database or the cloud, named after its port, and numbered where it
 * is not the first of its name. They are carried out one at a time, in the order in which they are asked for: so an
 * operation takes the same steps each time, and between two of them nothing is under way.
 */
export class Steps {
  readonly #after: AfterStep
  readonly #counts = new Map<string, number>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(after: AfterStep) {
    this.#after = after
  }

  /** The same ports, with a step for each call. */
  ofEach<Ports extends Readonly<Record<string, object>>>(ports: Ports): Ports {
    return Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, this.#of(name, port)])) as Ports
  }

  /** A login changes nothing that outlives its process: it waits for its turn, and is no step. */
  ofCloud(cloud: Cloud): Cloud {
    return {
      poolProject: async call => this.#ofProject(await this.#inTurn(() => cloud.poolProject(call))),
      project: async (id, call) => this.#ofProject(await this.#inTurn(() => cloud.project(id, call))),
      withToken: identity => this.#ofProject(cloud.withToken(identity)),
      identify: (token, call) => this.#inTurn(() => cloud.identify(token, call)),
      release: call => this.#inTurn(() => cloud.release(call))
    }
  }

  #ofProject({ id, roles, isConfined, ...ports }: Project): Project {
    return { id, roles, isConfined, ...this.ofEach(ports) }
  }

  #of<Port extends object>(name: string, port: Port): Port {
    return new Proxy(port, {
      get: (target, key) => {
        const method = Reflect.get(target, key) as Method
        const step = `${name}.${String(key)}`
        const call = (args: readonly unknown[]) => method.apply(target, [...args])
        if (key === 'pages') return (...args: unknown[]) => this.#pages(step, () => call(args))
        return (...args: unknown[]) => this.#take(step, () => call(args))
      }
    })
  }

  /** All pages of a listing are one step. */
  async *#pages(name: string, open: () => unknown): AsyncGenerator<readonly unknown[]> {
    yield await this.#take(name, () => collect(open() as AsyncIterable<readonly unknown[]>))
  }

  async #take<T>(name: string, act: () => Promise<T>): Promise<T> {
    return await this.#inTurn(async () => {
      const count = (this.#counts.get(name) ?? 0) + 1
      this.#counts.set(name, count)
      try {
        return await act()
      } finally {
        await this.#after(count === 1 ? name : `${name} (${count})`)
      }
    })
  }

  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#last.then(act)
    this.#last = done.catch(() => undefined)
    return await done
  }
}
