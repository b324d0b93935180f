import { describe, it } from 'vitest'
import { aDatabase } from '../support/database.ts'
import { seed } from '../support/seed.ts'
import { World } from './world.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 10)
const HAPPENINGS = 250

describe('two replicas, whatever happens', () => {
  it(`keep every promise, and mend it all: ${SEEDS} seeds`, async t => {
    const db = await aDatabase(t)
    for (let count = 0; count < SEEDS; count += 1) {
      const world = new World(seed + count, db)
      try {
        await world.run(HAPPENINGS)
      } catch (error) {
        console.log(world.scheduler.history.slice(-80).join('\n'))
        throw new Error(`seed ${seed + count}: ${String(error)}`, { cause: error })
      }
    }
  }, 300_000)
})
