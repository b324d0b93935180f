import assert from 'node:assert/strict'
import { array, asyncProperty, boolean, assert as check, integer, record } from 'fast-check'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { Percentiles, Statistics } from '../../src/pool/stores.ts'
import { aCreation, aDisk, anImage, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, held, rivals } from '../support/store.ts'

const RIVALS = 8
const { history, claims, spares, open, settled, stock, rows } = await aStore(RIVALS)

/** Volumes that took so many seconds each, finished at noon. */
async function finished(...seconds: number[]): Promise<void> {
  for (const took of seconds) {
    const [spare] = await spares.request(() => [aCreation()], newId, noon(-took))
    assert.ok(spare)
    await spares.noteVolume(spare.id, `volume-of-${spare.id}`, NOON)
    await spares.noteFinished([{ id: spare.id, toArm: false }], NOON, NOON)
  }
}

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

/** As they are at first, and once they are folded. */
const AT_FIRST_AND_FOLDED = [
  ['at first', async () => {}],
  ['folded', () => history.foldTimings(0)]
] as const

describe.for(AT_FIRST_AND_FOLDED)('the statistics of a window, %s', ([, fold]) => {
  it('are empty where nothing has happened', async () => {
    await fold()
    const nothing = { hits: 0, misses: {}, existing: 0, claimSeconds: undefined, leadTime: undefined }
    assert.deepEqual(await history.read(NOON, [DEBIAN, SAS]), [
      { ...DEBIAN, ...nothing, oldestSpareAt: undefined },
      { ...SAS, ...nothing, oldestSpareAt: undefined }
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
      const opening = await open({ hostname })
      const given = { source, missReason, disk: aDisk(hostname) }
      await claims.settle(held(opening?.claim.id), given, noon(1))
      if (hostname === 'd') await fold()
    }
    const { hits, misses, existing } = await since(NOON)
    assert.deepEqual({ hits, misses, existing }, { hits: 2, misses: { empty: 2, stale: 1 }, existing: 1 })
  })

  it('count what was settled in the window only, and a disk that is gone since too', async () => {
    const gone = await settled({ hostname: 'gone' }, noon(10))
    await claims.noteGone(gone.id, noon(20))
    await settled({ hostname: 'before' }, noon(-1))
    await settled({ hostname: 'begun before' }, noon(-10), 15)
    await open({ hostname: 'under way' }, noon(10))
    await fold()
    assert.equal((await since(NOON)).hits, 2)
    assert.equal((await since(noon(-600))).hits, 3)
    assert.equal((await since(noon(600))).hits, 0)
  })

  it('count each pool by itself, and once what is settled once', async () => {
    for (const type of ['ssd', 'sas', 'sas']) await settled({ type, hostname: newId() })
    await fold()
    const [ssd, sas] = await history.read(NOON, [DEBIAN, SAS])
    assert.deepEqual([ssd?.hits, sas?.hits], [1, 2])
  })

  it('time the claims that were served from stock, from the first request on', async () => {
    for (const seconds of [1, 2, 3]) await settled({ hostname: `web-${seconds}` }, NOON, seconds)
    await fold()
    assertPercentiles((await since(NOON)).claimSeconds, { p50: 2, p95: 2.9, p99: 2.98 })
  })

  it('time the volumes that were finished in the window', async () => {
    await finished(10, 20, 30)
    await fold()
    assertPercentiles((await since(noon(-600))).leadTime, { p50: 20, p95: 29, p99: 29.8 })
    assert.equal((await since(noon(600))).leadTime, undefined)
  })

  it('name the oldest spare in stock of each pool', async () => {
    const [oldest] = await stock(3)
    const [other] = await stock(1, anImage({ type: 'sas' }))
    const found = await history.read(NOON, [SAS, DEBIAN])
    assert.deepEqual(
      found.map(({ type, oldestSpareAt }) => [type, oldestSpareAt]),
      [
        ['sas', other?.createdAt],
        ['ssd', oldest?.createdAt]
      ]
    )
  })
})

describe('the longest lead time', () => {
  it('is told of each pool that is asked for', async () => {
    await finished(30, 50, 40)
    const asked = [DEBIAN, DEBIAN, { os: 'plan9', type: 'ssd' }]
    assert.deepEqual(await history.longestLeadTimes(asked), [{ ...DEBIAN, seconds: 50 }])
  })
})

const MINUTE = 60
/** What totals are exact to. */
const SLOT = 10 * MINUTE
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Claims settled so many seconds after noon, each folded before the next. */
async function settledAt(...seconds: number[]): Promise<void> {
  for (const at of seconds) {
    await settled({ hostname: newId() }, noon(at))
    await history.foldTimings(0)
  }
}

const totals = async (): Promise<number> => (await rows('select from timing_totals')).length

describe('totals', () => {
  it('are those of the rows, whatever the window and however they were folded', async () => {
    await check(
      asyncProperty(
        array(record({ at: integer({ min: 0, max: 20 }), fold: boolean() }), { maxLength: 20 }),
        async all => {
          await rows('truncate claims, timings, timing_totals cascade')
          const inTurn = all.toSorted((a, b) => a.at - b.at)
          for (const { at, fold } of inTurn) {
            await settled({ hostname: newId() }, noon(at * SLOT + 30))
            if (fold) await history.foldTimings(0)
          }
          for (let start = 0; start <= 21; start += 1) {
            const expected = inTurn.filter(({ at }) => at >= start).length
            assert.equal((await since(noon(start * SLOT))).hits, expected, `from slot ${start}`)
          }
        }
      ),
      { numRuns: 20 }
    )
  })

  it('are right after many have folded and claimed at once', async () => {
    const hosts = Array.from({ length: 60 }, (_, n) => n)
    await rivals(RIVALS, async rival => {
      for (const n of hosts) {
        if (rival < 2) await history.foldTimings(0)
        else if (n % (RIVALS - 2) === rival - 2) await settled({ hostname: `web-${n}` }, noon(n * 20))
      }
    })
    assert.equal((await since(noon(-1))).hits, hosts.length)
    await history.foldTimings(0)
    assert.equal((await since(noon(-1))).hits, hosts.length)
    assert.deepEqual(await rows('select * from timings'), [])
  })

  it('count what comes late in the latest of them', async () => {
    await settledAt(2 * SLOT, 0)
    assert.equal((await since(noon(SLOT))).hits, 2)
    assert.equal((await since(noon(3 * SLOT))).hits, 0)
  })

  it('are folded in rounds where there are very many, and the latest left as they are', async () => {
    await rows(
      `insert into timings select 'debian12', 'ssd', 'pool', n % 10, :at::timestamptz + n * interval '1 second'
         from generate_series(1, 24001) n`,
      { at: NOON }
    )
    await history.foldTimings()
    assert.equal((await rows('select from timings')).length, 2_000)
    assert.equal((await since(NOON)).hits, 24_001)
    assert.equal((await since(noon(23_000))).hits, 1_002)
    await history.foldTimings(0)
    assert.equal((await rows('select from timings')).length, 0)
    assert.equal((await since(noon(23_000))).hits, 24_001 - 38 * SLOT + 1) // From the slot that it begins in.
  })

  it('are fewer, the older they are, and a window begins where the nearest is', async () => {
    await settledAt(0, SLOT, 2 * SLOT, 7 * SLOT)
    await history.thin(noon(-90 * DAY), noon(47 * HOUR))
    assert.equal(await totals(), 4)
    await history.thin(noon(-90 * DAY), noon(50 * HOUR))
    assert.equal(await totals(), 2)
    assert.deepEqual([(await since(NOON)).hits, (await since(noon(HOUR))).hits], [4, 1])
  })

  it('stay at one a day, and at one before the oldest window', async () => {
    await settledAt(0, HOUR, 13 * HOUR, DAY)
    await history.thin(noon(-90 * DAY), noon(15 * DAY))
    await history.thin(noon(-90 * DAY), noon(15.5 * DAY))
    assert.equal(await totals(), 2) // Of two days, as UTC has them.
    await history.thin(noon(10 * DAY), noon(100 * DAY))
    assert.equal(await totals(), 1)
    await settledAt(11 * DAY)
    await history.thin(noon(10 * DAY), noon(100 * DAY))
    assert.equal((await since(noon(10 * DAY))).hits, 1)
    assert.equal((await since(noon(-1))).hits, 5)
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
