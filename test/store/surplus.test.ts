import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { type PoolTarget, planReplenishment, poolsOf } from '../../src/pool/replenishment.ts'
import type { PoolName, Spare } from '../../src/pool/spare.ts'
import { planSurplus, type SurplusPlan } from '../../src/pool/surplus.ts'
import { anImage, aSpare, DEBIAN, noon } from '../support/samples.ts'
import { aStore, rivals } from '../support/store.ts'

const RIVALS = 8
const { spares, images, pools, open, stock, rows, statusOf, replica } = await aStore(RIVALS)

const HOUR = 3_600
const SAS = { os: 'debian12', type: 'sas' } as const
const wanted = (target: number, differs: Partial<PoolTarget> = {}): PoolTarget => ({
  ...DEBIAN,
  target,
  sizeGib: undefined,
  ...differs
})
const demand = (...targets: PoolTarget[]) => ({ targets, surplusSeconds: 600 })
const retiredOf = async (all: readonly Spare[]): Promise<number[]> => {
  const statuses = await Promise.all(all.map(({ id }) => statusOf(id)))
  return statuses.flatMap((status, place) => (status === 'retiring' ? [place] : []))
}
const surplusSince = async ({ os, type }: PoolName = DEBIAN): Promise<Date | null | undefined> =>
  (
    await rows<{ surplus_since: Date | null }>('select surplus_since from pools where os = :os and type = :type', {
      os,
      type
    })
  )[0]?.surplus_since
type Demand = ReturnType<typeof demand>
const LIMITS = { creatingMax: 99, creatingMaxPerSnapshot: 99, budgetGib: undefined }

/** As a replica decides on what it sees. */
async function decide({ targets, surplusSeconds }: Demand, now: Date): Promise<SurplusPlan> {
  const stored = await spares.stock()
  const all = { ...stored, targets: poolsOf(targets, stored.holdings), limits: LIMITS, quota: undefined, now }
  return planSurplus(all, planReplenishment(all), surplusSeconds)
}

async function retireSurplus(of: Demand, at: Date, on = { spares, pools }): Promise<PoolName[]> {
  const { changed, surplus } = await decide(of, at)
  await on.pools.noteSurplus(changed)
  return await on.spares.retireOldest(surplus, at)
}

const retireAged = async (of: Demand, at: Date, on = { spares }): Promise<PoolName[]> =>
  await on.spares.retireOldest((await decide(of, at)).aged, at)

async function anySurplus(of: Demand, seconds: number): Promise<boolean> {
  const { changed, surplus } = await decide(of, noon(seconds))
  return changed.length + surplus.length > 0
}
const anyAged = async (of: Demand, seconds = 0): Promise<boolean> => (await decide(of, noon(seconds))).aged.length > 0

