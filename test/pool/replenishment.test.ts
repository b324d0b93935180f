import assert from 'node:assert/strict'
import {
  array,
  boolean,
  assert as check,
  constantFrom,
  integer,
  nat,
  option,
  property,
  record,
  tuple,
  uniqueArray
} from 'fast-check'
import { describe, it } from 'vitest'
import { conditionOf, reasonOf } from '../../src/pool/condition.ts'
import { isGone, usableSnapshotIds } from '../../src/pool/image.ts'
import {
  backoffSeconds,
  countOf,
  HELD_BACK_BY,
  type Holding,
  isHeld,
  isInFlight,
  type PoolPlan,
  planReplenishment,
  poolsOf,
  type Stock,
  snapshotInTurn
} from '../../src/pool/replenishment.ts'
import { SPARE_STATUSES, samePool } from '../../src/pool/spare.ts'
import { anImage, aPoolState, DEBIAN, NOON, noon } from '../support/samples.ts'

const WINDOWS = { os: 'windows2022', type: 'ssd' }
const ROOMY = { creatingMax: 1000, creatingMaxPerSnapshot: 1000, budgetGib: undefined }
const IMAGE = anImage()

const holding = (differs: Partial<Holding> = {}): Holding => {
  const { status = 'available', count = 1 } = differs
  const making = status === 'requested' || status === 'creating'
  return { ...DEBIAN, snapshotId: 'snapshot', status, kept: false, making, count, sizeGib: 20 * count, ...differs }
}

/** One pool of five, empty. */
const aStock = (differs: Partial<Stock> = {}): Stock => ({
  targets: [{ ...DEBIAN, target: 5, sizeGib: undefined }],
  limits: ROOMY,
  images: [IMAGE],
  states: [],
  holdings: [],
  quota: undefined,
  now: NOON,
  ...differs
})

const planFor = (differs: Partial<Stock> = {}): PoolPlan => {
  const [plan] = planReplenishment(aStock(differs))
  assert.ok(plan)
  return plan
}

const creates = (plan: PoolPlan): number => plan.create.length

describe('what is missing', () => {
  it('is the target less what is held and in flight', () => {
    const holdings = [holding(), holding({ status: 'requested' }), holding({ status: 'creating' })]
    const plan = planFor({ holdings })
    assert.deepEqual([plan.target, plan.held, plan.inFlight, plan.missing, creates(plan)], [5, 1, 2, 2, 2])
  })

  it.for([
    ['reserved for a claim', holding({ status: 'reserved' }), 0],
    ['being retired', holding({ status: 'retiring' }), 0],
    ['in stock of a snapshot that is no longer current', holding({ snapshotId: 'old' }), 0],
    ['in stock of such a snapshot, but kept by a sync', holding({ snapshotId: 'old', kept: true }), 1],
    ['in stock of a replica', holding({ snapshotId: 'replica' }), 1],
    ['of another pool', holding(WINDOWS), 0]
  ] as const)('counts a spare that is %s: %i', ([, one, held]) => {
    const images = [anImage({ replicaSnapshotIds: ['replica'] })]
    const plan = planFor({ images, holdings: [one] })
    assert.deepEqual([plan.held, plan.inFlight, creates(plan)], [held, 0, 5 - held])
  })

  it('is never less than nothing, so that a spare that was put back is not taken for an order', () => {
    const plan = planFor({ holdings: [holding({ count: 7 })] })
    assert.deepEqual([plan.held, plan.missing, creates(plan), plan.heldBackBy], [7, 0, 0, undefined])
  })

  it('is asked for in the size of the pool, or of the image where that is larger', () => {
    const sized = (sizeGib: number | undefined) =>
      planFor({ targets: [{ ...DEBIAN, target: 1, sizeGib }] }).create.map(creation => creation.sizeGib)
    assert.deepEqual(sized(undefined), [20])
    assert.deepEqual(sized(40), [40])
    assert.deepEqual(sized(10), [20])
  })

  it('is asked for of the current image', () => {
    const [creation] = planFor({ targets: [{ ...DEBIAN, target: 1, sizeGib: undefined }] }).create
    assert.deepEqual(creation, { ...DEBIAN, image: IMAGE, snapshotId: 'snapshot', sizeGib: 20 })
  })
})

