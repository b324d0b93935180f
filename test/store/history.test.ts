import assert from 'node:assert/strict'
import { array, asyncProperty, boolean, assert as check, integer, record } from 'fast-check'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { startOfWindow } from '../../src/pool/history.ts'
import type { Percentiles, Statistics } from '../../src/pool/stores.ts'
import { DEBIAN, given, NOON, noon } from '../support/samples.ts'
import { aStore, held, rivals } from '../support/store.ts'

const RIVALS = 8
const { history, claims, spares, opened, making, settled, stock, rows, replica } = await aStore(RIVALS)

/** Volumes that took so many seconds each, finished at noon. */
async function finished(...seconds: number[]): Promise<void> {
  for (const took of seconds) {
    const { id } = await making(noon(-took))
    await spares.noteFinished([{ id, toArm: false }], NOON, NOON)
  }
}

const HOUR = 3_600
const DAY = 24 * HOUR
const SAS = { os: 'debian12', type: 'sas' } as const

/** Of one pool. */
async function since(start: Date): Promise<Statistics> {
  const [statistics] = await history.read(start, [DEBIAN])
  assert.ok(statistics)
  return statistics
}

/** To the one per cent that is known of each length. */
function assertPercentiles(found: Percentiles | undefined, expected: Percentiles): void {
  for (const share of ['p50', 'p95', 'p99'] as const) {
    const [is, should] = [found?.[share] ?? 0, expected[share]]
    assert.ok(Math.abs(is - should) <= should * 0.01, `${share} is ${is}, not ${should}`)
  }
}

/** Before a tick has recorded anything, and after. */
const AT_FIRST_AND_RECORDED = [
  ['at first', async () => {}],
  ['once they are recorded', () => history.record(noon(HOUR))]
] as const

describe.for(AT_FIRST_AND_RECORDED)('the statistics of a window, %s', ([, record]) => {
  it('are empty where nothing has happened', async () => {
    await record()
    const nothing = { hits: 0, misses: {}, existing: 0, claimSeconds: undefined, leadTime: undefined }
    assert.deepEqual(await history.read(NOON, [DEBIAN, SAS]), [
      { ...DEBIAN, ...nothing },
      { ...SAS, ...nothing }
    ])
  })

  it('count the claims by how they got their disk, and why not from stock', async () => {
    await stock(2)
    for (const hostname of ['a', 'b']) await settled({ hostname })
    for (const [hostname, source, missReason] of [
      ['c', 'created', 'empty'],
      ['d', 'created', 'stale'],
      ['e', 'existing', undefined],
      ['f', 'created', 'empty']
    ] as const) {
      const { claim } = await opened({ hostname })
      await claims.settle(held(claim.id), given(hostname, { source, missReason }), noon(1))
    }
    await record()
    const { hits, misses, existing } = await since(NOON)
    assert.deepEqual({ hits, misses, existing }, { hits: 2, misses: { empty: 2, stale: 1 }, existing: 1 })
  })

  it('count what was settled in the window only, and a disk that is gone since too', async () => {
    const gone = await settled({ hostname: 'gone' }, noon(10))
    await claims.noteGone(gone.id, noon(20))
    await settled({ hostname: 'before' }, noon(-1))
    await settled({ hostname: 'begun before' }, noon(-10), 15)
    await opened({ hostname: 'under way' }, noon(10))
    await record()
    assert.equal((await since(NOON)).hits, 2)
    assert.equal((await since(noon(-600))).hits, 3)
    assert.equal((await since(noon(600))).hits, 0)
  })

  it('count each pool by itself, and once what is settled once', async () => {
    for (const type of ['ssd', 'sas', 'sas']) await settled({ type, hostname: newId() })
    await record()
    const [ssd, sas] = await history.read(NOON, [DEBIAN, SAS])
    assert.deepEqual([ssd?.hits, sas?.hits], [1, 2])
  })

  it('time the claims that were served from stock, from the first request on', async () => {
    for (const seconds of [1, 2, 3]) await settled({ hostname: `web-${seconds}` }, NOON, seconds)
    await record()
    assertPercentiles((await since(NOON)).claimSeconds, { p50: 2, p95: 2.9, p99: 2.98 })
  })

  it('time the volumes that were finished in the window', async () => {
    await finished(10, 20, 30)
    await record()
    assertPercentiles((await since(noon(-600))).leadTime, { p50: 20, p95: 29, p99: 29.8 })
    assert.equal((await since(noon(600))).leadTime, undefined)
  })
})

describe('the longest lead time', () => {
  it('is told of each pool that is asked for', async () => {
    await finished(30, 50, 40)
    const asked = [DEBIAN, DEBIAN, { os: 'plan9', type: 'ssd' }]
    assert.deepEqual(await history.longestLeadTimes(asked), [{ ...DEBIAN, seconds: 50 }])
  })
})

/** Claims settled so many seconds after noon. */
async function settledAt(...seconds: number[]): Promise<void> {
  for (const at of seconds) await settled({ hostname: newId() }, noon(at))
}

