import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import {
  type Creation,
  countOf,
  type Limits,
  planReplenishment,
  type StoredStock
} from '../../src/pool/replenishment.ts'
import { aCreation, anImage, aPoolState, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, rivals } from '../support/store.ts'

const REPLICAS = 20
const { spares, images, pools, opened, stock, rows } = await aStore(REPLICAS)

const ROOMY: Limits = { creatingMax: 1000, creatingMaxPerSnapshot: 1000, budgetGib: undefined }

/** What every replica plans with: the same targets and limits. */
const planner = (target: number, limits: Partial<Limits> = {}) => {
  const targets = [{ ...DEBIAN, target, sizeGib: undefined }]
  return (stored: StoredStock): Creation[] =>
    planReplenishment({ ...stored, targets, limits: { ...ROOMY, ...limits }, quota: undefined, now: NOON }).flatMap(
      ({ create }) => create
    )
}

const requestAtOnce = async (plan: ReturnType<typeof planner>): Promise<number> =>
  (await rivals(REPLICAS, () => spares.request(plan, newId, NOON))).flat().length

describe('replicas that replenish at once', () => {
  it('together never pass the target', async () => {
    await stock(2)
    assert.equal(await requestAtOnce(planner(7)), 5)
    assert.equal(await requestAtOnce(planner(7)), 0)
  })

  it('together never pass creating_max', async () => {
    await images.add([anImage()])
    assert.equal(await requestAtOnce(planner(50, { creatingMax: 4 })), 4)
  })

  it('together never pass creating_max_per_snapshot', async () => {
    await images.add([anImage({ replicaSnapshotIds: ['replica'] })])
    assert.equal(await requestAtOnce(planner(50, { creatingMaxPerSnapshot: 2 })), 4)
    const made = await rows('select snapshot_id, count(*) from backup_volumes group by 1 order by 1')
    assert.deepEqual(made, [
      { snapshot_id: 'replica', count: 2 },
      { snapshot_id: 'snapshot', count: 2 }
    ])
  })

  it('together never pass the budget', async () => {
    await stock(3)
    assert.equal(await requestAtOnce(planner(50, { budgetGib: 100 })), 2)
  })

  it('each see what the others have recorded', async () => {
    await images.add([anImage()])
    const seen: number[] = []
    await rivals(REPLICAS, () =>
      spares.request(
        ({ holdings }) => {
          seen.push(countOf(holdings))
          return [aCreation()]
        },
        newId,
        NOON
      )
    )
    assert.deepEqual(
      seen,
      Array.from({ length: REPLICAS }, (_, n) => n)
    )
  })

  it('leave nothing behind of a plan that fails, and hold nobody up', async () => {
    const failing = () => {
      throw new Error('no plan')
    }
    await assert.rejects(spares.request(failing, newId, NOON), /no plan/)
    assert.equal((await spares.request(() => [aCreation()], newId, NOON)).length, 1)
  })
})

describe('what is requested', () => {
  it('is recorded with its snapshot, size and name before Cinder is asked', async () => {
    const image = anImage({ snapshotId: 'a', replicaSnapshotIds: ['b'] })
    const id = newId()
    const [spare] = await spares.request(
      () => [{ ...aCreation(image), snapshotId: 'b', sizeGib: 40 }],
      () => id,
      NOON
    )
    assert.deepEqual(spare, {
      id,
      ...DEBIAN,
      snapshotId: 'b',
      imageVersion: '20261101',
      volumeType: 'ceph-ssd',
      sizeGib: 40,
      volumeId: undefined,
      name: `spare-${id}`,
      status: 'requested',
      kept: false,
      claimId: undefined,
      transfer: undefined,
      createdAt: NOON,
      updatedAt: NOON,
      availableAt: undefined,
      armingUntil: undefined
    })
  })
})

describe('the stock', () => {
  it('is empty at first', async () => {
    assert.deepEqual(await spares.stock(), { images: [], states: [], holdings: [] })
  })

  it('counts the spares that are alike, with their sizes, and shows images and pools', async () => {
    const image = anImage({ replicaSnapshotIds: ['replica'] })
    await stock(3, image)
    await opened() // Reserves one.
    await spares.request(() => [aCreation(image), { ...aCreation(image), snapshotId: 'replica' }], newId, NOON)
    await pools.ensure([DEBIAN])
    const { images, states, holdings } = await spares.stock()
    assert.deepEqual(images, [image])
    assert.deepEqual(states, [aPoolState()])
    const common = { ...DEBIAN, snapshotId: 'snapshot', kept: false, oldestAt: undefined }
    assert.deepEqual(
      holdings.toSorted((a, b) => (a.status + a.snapshotId < b.status + b.snapshotId ? -1 : 1)),
      [
        { ...common, status: 'available', making: false, count: 2, sizeGib: 40, oldestAt: noon(-999) },
        { ...common, status: 'requested', making: true, count: 1, sizeGib: 20, snapshotId: 'replica' },
        { ...common, status: 'requested', making: true, count: 1, sizeGib: 20 },
        { ...common, status: 'reserved', making: false, count: 1, sizeGib: 20 }
      ]
    )
  })

  it('knows the oldest in stock of each kind', async () => {
    const [oldest] = await stock(3)
    const [other] = await stock(1, anImage({ type: 'sas' }))
    const { holdings } = await spares.stock()
    const oldestOf = new Map(holdings.map(({ type, oldestAt }) => [type, oldestAt]))
    assert.deepEqual([oldestOf.get('ssd'), oldestOf.get('sas')], [oldest?.createdAt, other?.createdAt])
  })

  it('counts a disk that is made for a claim as being made, and a retired one as not: it may never end', async () => {
    const { claim } = await opened()
    const id = newId()
    await spares.requestFor(claim.id, aCreation(), id, NOON)
    assert.deepEqual(
      (await spares.stock()).holdings.map(({ status, making }) => [status, making]),
      [['reserved', true]]
    )
    await spares.retire(id, 'reserved', NOON)
    assert.deepEqual(
      (await spares.stock()).holdings.map(({ status, making }) => [status, making]),
      [['retiring', false]]
    )
  })
})