/** How many volumes each pool is given, one by one. */
function inTurn(pools: readonly { target: number; count: number }[], volumes: number): number[] {
  const given = pools.map(() => 0)
  for (let n = 0; n < volumes; n += 1) {
    const levels = pools.map(({ target, count }, i) => (count + (given[i] ?? 0)) / target)
    const open = levels.filter(level => level < 1)
    if (open.length === 0) break
    const next = levels.indexOf(Math.min(...open))
    given[next] = (given[next] ?? 0) + 1
  }
  return given
}

describe('the emptiest pool', () => {
  const [debian, windows] = [anImage(), anImage({ ...WINDOWS, snapshotId: 'windows' })]
  const both = (holdings: Holding[], creatingMax: number, targets: readonly [number, number] = [10, 10]) =>
    planReplenishment(
      aStock({
        targets: [
          { ...DEBIAN, target: targets[0], sizeGib: undefined },
          { ...WINDOWS, target: targets[1], sizeGib: undefined }
        ],
        images: [debian, windows],
        limits: { ...ROOMY, creatingMax },
        holdings
      })
    ).map(creates)

  it('is served first', () => {
    assert.deepEqual(both([holding({ count: 8 })], 4), [0, 4])
  })

  it('is the one with the least stock for its target, not with the fewest spares', () => {
    assert.deepEqual(
      both([holding({ count: 5 }), holding({ ...WINDOWS, snapshotId: 'windows', count: 4 })], 3, [20, 5]),
      [3, 0]
    )
  })

  it('changes with each volume, so that pools fill alike', () => {
    assert.deepEqual(both([], 6), [3, 3])
    assert.deepEqual(both([], 6, [20, 10]), [4, 2])
  })

  it('is the same as by looking at all pools for each volume', () => {
    check(
      property(array(record({ target: nat(9), count: nat(9) }), { maxLength: 9 }), nat(40), (pools, creatingMax) => {
        const named = pools.map((pool, n) => ({ ...pool, os: `os-${n}`, type: 'ssd', sizeGib: undefined }))
        const images = named.map(({ os }) => anImage({ os, snapshotId: os }))
        const holdings = named.map(({ os, count }) => holding({ os, snapshotId: os, count }))
        const plans = planReplenishment(aStock({ targets: named, images, holdings, limits: { ...ROOMY, creatingMax } }))
        assert.deepEqual(plans.map(creates), inTurn(pools, creatingMax))
      })
    )
  })

  it('is found among 500 for each of 5,000 volumes, and each thing is looked up once', () => {
    let lookedAt = 0
    const seen = <T extends object>(thing: T): T =>
      Object.defineProperty(thing, 'type', {
        get: () => {
          lookedAt += 1
          return 'ssd'
        }
      })
    const named = Array.from({ length: 500 }, (_, n) => ({
      os: `os-${n}`,
      type: 'ssd',
      target: 20,
      sizeGib: undefined
    }))
    const plans = planReplenishment(
      aStock({
        targets: named,
        images: named.map(({ os }) => seen(anImage({ os, snapshotId: os }))),
        states: named.map(({ os }) => seen(aPoolState({ os }))),
        holdings: named.map(({ os }) => seen(holding({ os, snapshotId: os, count: 10 }))),
        limits: { ...ROOMY, creatingMax: 10_000 }
      })
    )
    assert.ok(plans.every(plan => creates(plan) === 10))
    assert.ok(lookedAt <= 3 * 2 * named.length, `${lookedAt} looks`)
  })

  it('leaves its turn to others when it is held back', () => {
    const plans = planReplenishment(
      aStock({
        targets: [DEBIAN, WINDOWS].map(pool => ({ ...pool, target: 10, sizeGib: undefined })),
        images: [debian, windows],
        limits: { ...ROOMY, creatingMaxPerSnapshot: 2 },
        states: [aPoolState({ paused: true })]
      })
    )
    assert.deepEqual(plans.map(creates), [0, 2])
  })
})

