import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { aCreation, aDisk, anImage, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, held } from '../support/store.ts'

const { history, claims, spares, open, settled, stock, rows } = await aStore()

/** Volumes that took so many seconds each, finished at noon. */
async function finished(...seconds: number[]): Promise<void> {
  for (const took of seconds) {
    const [spare] = await spares.request(() => [aCreation()], newId, noon(-took))
    assert.ok(spare)
    await spares.noteVolume(spare.id, `volume-of-${spare.id}`, NOON)
    await spares.noteFinished([{ id: spare.id, toArm: false }], NOON, NOON)
  }
}

describe('the statistics of a window', () => {
  it('are empty at first', async () => {
    assert.deepEqual(await history.read(NOON), { claims: [], claimSeconds: [], leadTimes: [], oldest: [] })
  })

  it('count the claims by how they got their disk, and why not from stock', async () => {
    await stock(2)
    for (const hostname of ['a', 'b']) await settled({ hostname })
    for (const [hostname, source, missReason] of [
      ['c', 'created', 'empty'],
      ['d', 'created', 'stale'],
      ['e', 'existing', undefined]
    ] as const) {
      const opening = await open({ hostname })
      const given = { source, missReason, disk: aDisk(hostname) }
      await claims.settle(held(opening?.claim.id), given, noon(1))
    }
    const { claims: counts } = await history.read(NOON)
    assert.deepEqual(
      counts.map(({ source, missReason, count }) => `${source} ${missReason ?? ''} ${count}`).toSorted(),
      ['created empty 1', 'created stale 1', 'existing  1', 'pool  2']
    )
    assert.ok(counts.every(({ os, type }) => os === DEBIAN.os && type === DEBIAN.type))
  })

  it('count what began in the window only, and what is settled, a disk that is gone since too', async () => {
    const gone = await settled({ hostname: 'gone' }, noon(10))
    await claims.noteGone(gone.id, noon(20))
    await settled({ hostname: 'before' }, noon(-1))
    await open({ hostname: 'under way' }, noon(10))
    const { claims: counts } = await history.read(NOON)
    assert.deepEqual(
      counts.map(({ count }) => count),
      [1]
    )
  })

  it('tell the longest lead time of each pool that is asked for', async () => {
    await finished(30, 50, 40)
    const asked = [DEBIAN, DEBIAN, { os: 'plan9', type: 'ssd' }]
    assert.deepEqual(await history.longestLeadTimes(asked), [{ ...DEBIAN, seconds: 50 }])
  })

  it('time the claims that were served from stock, from the first request on', async () => {
    for (const seconds of [1, 2, 3]) await settled({ hostname: `web-${seconds}` }, NOON, seconds)
    const { claimSeconds } = await history.read(NOON)
    assert.deepEqual(claimSeconds, [{ ...DEBIAN, p50: 2, p95: 2.9, p99: 2.98 }])
  })

  it('time the volumes that were finished in the window, each pool by itself', async () => {
    await finished(10, 20, 30)
    const { leadTimes } = await history.read(noon(-1))
    assert.deepEqual(leadTimes, [{ ...DEBIAN, p50: 20, p95: 29, p99: 29.8 }])
    assert.deepEqual((await history.read(noon(1))).leadTimes, [])
  })

  it('name the oldest spare in stock of each pool', async () => {
    const [oldest] = await stock(3)
    const [other] = await stock(1, anImage({ type: 'sas' }))
    const { oldest: found } = await history.read(NOON)
    assert.deepEqual(
      found.toSorted((a, b) => (a.type < b.type ? -1 : 1)),
      [
        { os: 'debian12', type: 'sas', createdAt: other?.createdAt },
        { os: 'debian12', type: 'ssd', createdAt: oldest?.createdAt }
      ]
    )
  })
})

describe('old lead times', () => {
  it('are forgotten in batches', async () => {
    await rows(
      `insert into lead_times (spare_id, os, type, seconds, at)
       select gen_random_uuid(), 'debian12', 'ssd', 1, :at from generate_series(1, 10001)`,
      { at: noon(-60) }
    )
    await finished(1)
    assert.deepEqual(
      [await history.prune(noon(-1)), await history.prune(noon(-1)), await history.prune(noon(-1))],
      [10_000, 1, 0]
    )
    assert.equal((await rows('select * from lead_times')).length, 1)
  })
})
