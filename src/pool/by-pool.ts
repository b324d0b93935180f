import type { PoolName } from './spare.ts'

/** Things by the pool that they are of: finding a pool's costs the same however many there are. */
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

  /** Those of one pool after another. */
  groups(): Iterable<readonly Thing[]> {
    return this.#groups.values()
  }

  /** For things of which a pool has one. */
  one(pool: PoolName): Thing | undefined {
    return this.all(pool)[0]
  }
}

/** NUL is in no name that PostgreSQL keeps. */
const keyOf = ({ os, type }: PoolName): string => `${os}\0${type}`