describe('a pool is held back', () => {
  const limited = (limits: Partial<Stock['limits']>, holdings: Holding[] = []) =>
    planFor({ limits: { ...ROOMY, ...limits }, holdings })

  it('by creating_max over all that is being made, a disk for a miss too', () => {
    const others = [holding({ ...WINDOWS, status: 'creating' }), holding({ status: 'reserved', making: true })]
    const plan = limited({ creatingMax: 4 }, others)
    assert.deepEqual([creates(plan), plan.heldBackBy], [2, 'creating_max'])
  })

  it('by creating_max_per_snapshot, though other snapshots have room', () => {
    const plan = limited({ creatingMaxPerSnapshot: 2 }, [holding({ status: 'creating' })])
    assert.deepEqual([creates(plan), plan.heldBackBy], [1, 'creating_max_per_snapshot'])
  })

  it('by the budget, in which all that exists counts, reserved and retiring too', () => {
    const all = SPARE_STATUSES.map(status => holding({ ...WINDOWS, status }))
    const plan = limited({ budgetGib: 20 * (all.length + 2) + 19 }, all)
    assert.deepEqual([creates(plan), plan.heldBackBy], [2, 'budget'])
  })

  it.for([
    ['volumes', 2],
    ['gigabytes', 59],
    ['volumes_ceph-ssd', 2],
    ['gigabytes_ceph-ssd', 40]
  ] as const)('by the quota of %s', ([resource, left]) => {
    const plan = planFor({ quota: new Map([[resource, left]]) })
    assert.deepEqual([creates(plan), plan.heldBackBy], [2, 'quota'])
  })

  it('not by the quota of another volume type, nor by one that has no limit', () => {
    const quota = new Map([
      ['volumes_ceph-sas', 0],
      ['gigabytes_ceph-sas', 0],
      ['snapshots', 0]
    ])
    const plan = planFor({ quota })
    assert.deepEqual([creates(plan), plan.heldBackBy], [5, undefined])
  })

  it('by a quota that is passed already', () => {
    assert.deepEqual([creates(planFor({ quota: new Map([['volumes', -1]]) }))], [0])
  })

  it.for([
    ['paused', { states: [aPoolState({ paused: true })] }],
    ['no_image', { images: [] }],
    ['image_gone', { images: [anImage({ goneSnapshotIds: ['snapshot'] })] }],
    ['backing_off', { states: [aPoolState({ failures: 1, retryAt: noon(1) })] }]
  ] as const)('because it is %s', ([heldBackBy, differs]) => {
    const plan = planFor(differs)
    assert.deepEqual([creates(plan), plan.missing, plan.heldBackBy], [0, 5, heldBackBy])
  })

  it('no longer once its next try has come', () => {
    assert.equal(creates(planFor({ states: [aPoolState({ failures: 3, retryAt: NOON })] })), 5)
    const later = { failures: 9, retryAt: noon(3600) } // As when the database's clock was set back since.
    assert.equal(creates(planFor({ states: [aPoolState(later)] })), 5)
  })

  it('by nothing when nothing is missing, however tight the limits', () => {
    const tight = { creatingMax: 0, creatingMaxPerSnapshot: 0, budgetGib: 0 }
    const plan = planFor({ limits: tight, holdings: [holding({ count: 5 })] })
    assert.deepEqual([creates(plan), plan.heldBackBy], [0, undefined])
  })
})

