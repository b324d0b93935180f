import type { Database } from '../../src/store/connection/database.ts'
import { live } from './history.ts'
import { World } from './world.ts'

/** Steps and happenings of one seed, after which it recovers. */
const LENGTH = 100
/** How much of a history that went wrong is shown. */
const HISTORY_MAX = 60

export interface Simulated {
  readonly seeds: number
  /** What has happened in all of them, and how often. */
  readonly counts: ReadonlyMap<string, number>
}

export interface Simulation {
  /** Of its own each, so that one history runs while another waits for PostgreSQL. */
  readonly databases: readonly Database[]
  readonly first: number
  readonly seeds: number
  /** Told after each seed. */
  readonly onSeed?: (done: number) => void
}

/** Runs one history after another, until one breaks a rule: then the error names its seed and shows how it came to it. */
export async function simulate({ databases, first, seeds, onSeed }: Simulation): Promise<Simulated> {
  const counts = new Map<string, number>()
  let [next, done, failed] = [0, 0, false]
  const runOnOne = async (db: Database): Promise<void> => {
    while (next < seeds && !failed) {
      const seed = first + next
      next += 1
      const world = await history(seed, db).catch((error: unknown) => {
        failed = true
        throw error
      })
      for (const [what, count] of world.counts) counts.set(what, (counts.get(what) ?? 0) + count)
      done += 1
      onSeed?.(done)
    }
  }
  await Promise.all(databases.map(runOnOne))
  return { seeds: done, counts }
}

/** The history that a seed decides. */
export async function history(seed: number, db: Database): Promise<World> {
  const world = new World(seed, db)
  try {
    await live(world, LENGTH)
    return world
  } catch (error) {
    const steps = world.scheduler.history.slice(-HISTORY_MAX).join('\n  ')
    throw new Error(`Seed ${seed} breaks what always holds: ${String(error)}\nIts last steps:\n  ${steps}`, {
      cause: error
    })
  }
}
