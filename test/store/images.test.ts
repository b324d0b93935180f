import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { PURGES, type Purge } from '../../src/pool/stores.ts'
import { aCreation, anImage, aSpare, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, held, rivals } from '../support/store.ts'

const RIVALS = 20
const { claims, spares, images, open, opened, stock, rows, statusOf } = await aStore(RIVALS)

const OLD = anImage({ snapshotId: 'old', version: '1' })
const NEW = anImage({ snapshotId: 'new', version: '2' })
const statuses = async () =>
  Object.fromEntries(
    (await rows<{ status: string; count: number }>('select status, count(*) from backup_volumes group by 1')).map(
      ({ status, count }) => [status, count]
    )
  )

describe('table os', () => {
  it('gives back the images as they were put in, by os and type', async () => {
    const others = [anImage({ type: 'sas', replicaSnapshotIds: ['a', 'b'] }), anImage({ os: 'arch' })]
    await images.add([NEW, ...others])
    assert.deepEqual(await images.list(), [others[1], others[0], NEW])
    assert.deepEqual(await images.find(DEBIAN), NEW)
    assert.equal(await images.find({ os: 'debian12', type: 'nvme' }), undefined)
  })

  it('keeps the image that it has when another is added for the same os and type', async () => {
    await images.add([OLD])
    await images.add([NEW])
    assert.deepEqual(await images.list(), [OLD])
  })

  it('is added to by rivals without an error', async () => {
    await rivals(RIVALS, () => images.add([anImage()]))
    assert.equal((await images.list()).length, 1)
  })
})

/** A spare of the new image's snapshot in stock, and of the old one's one in stock, on its way, and of a claim. */
async function aMixedStock(): Promise<void> {
  await images.add([OLD])
  await spares.adopt(aSpare({ snapshotId: 'old', createdAt: noon(-2) }))
  assert.ok((await open())?.spare) // The claim has that one.
  await spares.adopt(aSpare({ snapshotId: 'new' }))
  await spares.adopt(aSpare({ snapshotId: 'old' }))
  await spares.request(() => [aCreation(OLD)], newId, NOON)
}

describe('replacing the images', () => {
  it.for([
    ['all', 3, { reserved: 1, retiring: 3 }],
    ['stale', 2, { available: 1, reserved: 1, retiring: 2 }],
    ['none', 0, { available: 2, requested: 1, reserved: 1 }]
  ] as const)('with purge %s retires %i of the unclaimed spares', async ([purge, retired, after]) => {
    await aMixedStock()
    assert.equal(await images.replace([NEW], purge, noon(1)), retired)
    assert.deepEqual(await images.list(), [NEW])
    assert.deepEqual(await statuses(), after)
  })

  it('with purge none keeps the old stock, which is served first', async () => {
    await aMixedStock()
    await images.replace([NEW], 'none', noon(1))
    const kept = await rows<{ snapshot_id: string }>('select snapshot_id from backup_volumes where kept')
    assert.deepEqual(kept, [{ snapshot_id: 'old' }, { snapshot_id: 'old' }])
    await rows("update backup_volumes set created_at = created_at + interval '1 s' where snapshot_id = 'new'")
    assert.equal((await open({ hostname: 'web-02' }))?.spare?.snapshotId, 'old')
  })

  it('with purge stale retires what an earlier sync had kept', async () => {
    await aMixedStock()
    await images.replace([NEW], 'none', noon(1))
    assert.equal(await images.replace([NEW], 'stale', noon(2)), 2)
  })

  it('with none at all empties the table, and with purge stale all stock', async () => {
    await aMixedStock()
    assert.equal(await images.replace([], 'stale', noon(1)), 3)
    assert.deepEqual(await images.list(), [])
  })

  it('leaves everything as it was when it cannot be finished', async () => {
    await aMixedStock()
    const before = await statuses()
    await assert.rejects(images.replace([NEW, anImage({ os: '' })], 'all', noon(1)))
    assert.deepEqual(await images.list(), [OLD])
    assert.deepEqual(await statuses(), before)
  })

  it('happens one after the other, so that rivals leave one whole set', async () => {
    const sets = Array.from({ length: RIVALS }, (_, n) =>
      ['ssd', 'sas'].map(type => anImage({ type, snapshotId: `${n}`, version: `${n}` }))
    )
    await Promise.all(sets.map(set => images.replace(set, 'all', NOON)))
    const left = await images.list()
    assert.equal(left.length, 2)
    assert.equal(left[0]?.version, left[1]?.version)
  })

  it.for(PURGES)(
    'with purge %s while claims race: each spare is given to one claim or retired or kept, none both',
    async purge => {
      const old = await stock(10, OLD)
      const racing = rivals(RIVALS - 1, n => open({ hostname: `web-${n}` }))
      const [opened, retired] = await Promise.all([racing, replaceSoon(purge)])
      const given = opened.flatMap(opening => opening?.spare?.id ?? [])
      assert.equal(new Set(given).size, given.length)
      for (const id of given) assert.equal(await statusOf(id), 'reserved')
      const rest = old.map(({ id }) => id).filter(id => !given.includes(id))
      for (const id of rest) assert.equal(await statusOf(id), purge === 'none' ? 'available' : 'retiring')
      assert.equal(retired, purge === 'none' ? 0 : rest.length)
      const later = await open({ hostname: 'later' })
      assert.equal(later?.spare !== undefined, purge === 'none' && rest.length > 0)
    }
  )

  it('leaves a claim’s spare to be put back, to be retired by the next look', async () => {
    await stock(1, OLD)
    const { claim, spare } = await opened()
    await images.replace([NEW], 'all', noon(1))
    await spares.putBack(spare?.id ?? '', held(claim.id), noon(2))
    await claims.forget(held(claim.id))
    assert.equal((await open())?.spare, undefined) // Not handed out meanwhile.
    assert.equal(await spares.retireStale(noon(3)), 1)
  })
})