describe('the reason of a plan', () => {
  it.for(HELD_BACK_BY)('names what holds the pool back: %s', heldBackBy => {
    const plan = { ...planFor(), create: [], heldBackBy }
    const words = {
      paused: /paused.*resume/,
      backing_off: /failed/,
      no_image: /no image/,
      image_gone: /deleted in Cinder.*spare-pool sync/,
      creating_max: /limits\.creating_max is/,
      creating_max_per_snapshot: /limits\.creating_max_per_snapshot/,
      budget: /limits\.budget_gib/,
      quota: /quota in Cinder/
    }
    assert.match(reasonOf(plan), words[heldBackBy])
  })

  it('says how many of the missing are asked for now', () => {
    assert.equal(reasonOf(planFor()), '5 missing')
    assert.equal(reasonOf(planFor({ holdings: [holding({ count: 5 })] })), 'nothing is missing')
    assert.match(reasonOf(planFor({ holdings: [holding({ count: 7 })] })), /^2 over the target.*surplus_seconds/)
    assert.match(reasonOf(planFor({ limits: { ...ROOMY, creatingMax: 2 } })), /^2 of 5 now: limits\.creating_max/)
  })
})

describe('identical snapshots', () => {
  const image = anImage({ snapshotId: 'a', replicaSnapshotIds: ['b', 'c'] })
  const used = (holdings: Holding[], target: number, limits: Partial<Stock['limits']> = {}) =>
    planFor({
      images: [image],
      targets: [{ ...DEBIAN, target, sizeGib: undefined }],
      limits: { ...ROOMY, ...limits },
      holdings
    }).create.map(({ snapshotId }) => snapshotId)

  it('are used in turn', () => {
    assert.deepEqual(used([], 6), ['a', 'b', 'c', 'a', 'b', 'c'])
  })

  it('are used by how many volumes each is making, then by how many were made of it', () => {
    assert.deepEqual(used([holding({ snapshotId: 'a', status: 'creating' })], 4), ['b', 'c', 'a'])
    assert.deepEqual(used([holding({ snapshotId: 'a' }), holding({ snapshotId: 'b' })], 3), ['c'])
  })

  it('are used unless they are gone', () => {
    const half = anImage({ ...image, goneSnapshotIds: ['a'] })
    const plan = planFor({ images: [half], targets: [{ ...DEBIAN, target: 3, sizeGib: undefined }] })
    assert.deepEqual(
      plan.create.map(({ snapshotId }) => snapshotId),
      ['b', 'c', 'b']
    )
    assert.equal(snapshotInTurn(half, []), 'b')
  })

  it('each make creating_max_per_snapshot at once', () => {
    assert.deepEqual(used([], 9, { creatingMaxPerSnapshot: 2 }), ['a', 'b', 'c', 'a', 'b', 'c'])
  })

  it('also serve claims that found no spare in turn, whatever the limits', () => {
    const holdings = [holding({ snapshotId: 'a', status: 'creating' }), holding({ snapshotId: 'b' })]
    assert.equal(snapshotInTurn(image, holdings), 'c')
    assert.equal(snapshotInTurn(image, []), 'a')
    assert.equal(snapshotInTurn(anImage(), holdings), 'snapshot')
  })
})

describe('pools that the configuration does not name', () => {
  const TARGET = { ...DEBIAN, target: 5, sizeGib: undefined }
  const leftover = { os: 'alma9', type: 'ssd' }
  const unknown = holding({ os: '', type: '', status: 'retiring' })

  it('are shown after those that it names, with target 0, for as long as they have spares', () => {
    const holdings = [holding(), holding({ ...leftover, status: 'retiring' }), holding(leftover), unknown]
    assert.deepEqual(poolsOf([TARGET], holdings), [
      TARGET,
      { ...leftover, target: 0, sizeGib: undefined, isLeftover: true }
    ])
    assert.deepEqual(poolsOf([TARGET], [holding(), unknown]), [TARGET])
  })

  it('miss nothing, and want no image', () => {
    const states = [{ ...aPoolState({ paused: true }), ...leftover }]
    const plan = planFor({
      targets: poolsOf([], [holding(leftover)]),
      states,
      images: [],
      holdings: [holding(leftover)]
    })
    assert.deepEqual([plan.missing, creates(plan), plan.heldBackBy, conditionOf(plan)], [0, 0, undefined, 'full'])
  })
})

