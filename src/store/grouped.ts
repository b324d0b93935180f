import { PoolError } from '../pool/errors.ts'

/** One statement in two forms, since the one for many costs more where there is only one. */
export interface GroupedStatement<Item, Result> {
  alone(item: Item): Promise<Result>
  /** Does all or nothing; a result for each, in their order. */
  together(items: readonly Item[]): Promise<readonly Result[]>
}

interface Asked<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** More than one, so that a connection that hangs holds up nobody but whose items went on it. */
const UNDER_WAY_MAX = 4
/** So that no statement is long. */
const ITEMS_MAX = 100

/**
 * Group commit: what many ask for at the same time goes to PostgreSQL as one statement and is written to disk once. Nobody
 * waits for company that may not come: the first goes at once, and what is asked for beside it at the end of that turn of the
 * event loop, or, where enough is under way, as soon as some of it has ended.
 */
export class Grouped<Item, Result> {
  readonly #statement: GroupedStatement<Item, Result>
  readonly #waiting: Asked<Item, Result>[] = []
  #underWay = 0

  constructor(statement: GroupedStatement<Item, Result>) {
    this.#statement = statement
  }

  ask(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const isFirst = this.#waiting.push({ item, resolve, reject }) === 1
      if (this.#underWay === 0) this.#next()
      else if (isFirst) setImmediate(() => this.#next())
    })
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#underWay < UNDER_WAY_MAX) {
      void this.#serve(this.#waiting.splice(0, ITEMS_MAX))
    }
  }

  async #serve(group: readonly Asked<Item, Result>[]): Promise<void> {
    this.#underWay += 1
    const [first] = group
    if (first && group.length === 1) await this.#serveAlone(first)
    else await this.#serveTogether(group)
    this.#underWay -= 1
    this.#next()
  }

  async #serveTogether(group: readonly Asked<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#statement.together(group.map(({ item }) => item))
      for (const [index, { resolve }] of group.entries()) resolve(results[index] as Result)
    } catch (error) {
      if (error instanceof PoolError) for (const { reject } of group) reject(error)
      else for (const one of group) await this.#serveAlone(one) // One that is refused must not take others with it.
    }
  }

  async #serveAlone({ item, resolve, reject }: Asked<Item, Result>): Promise<void> {
    try {
      resolve(await this.#statement.alone(item))
    } catch (error) {
      reject(error)
    }
  }
}