describe('a snapshot that is gone', () => {
  const TWO = anImage({ snapshotId: 'a', replicaSnapshotIds: ['b'] })
  const gone = async () => (await images.find(DEBIAN))?.goneSnapshotIds

  it('is noted with the image that has it, once, by one of rivals', async () => {
    await images.add([TWO, anImage({ type: 'sas' })])
    const news = await rivals(RIVALS, () => images.noteGone('b'))
    assert.deepEqual([news.filter(Boolean).length, await gone()], [1, ['b']])
    assert.equal(await images.noteGone('of nobody'), false)
  })

  it('is forgotten when it is there again, and those are left alone that no image has', async () => {
    await images.add([TWO])
    assert.equal(await images.setGone(['a', 'b', 'of nobody']), true)
    assert.deepEqual(await gone(), ['a', 'b'])
    assert.equal(await images.setGone(['b', 'a']), false)
    assert.equal(await images.setGone(['b']), true)
    assert.deepEqual([await gone(), await images.setGone([])], [['b'], true])
    assert.deepEqual(await gone(), [])
  })

  it('makes way for the next once all of its image are, and the stock of that pool for its spares', async () => {
    await stock(2, { ...OLD, goneSnapshotIds: ['old'] })
    const other = aSpare({ type: 'sas', snapshotId: 'older' })
    await spares.adopt(other)
    await images.add([anImage({ type: 'sas' })])
    assert.equal(await images.replaceGone([NEW, anImage({ type: 'sas', snapshotId: 'other' })], noon(9)), 2)
    const { id, createdAt } = OLD
    assert.deepEqual(await images.find(DEBIAN), { ...NEW, id, createdAt, updatedAt: noon(9) })
    assert.equal((await images.find(other))?.snapshotId, 'snapshot')
    assert.deepEqual([await statuses(), await statusOf(other.id)], [{ available: 1, retiring: 2 }, 'available'])
  })

  it('makes no way while another of its image is left', async () => {
    await images.add([{ ...TWO, goneSnapshotIds: ['a'] }])
    assert.equal(await images.replaceGone([NEW], NOON), 0)
    assert.equal((await images.find(DEBIAN))?.snapshotId, 'a')
  })
})

const replaceSoon = async (purge: Purge): Promise<number> => await images.replace([NEW], purge, noon(1))
