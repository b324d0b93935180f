import assert from 'node:assert/strict'
import { array, asyncProperty, assert as check, constantFrom, nat, tuple } from 'fast-check'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { isGone } from '../../src/pool/image.ts'
import { type PoolTarget, planReplenishment } from '../../src/pool/replenishment.ts'
import { type Spare, type SpareStatus, samePool } from '../../src/pool/spare.ts'
import { PURGES } from '../../src/pool/stores.ts'
import { storesOf } from '../../src/store/stores.ts'
import { aCreation, aDisk, anImage, aSpare, NOON, noon } from '../support/samples.ts'
import { aStore, held, rivals } from '../support/store.ts'

const RIVALS = 8
const { db, spares, images, pools, claims, history, open, stock, settled, rows } = await aStore(RIVALS)

/** What the counts must be, as the rows have it. */
const COUNTED = `
  select os, type, snapshot_id, status, kept, count(*)::int as count, sum(size)::int as size
    from backup_volumes where status in ('available', 'retiring') group by 1, 2, 3, 4, 5`

const SUMMED = `
  select os, type, snapshot_id, status, kept, sum(count)::int as count, sum(size)::int as size
    from stock_counts group by 1, 2, 3, 4, 5 having sum(count) <> 0 or sum(size) <> 0`

/** In one statement, so that it holds at every moment. */
const differences = () => rows(`((${COUNTED}) except (${SUMMED})) union all ((${SUMMED}) except (${COUNTED}))`)

async function anySpare(n: number, ...statuses: SpareStatus[]): Promise<Spare | undefined> {
  const { rows: all } = await spares.list({ limit: 1_000 })
  const fit = all.filter(({ status }) => statuses.includes(status))
  return fit[n % Math.max(1, fit.length)]
}

const POOLS = [anImage({ replicaSnapshotIds: ['replica'] }), anImage({ type: 'sas', snapshotId: 'sas', sizeGib: 40 })]
const imageOf = (n: number) => POOLS[n % POOLS.length] ?? anImage()

const NO_IMAGE = 'no image'
const TARGETS: PoolTarget[] = POOLS.map(({ os, type }) => ({ os, type, target: 4, sizeGib: undefined, maxAgeHours: 1 }))
const DEMAND = { targets: TARGETS, surplusSeconds: 60, imageErrors: [NO_IMAGE] }
const NO_LIMITS = { creatingMax: 999, creatingMaxPerSnapshot: 999, budgetGib: undefined }

/** Whether a plan would come to anything. */
async function planned(): Promise<boolean> {
  const stored = await spares.stock()
  const plans = planReplenishment({ ...stored, targets: TARGETS, limits: NO_LIMITS, quota: undefined, now: NOON })
  const usable = stored.images.filter(image => !isGone(image))
  const isMissing = TARGETS.some(target => !usable.some(image => samePool(image, target)))
  return (
    isMissing ||
    plans.some(({ create }) => create.length > 0) ||
    stored.states.some(({ lastError }) => lastError === NO_IMAGE)
  )
}

/** Whatever is done to spares, by the service and by others, each to one that `n` chooses. */
const ACTS: Readonly<Record<string, (n: number) => Promise<unknown>>> = {
  request: n => spares.request(() => [aCreation(imageOf(n)), aCreation(imageOf(n + 1))], newId, NOON),
  noteVolume: async n => {
    const spare = await anySpare(n, 'requested')
    if (spare) await spares.noteVolume(spare.id, `volume-of-${spare.id}`, NOON)
  },
  noteFinished: async n => {
    const finished = [await anySpare(n, 'creating', 'reserved'), await anySpare(n + 1, 'creating')]
    const ids = new Set(finished.flatMap(spare => (spare ? [spare.id] : [])))
    await spares.noteFinished(
      [...ids].map(id => ({ id, toArm: n % 2 === 0 })),
      NOON,
      NOON
    )
  },
  noteArmed: async n => await spares.noteArmed((await anySpare(n, 'creating'))?.id ?? newId(), undefined, NOON),
  adopt: n => {
    const { os, type, sizeGib } = imageOf(n)
    return spares.adopt(aSpare({ os, type, sizeGib, snapshotId: n % 3 === 0 ? 'old' : imageOf(n).snapshotId }))
  },
  open: n => open({ hostname: newId(), type: imageOf(n).type }),
  settle: async n => {
    const spare = await anySpare(n, 'reserved')
    if (!spare?.claimId) return
    const given = { source: 'pool', missReason: undefined, disk: aDisk(spare.volumeId ?? newId()) } as const
    await claims.settle(held(spare.claimId), given, NOON)
  },
  requestFor: async n => {
    const opening = await open({ hostname: newId(), os: 'plan9' })
    await spares.requestFor(opening?.claim.id ?? '', aCreation(imageOf(n)), newId(), NOON)
  },
  putBack: async n => {
    const spare = await anySpare(n, 'reserved')
    if (spare) await spares.putBack(spare.id, held(spare.claimId), NOON)
  },
  noteTransfer: async n => {
    const spare = await anySpare(n, 'reserved')
    if (spare) await spares.noteTransfer(spare.id, held(spare.claimId), { id: newId(), sealedKey: 'key' }, NOON)
  },
  unstock: async n => await spares.unstock((await anySpare(n, 'available'))?.id ?? newId(), NOON),
  retire: async n => {
    const spare = await anySpare(n, 'requested', 'creating', 'available', 'reserved')
    if (spare) await spares.retire(spare.id, spare.status, NOON)
  },
  retireUnfinished: async n =>
    await spares.retireUnfinished((await anySpare(n, 'creating', 'reserved'))?.id ?? newId(), NOON, noon(20)),
  retireStale: () => spares.retireStale(NOON),
  nextRetired: () => spares.nextRetired(2, NOON),
  drop: async n => {
    const spare = await anySpare(n, 'requested', 'creating', 'available', 'reserved', 'retiring')
    if (spare) await spares.drop(spare.id, spare.status)
  },
  retireSurplus: n => spares.retireSurplus({ ...DEMAND, targets: TARGETS.slice(n % 3) }, noon(30 * (n % 9))),
  retireAged: n => spares.retireAged(DEMAND, noon(1_000 * (n % 9))),
  noteGone: n => images.noteGone(['snapshot', 'replica', 'sas'][n % 3] ?? ''),
  replaceGone: n => images.replaceGone([imageOf(n)], NOON),
  setGone: n => images.setGone(['snapshot', 'replica', 'sas'].slice(n % 4)),
  sync: n => images.replace(POOLS.slice(n % 3), PURGES[n % PURGES.length] ?? 'none', NOON),
  change: n =>
    rows("update backup_volumes set size = size + 1, snapshot_id = 'other' where size = :n", { n: 20 + (n % 3) }),
  delete: () => rows("delete from backup_volumes where status in ('requested', 'retiring')"),
  truncate: n => (n % 5 === 0 ? rows('truncate backup_volumes') : Promise.resolve()),
  pause: n => pools.setPaused(imageOf(n), n % 3 === 0),
  fail: n => pools.noteFailure(imageOf(n), 'no valid backend', () => noon([-1, 0, 1, 3600][n % 4] ?? 0)),
  recover: n => pools.noteError(imageOf(n), n % 3 === 0 ? NO_IMAGE : undefined),
  fold: () => history.foldCounts(),
  recount: () => history.recount()
}