describe('stock over its target', () => {
  it('is retired once it has been so for long enough, the oldest first, down to the target', async () => {
    const all = await stock(4)
    const one = demand(wanted(1))
    assert.equal(await anySurplus(one, 0), true)
    assert.deepEqual(await retireSurplus(one, noon(0)), [])
    assert.deepEqual(await surplusSince(), noon(0))
    assert.equal(await anySurplus(one, 599), false)
    assert.deepEqual(await retireSurplus(one, noon(599)), [])
    assert.equal(await anySurplus(one, 600), true)
    assert.deepEqual(await retireSurplus(one, noon(600)), [DEBIAN, DEBIAN, DEBIAN])
    assert.deepEqual(await retiredOf(all), [0, 1, 2])
    assert.equal(await anySurplus(one, 601), true) // To forget since when.
    await retireSurplus(one, noon(601))
    assert.equal(await surplusSince(), null)
    assert.equal(await anySurplus(one, 9_999), false)
  })

  it('begins its time anew once it was not over it', async () => {
    const all = await stock(2)
    await retireSurplus(demand(wanted(1)), noon(0))
    await retireSurplus(demand(wanted(2)), noon(500)) // A replica that has the old target still.
    await retireSurplus(demand(wanted(1)), noon(510))
    await retireSurplus(demand(wanted(1)), noon(1_109))
    assert.deepEqual(await retiredOf(all), [])
    await retireSurplus(demand(wanted(1)), noon(1_110))
    assert.deepEqual(await retiredOf(all), [0])
  })

  it('is all that a pool holds that nobody wants', async () => {
    const all = await stock(2, anImage({ ...SAS }))
    for (const seconds of [0, 600]) await retireSurplus(demand(wanted(5)), noon(seconds))
    assert.deepEqual(await retiredOf(all), [0, 1])
  })

  it('is neither what is on its way, nor with a claim, nor stale', async () => {
    const image = anImage()
    const all = await stock(2, image)
    await open()
    await spares.adopt(aSpare({ status: 'creating', availableAt: undefined }))
    await spares.adopt(aSpare({ snapshotId: 'old' }))
    const one = demand(wanted(1))
    for (const seconds of [0, 600]) await retireSurplus(one, noon(seconds))
    assert.deepEqual(await retiredOf(all), [])
    assert.equal(await anySurplus(one, 9_999), false)
  })

  it('is what a sync kept, too, though its image is no more', async () => {
    const spare = aSpare({ os: 'alma9', kept: true })
    assert.ok(await spares.adopt({ ...spare, status: 'available' }))
    await rows('update backup_volumes set kept = true')
    for (const seconds of [0, 600]) await retireSurplus(demand(), noon(seconds))
    assert.deepEqual(await retiredOf([spare]), [0])
  })

  it('stays while its pool is paused, unless that is configured no more', async () => {
    const all = await stock(2)
    await pools.setPaused(DEBIAN, true)
    const one = demand(wanted(1))
    for (const seconds of [0, 600]) await retireSurplus(one, noon(seconds))
    assert.deepEqual([await retiredOf(all), await anySurplus(one, 600)], [[], false])
    for (const seconds of [700, 1_300]) await retireSurplus(demand(), noon(seconds))
    assert.deepEqual(await retiredOf(all), [0, 1])
  })

  it('is retired down to the target, however many replicas do it at once, and whatever claims take', async () => {
    for (let race = 0; race < 10; race += 1) {
      await rows('delete from backup_volumes')
      await rows('delete from claims')
      await stock(12)
      const four = demand(wanted(4))
      await retireSurplus(four, noon(0))
      await rivals<unknown>(RIVALS, n =>
        n % 2 === 0 ? retireSurplus(four, noon(600), replica()) : open({ hostname: `web-${race}-${n}` })
      )
      const [left] = await rows<{ count: number }>(
        "select count(*)::int as count from backup_volumes where status in ('available', 'reserved')"
      )
      assert.ok(left && left.count >= 4 && left.count <= 4 + RIVALS / 2, `${left?.count} are left`)
      const [inStock] = await rows<{ count: number }>(
        "select count(*)::int as count from backup_volumes where status = 'available'"
      )
      assert.ok(inStock && inStock.count <= 8, `${inStock?.count} are in stock`)
    }
  })
})

describe('a spare that is too old', () => {
  const old = (target: number, differs: Partial<PoolTarget> = {}) =>
    demand(wanted(target, { maxAgeHours: 1, ...differs }))

  it('is retired, the oldest alone, and the next one when there is another in its place', async () => {
    const all = await stock(3) // They are from 1,000 s before noon on, a second apart.
    assert.equal(await anyAged(old(3), HOUR - 1_001), false)
    assert.equal(await anyAged(old(3), HOUR), true)
    assert.deepEqual(await retireAged(old(3), noon(HOUR)), [DEBIAN])
    assert.deepEqual(await retireAged(old(3), noon(HOUR)), [])
    assert.deepEqual([await retiredOf(all), await anyAged(old(3), HOUR)], [[0], false])
    await spares.adopt(aSpare({ createdAt: noon(HOUR) }))
    assert.deepEqual(await retireAged(old(3), noon(HOUR)), [DEBIAN])
    assert.deepEqual(await retiredOf(all), [0, 1])
  })

  it('is retired by one of many replicas', async () => {
    const all = await stock(5)
    const retired = await rivals(RIVALS, () => retireAged(old(5), noon(HOUR), replica()))
    assert.deepEqual([retired.flat(), await retiredOf(all)], [[DEBIAN], [0]])
  })

  it('stays where nothing says how old it may be', async () => {
    await stock(3)
    assert.equal(await anyAged(demand(wanted(3)), 99_999), false)
    assert.deepEqual(await retireAged(demand(wanted(3)), noon(99_999)), [])
  })

  it.for<[string, () => Promise<unknown>]>([
    ['is paused', () => pools.setPaused(DEBIAN, true)],
    ['waits after a failure', () => pools.noteFailure(DEBIAN, 'no', () => noon(2 * HOUR + 60))],
    ['has no snapshot to make others from', () => images.noteGone('snapshot')],
    ['is not full', () => rows('delete from backup_volumes where id = (select id from backup_volumes limit 1)')]
  ])('stays while its pool %s', async ([, hinder]) => {
    await stock(3)
    await hinder()
    assert.equal(await anyAged(old(3), 2 * HOUR), false)
    assert.deepEqual(await retireAged(old(3), noon(2 * HOUR)), [])
  })

  it('is the oldest that may be handed out, not one that is stale', async () => {
    const all = await stock(2)
    const stale = aSpare({ snapshotId: 'old', createdAt: noon(-9 * HOUR) })
    await spares.adopt(stale)
    await retireAged(old(2), noon(HOUR))
    assert.deepEqual([await retiredOf(all), await statusOf(stale.id)], [[0], 'available'])
  })
})
