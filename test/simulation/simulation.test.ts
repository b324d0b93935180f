import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { aDatabase } from '../support/database.ts'
import { seed } from '../support/seed.ts'
import { HAPPENINGS } from './happenings.ts'
import { history, simulate } from './seeds.ts'

const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 8)
/** In so many seeds everything happens that can. */
const SEEDS_FOR_ALL = 150

describe('two replicas on one database and one cloud, whatever happens to them', () => {
  it(`keep every promise and mend it all, with ${SEEDS} seeds`, async t => {
    const databases = await Promise.all(Array.from({ length: 4 }, () => aDatabase(t, { connections: 1 })))
    const { counts } = await simulate({ databases, first: seed, seeds: SEEDS })
    process.stdout.write(`${SEEDS} seeds from ${seed}: ${[...counts].map(([what, n]) => `${what} ${n}`).join(', ')}\n`)
    if (SEEDS < SEEDS_FOR_ALL) return
    for (const [, what] of HAPPENINGS) assert.ok(counts.get(what), `never happened: ${what}`)
    for (const source of ['pool', 'created', 'existing'])
      assert.ok(counts.get(`answered: ${source}`), `never ${source}`)
  }, 7_200_000)

  it('do the same again when the seed is the same', async t => {
    const [db, other] = [await aDatabase(t), await aDatabase(t)]
    const [first, again] = [await history(seed, db), await history(seed, other)]
    assert.deepEqual(again.scheduler.history, first.scheduler.history)
  })
})