describe('back-off', () => {
  it('doubles with each failure in a row, from ten seconds to five minutes', () => {
    assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 100].map(backoffSeconds), [10, 20, 40, 80, 160, 300, 300, 300])
  })
})

describe('a pool’s condition', () => {
  const condition = (differs: Partial<Stock>) => conditionOf(planFor(differs))
  const backingOff = [aPoolState({ failures: 1, retryAt: noon(1) })]

  it.for([
    ['full', 'the whole target can be handed out', { holdings: [holding({ count: 5 })] }],
    ['full', 'nothing is wanted', { targets: [{ ...DEBIAN, target: 0, sizeGib: undefined }] }],
    ['filling', 'some of it can', { holdings: [holding({ count: 4 })] }],
    ['filling', 'the rest is on its way', { holdings: [holding({ count: 4 }), holding({ status: 'creating' })] }],
    ['empty', 'none of it can', { holdings: [holding({ count: 5, status: 'creating' })] }],
    ['empty', 'all of it is stale', { holdings: [holding({ count: 5, snapshotId: 'old' })] }],
    ['backing_off', 'its creations fail', { states: backingOff }],
    ['full', 'it is, though creations failed', { states: backingOff, holdings: [holding({ count: 5 })] }],
    ['paused', 'an operator said so', { states: [aPoolState({ paused: true })], holdings: [holding({ count: 5 })] }],
    ['no_image', 'no snapshot is known', { images: [] }],
    [
      'image_gone',
      'its snapshot was deleted, whatever it holds',
      { images: [anImage({ goneSnapshotIds: ['snapshot'] })], holdings: [holding({ count: 5 })] }
    ],
    [
      'paused',
      'an operator said so, and its snapshot was deleted',
      { images: [anImage({ goneSnapshotIds: ['snapshot'] })], states: [aPoolState({ paused: true })] }
    ]
  ] as const)('is %s when %s', ([expected, , differs]) => {
    assert.equal(condition({ ...differs, holdings: 'holdings' in differs ? [...differs.holdings] : [] }), expected)
  })
})

// ---- What always holds, over random stocks ---------------------------------------------------------------------------

const POOLS = ['a', 'b', 'c'].map(os => ({ os, type: 'ssd' }))
const SNAPSHOTS = ['a1', 'a2', 'b1', 'b2', 'c1', 'old']

const anyHolding = record({
  pool: constantFrom(...POOLS),
  snapshotId: constantFrom(...SNAPSHOTS),
  status: constantFrom(...SPARE_STATUSES),
  kept: boolean(),
  made: boolean(),
  count: integer({ min: 1, max: 5 })
}).map(({ pool, made, count, ...rest }): Holding => {
  const unfinished = rest.status === 'requested' || rest.status === 'creating'
  const making = unfinished || (rest.status === 'reserved' && !made)
  return { ...pool, ...rest, count, making, sizeGib: 20 * count }
})

const anyImages = tuple(
  uniqueArray(constantFrom(...POOLS), { selector: ({ os }) => os }),
  uniqueArray(constantFrom('a1', 'a2', 'b1', 'c1'), { maxLength: 3 })
).map(([pools, gone]) =>
  pools.map(pool =>
    anImage({
      ...pool,
      id: pool.os,
      snapshotId: `${pool.os}1`,
      replicaSnapshotIds: pool.os === 'c' ? [] : [`${pool.os}2`],
      goneSnapshotIds: gone.filter(id => id.startsWith(pool.os)),
      volumeType: pool.os === 'a' ? 'ceph-sas' : 'ceph-ssd'
    })
  )
)

const anyState = record({ paused: constantFrom(false, false, true), wait: constantFrom(undefined, -1, 0, 1) })

const anyQuota = option(
  record(
    {
      volumes: integer({ min: -1, max: 12 }),
      gigabytes: integer({ min: -20, max: 400 }),
      'volumes_ceph-ssd': integer({ min: -1, max: 12 }),
      'gigabytes_ceph-sas': integer({ min: -20, max: 400 })
    },
    { requiredKeys: [] }
  ),
  { nil: undefined }
)