interface Bin {
  readonly what: string
  readonly minutes: number
  readonly at: Date
  readonly count: number
}
const bins = (minutes: number, what = 'pool'): Promise<Bin[]> =>
  rows<Bin>('select * from history where minutes = :minutes and what = :what order by at', { minutes, what })
const startsOf = async (minutes: number): Promise<Date[]> => (await bins(minutes)).map(({ at }) => at)

describe('the history', () => {
  it('counts the same as the claims, whatever the window and whenever it was recorded', async () => {
    await check(
      asyncProperty(
        array(record({ at: integer({ min: 0, max: 3 * DAY }), isRecorded: boolean() }), { maxLength: 12 }),
        array(integer({ min: -HOUR, max: 3 * DAY }), { minLength: 5, maxLength: 5 }),
        async (claimed, starts) => {
          await rows('truncate claims, history cascade')
          const inTurn = claimed.toSorted((a, b) => a.at - b.at)
          for (const { at, isRecorded } of inTurn) {
            await settledAt(at)
            if (isRecorded) await history.record(noon(at + 1))
          }
          for (const start of starts) {
            const expected = inTurn.filter(({ at }) => at >= start).length
            assert.equal((await since(noon(start))).hits, expected, `from ${start} s after noon`)
          }
        }
      ),
      { numRuns: 20 }
    )
  })

  it('has a bin once it has been over for a minute, and hours and days once they are over', async () => {
    await settledAt(0, 299, 300, HOUR)
    await history.record(noon(359))
    assert.deepEqual(await startsOf(5), [])
    await history.record(noon(360))
    assert.deepEqual(
      (await bins(5)).map(({ at, count }) => [at, count]),
      [[NOON, 2]]
    )
    await history.record(noon(HOUR + 60))
    assert.deepEqual([await startsOf(5), await startsOf(60)], [[NOON, noon(300)], [NOON]])
    await history.record(noon(12 * HOUR + 60))
    assert.deepEqual(
      (await bins(1440)).map(({ at, count }) => [at, count]),
      [[noon(-12 * HOUR), 4]]
    )
  })

  it('is the same after two replicas and a repeat', async () => {
    await settledAt(0, 1, 2)
    await rivals(RIVALS, () => replica().history.record(noon(HOUR)))
    await history.record(noon(HOUR))
    assert.deepEqual(
      (await bins(5)).map(({ count }) => count),
      [3]
    )
    assert.equal((await since(NOON)).hits, 3)
  })

  it('counts what came late', async () => {
    await settledAt(0)
    await history.record(noon(400))
    await settledAt(100)
    assert.equal((await since(noon(-1))).hits, 1) // Not yet: its bin is recorded.
    await history.record(noon(700))
    assert.equal((await since(noon(-1))).hits, 2)
  })

  it('has the claims by when they came, too, but for those whose disks were there', async () => {
    for (const [hostname, at] of [
      ['a', 0],
      ['b', 1],
      ['c', 301]
    ] as const)
      await opened({ hostname }, noon(at))
    const { claim } = await opened({ hostname: 'd' }, noon(2))
    await claims.settle(held(claim.id), given('d', { source: 'existing' }), noon(3))
    await history.record(noon(HOUR))
    assert.deepEqual(
      (await bins(5, 'asked')).map(({ at, count }) => [at, count]),
      [
        [NOON, 2],
        [noon(300), 1]
      ]
    )
    assert.deepEqual((await since(NOON)).misses, {})
  })

  it('forgets bins of five minutes after 28 days, and hours after a year', async () => {
    await settledAt(0)
    await history.record(noon(2 * DAY))
    await history.thin(noon(28 * DAY))
    assert.equal((await startsOf(5)).length, 1)
    await history.thin(noon(28 * DAY + 1))
    assert.deepEqual([await startsOf(5), (await startsOf(60)).length, (await startsOf(1440)).length], [[], 1, 1])
    assert.equal((await since(startOfWindow(noon(29 * DAY), 29 * DAY))).hits, 1)
    await history.thin(noon(366 * DAY))
    assert.deepEqual([await startsOf(60), await startsOf(1440)], [[], []])
  })
})

describe('the levels of the stock', () => {
  interface LevelBin {
    readonly at: Date
    readonly lowest: number
    readonly last: number
  }
  const note = (level: number, seconds: number) => history.noteLevels([{ ...DEBIAN, held: level }], noon(seconds))
  const levels = async (minutes = 5): Promise<unknown[]> =>
    (
      await rows<LevelBin>("select * from history where what = 'stock' and minutes = :minutes order by at", { minutes })
    ).map(({ at, lowest, last }) => [at, lowest, last])

  it('are the lowest and the last of each bin, where they have changed', async () => {
    await note(5, 0)
    await note(2, 10)
    await note(4, 20)
    await note(4, 400)
    await note(5, 700)
    assert.deepEqual(await levels(), [
      [NOON, 2, 4],
      [noon(600), 5, 5]
    ])
  })

  it('go into the hours', async () => {
    await note(5, 0)
    await note(2, 400)
    await settledAt(500)
    await history.record(noon(HOUR + 60))
    assert.deepEqual(await levels(60), [[NOON, 2, 2]])
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
