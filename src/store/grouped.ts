import { PoolError } from '../pool/errors.ts'

interface Asked<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** More than one: a connection that hangs delays only the items that were sent on it. */
const GROUPS_MAX = 4
const ITEMS_MAX = 100

/**
 * Group commit: items that are asked for at the same time share one statement and one write to disk. An item that comes
 * alone is sent at once. The others are sent at the end of the turn of the event loop, or, while `GROUPS_MAX` groups are
 * under way, as soon as one of them ends. `send` does all or nothing, and gives the results in the order of the items.
 */
export class Grouped<Item, Result> {
  readonly #send: (items: readonly Item[]) => Promise<readonly Result[]>
  readonly #waiting: Asked<Item, Result>[] = []
  #groups = 0

  constructor(send: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#send = send
  }

  ask(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const isFirst = this.#waiting.push({ item, resolve, reject }) === 1
      if (this.#groups === 0) this.#next()
      else if (isFirst) setImmediate(() => this.#next())
    })
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#groups < GROUPS_MAX) {
      void this.#serve(this.#waiting.splice(0, ITEMS_MAX))
    }
  }

  async #serve(group: readonly Asked<Item, Result>[]): Promise<void> {
    this.#groups += 1
    await this.#answer(group)
    this.#groups -= 1
    this.#next()
  }

  async #answer(group: readonly Asked<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#send(group.map(({ item }) => item))
      for (const [index, { resolve }] of group.entries()) resolve(results[index] as Result)
    } catch (error) {
      if (group.length === 1 || error instanceof PoolError) for (const { reject } of group) reject(error)
      else for (const asked of group) await this.#answer([asked]) // One refused item must not fail the others.
    }
  }
}