const anyStock = record({
  targets: array(nat(8), { minLength: 3, maxLength: 3 }),
  sizes: array(constantFrom(undefined, 10, 30), { minLength: 3, maxLength: 3 }),
  images: anyImages,
  states: array(anyState, { minLength: 3, maxLength: 3 }),
  holdings: array(anyHolding, { maxLength: 8 }),
  creatingMax: nat(12),
  creatingMaxPerSnapshot: nat(6),
  budgetGib: option(nat(600), { nil: undefined }),
  quota: anyQuota
}).map(
  (any): Stock => ({
    targets: POOLS.map((pool, n) => ({ ...pool, target: any.targets[n] ?? 0, sizeGib: any.sizes[n] })),
    limits: {
      creatingMax: any.creatingMax,
      creatingMaxPerSnapshot: any.creatingMaxPerSnapshot,
      budgetGib: any.budgetGib
    },
    images: any.images,
    states: any.states.map(({ paused, wait }, n) =>
      aPoolState({ ...POOLS[n], paused, retryAt: wait === undefined ? undefined : noon(wait) })
    ),
    holdings: any.holdings,
    quota: any.quota && new Map(Object.entries(any.quota)),
    now: NOON
  })
)

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
const RUNS = { numRuns: 1000 }

/** All volumes that a plan asks for, with the stock that it was drawn up for. */
function always(holds: (stock: Stock, plans: PoolPlan[], created: PoolPlan['create']) => void): void {
  check(
    property(anyStock, stock => {
      const plans = planReplenishment(stock)
      holds(
        stock,
        plans,
        plans.flatMap(({ create }) => create)
      )
    }),
    RUNS
  )
}

