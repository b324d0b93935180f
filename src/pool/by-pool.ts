import type { PoolName } from './spare.ts'

/** Things by their pool: finding one costs the same however many there are. */
export class ByPool<Thing extends PoolName> {
  readonly #groups = new Map<string, Thing[]>()

  constructor(things: readonly Thing[]) {
    for (const thing of things) this.add(thing)
  }

  add(thing: Thing): void {
    const group = this.#groups.get(keyOf(thing))
    if (group) group.push(thing)
    else this.#groups.set(keyOf(thing), [thing])
  }

  all(pool: PoolName): readonly Thing[] {
    return this.#groups.get(keyOf(pool)) ?? []
  }

  /** One group a pool. */
  groups(): Iterable<readonly Thing[]> {
    return this.#groups.values()
  }

  /** For things that a pool has one of. */
  one(pool: PoolName): Thing | undefined {
    return this.all(pool)[0]
  }
}

/** PostgreSQL keeps no name with NUL in it. */
const keyOf = ({ os, type }: PoolName): string => `${os}\0${type}`