describe('the counts of the stock', () => {
  it('are those of its rows, whatever was done to them', async () => {
    await check(
      asyncProperty(array(tuple(constantFrom(...Object.keys(ACTS)), nat(99)), { maxLength: 60 }), async acts => {
        await rows('truncate backup_volumes, claims, os, pools')
        await pools.ensure(POOLS)
        await images.add(POOLS)
        await spares.request(() => POOLS.flatMap(image => [aCreation(image), aCreation(image)]), newId, NOON)
        for (const [name, n] of acts) {
          await ACTS[name]?.(n)
          assert.deepEqual(await differences(), [], name)
          assert.equal((await spares.need(DEMAND, NOON)).isNeeded, await planned(), name)
        }
      }),
      { numRuns: 60 }
    )
  })

  it('are added to by nothing that changes no count', async () => {
    const [spare] = await stock(1)
    const before = (await spares.stock()).unfolded.counts
    await rows('update backup_volumes set updated_at = :at', { at: noon(9) })
    await spares.noteArmed(spare?.id ?? '', undefined, NOON)
    await spares.nextRetired(9, NOON)
    await open({ os: 'plan9' })
    assert.equal((await spares.stock()).unfolded.counts, before)
  })

  it('are few rows once they are folded, and none of what is no more', async () => {
    await stock(20)
    for (let n = 0; n < 5; n += 1) await settled({ hostname: `web-${n}` })
    await history.foldCounts()
    const [count] = await rows('select count, size, is_change from stock_counts')
    assert.deepEqual(count, { count: 15, size: 300, is_change: false })
    assert.equal((await spares.stock()).unfolded.counts, 0)
    await rows('delete from backup_volumes')
    await history.foldCounts()
    assert.deepEqual(await rows('select * from stock_counts'), [])
  })

  it('stay right while many fold and claim at once', async () => {
    const all = await stock(120)
    const seen: object[] = []
    await rivals(RIVALS, async n => {
      for (let round = 0; round < 15; round += 1) {
        if (n < 2) await history.foldCounts()
        else if (n === 2) seen.push(...(await differences()))
        else await settled({ hostname: `web-${n}-${round}` })
      }
    })
    assert.deepEqual(seen, [])
    assert.deepEqual(await differences(), [])
    assert.equal((await spares.stock()).holdings[0]?.count, all.length - 15 * (RIVALS - 3))
  })

  it('are folded by one at a time, the other leaves it alone', async () => {
    await stock(3)
    await db.transaction(async tx => {
      await storesOf(tx).history.foldCounts()
      await history.foldCounts() // Does not wait.
      assert.equal((await spares.stock()).unfolded.counts, 3)
    })
    assert.equal((await spares.stock()).unfolded.counts, 0)
  })

  it('do not show, nor lose, what is not committed yet', async () => {
    await stock(3)
    await db.transaction(async tx => {
      await storesOf(tx).spares.retireStale(NOON)
      await tx.raw("update backup_volumes set status = 'retiring'")
      await history.foldCounts()
      assert.deepEqual(
        (await spares.stock()).holdings.map(({ status, count }) => [status, count]),
        [['available', 3]]
      )
    })
    assert.deepEqual(
      (await spares.stock()).holdings.map(({ status, count }) => [status, count]),
      [['retiring', 3]]
    )
  })

  it('are put right where rows were written behind the triggers', async () => {
    await stock(3)
    assert.equal(await history.recount(), 0)
    await rows('alter table backup_volumes disable trigger user')
    await rows("update backup_volumes set status = 'retiring'")
    await rows('alter table backup_volumes enable trigger user')
    assert.equal((await differences()).length, 2)
    assert.equal(await history.recount(), 2)
    assert.deepEqual(await differences(), [])
  })
})