describe('whatever the stock, a plan', () => {
  it('never takes what is held and in flight over the target', () =>
    always((stock, plans) => {
      for (const plan of plans) {
        const image = stock.images.find(one => samePool(one, plan))
        const ours = stock.holdings.filter(one => samePool(one, plan))
        const before = countOf(ours.filter(one => isInFlight(one) || isHeld(one, image)))
        assert.ok(creates(plan) === 0 || before + creates(plan) <= plan.target)
        assert.equal(plan.held + plan.inFlight, before)
        assert.equal(plan.missing, Math.max(0, plan.target - before))
      }
    }))

  it('never takes what is being made over creating_max', () =>
    always(({ holdings, limits }, _plans, created) => {
      const before = countOf(holdings.filter(({ making }) => making))
      assert.ok(created.length === 0 || before + created.length <= limits.creatingMax)
    }))

  it('never takes what is being made of one snapshot over creating_max_per_snapshot', () =>
    always(({ holdings, limits }, _plans, created) => {
      for (const id of SNAPSHOTS) {
        const before = countOf(holdings.filter(({ making, snapshotId }) => making && snapshotId === id))
        const more = created.filter(({ snapshotId }) => snapshotId === id).length
        assert.ok(more === 0 || before + more <= limits.creatingMaxPerSnapshot)
      }
    }))

  it('never takes all that exists over the budget', () =>
    always(({ holdings, limits }, _plans, created) => {
      const before = sum(holdings.map(({ sizeGib }) => sizeGib))
      const more = sum(created.map(({ sizeGib }) => sizeGib))
      assert.ok(more === 0 || before + more <= (limits.budgetGib ?? Number.POSITIVE_INFINITY))
    }))

  it('never asks for more than the quota leaves', () =>
    always(({ quota }, _plans, created) => {
      for (const [resource, left] of quota ?? []) {
        const [what, type] = resource.split('_')
        const counted = created.filter(({ image }) => type === undefined || image.volumeType === type)
        const used = what === 'volumes' ? counted.length : sum(counted.map(({ sizeGib }) => sizeGib))
        assert.ok(used === 0 || used <= left, `${used} of ${left} ${resource}`)
      }
    }))

  it('asks for volumes of current snapshots that are there only, each for its own pool and large enough', () =>
    always((stock, plans) => {
      for (const plan of plans) {
        const image = stock.images.find(one => samePool(one, plan))
        for (const creation of plan.create) {
          assert.ok(samePool(creation, plan) && image && usableSnapshotIds(image).includes(creation.snapshotId))
          assert.ok(creation.sizeGib >= (image?.sizeGib ?? 0))
        }
      }
    }))

  it('asks for all that is missing, or names what holds it back, rightly', () =>
    always((stock, plans, created) => {
      for (const plan of plans) {
        const poolState = stock.states.find(one => samePool(one, plan))
        const image = stock.images.find(one => samePool(one, plan))
        assert.equal(plan.heldBackBy === 'paused', poolState?.paused)
        if (poolState?.paused) continue
        assert.equal(plan.heldBackBy === 'no_image', image === undefined)
        if (!image) continue
        assert.equal(plan.heldBackBy === 'image_gone', isGone(image))
        if (isGone(image)) continue
        const waits = poolState?.retryAt !== undefined && poolState.retryAt > stock.now
        assert.equal(plan.heldBackBy === 'backing_off', waits)
        if (waits) continue
        assert.equal(plan.heldBackBy === undefined, creates(plan) === plan.missing)
        const making = countOf(stock.holdings.filter(one => one.making)) + created.length
        if (plan.heldBackBy === 'creating_max') assert.ok(making >= stock.limits.creatingMax)
        if (plan.heldBackBy === 'creating_max_per_snapshot') assert.ok(snapshotsAreBusy(stock, image, created))
        if (plan.heldBackBy === 'budget') assert.notEqual(stock.limits.budgetGib, undefined)
        if (plan.heldBackBy === 'quota') assert.notEqual(stock.quota, undefined)
      }
    }))

  it('says why in words, and shows a condition that fits', () =>
    always((_stock, plans) => {
      for (const plan of plans) {
        assert.ok(reasonOf(plan).length > 0)
        const condition = conditionOf(plan)
        if (condition === 'full') assert.ok(plan.held >= plan.target)
        if (condition === 'empty') assert.equal(plan.held, 0)
      }
    }))

  it('has nothing left to ask for once it was carried out, but for its limits', () =>
    always((stock, plans, created) => {
      const made = created.map(
        ({ os, type, snapshotId, sizeGib }): Holding => ({
          os,
          type,
          snapshotId,
          sizeGib,
          status: 'requested',
          kept: false,
          making: true,
          count: 1
        })
      )
      const quota = stock.quota && left(stock.quota, created)
      const again = planReplenishment({ ...stock, holdings: [...stock.holdings, ...made], quota })
      assert.deepEqual(
        again.map(creates),
        plans.map(() => 0)
      )
      assert.deepEqual(
        again.map(({ heldBackBy }) => heldBackBy === undefined),
        plans.map(({ heldBackBy }) => heldBackBy === undefined)
      )
    }))
})

/** Each of the image's snapshots makes as many volumes as it may. */
function snapshotsAreBusy(
  { holdings, limits }: Stock,
  image: PoolPlan['create'][number]['image'],
  created: PoolPlan['create']
): boolean {
  return usableSnapshotIds(image).every(id => {
    const before = countOf(holdings.filter(({ making, snapshotId }) => making && snapshotId === id))
    return before + created.filter(({ snapshotId }) => snapshotId === id).length >= limits.creatingMaxPerSnapshot
  })
}

/** The quota once the plan's volumes exist. */
function left(quota: NonNullable<Stock['quota']>, created: PoolPlan['create']): Map<string, number> {
  const after = [...quota].map(([resource, before]): [string, number] => {
    const [what, type] = resource.split('_')
    const counted = created.filter(({ image }) => type === undefined || image.volumeType === type)
    return [resource, before - (what === 'volumes' ? counted.length : sum(counted.map(({ sizeGib }) => sizeGib)))]
  })
  return new Map(after)
}
