import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { Claim } from '../../src/pool/claim.ts'
import { mayBecome, SPARE_STATUSES, type Spare, type SpareStatus } from '../../src/pool/spare.ts'
import { aCreation, aLease, anImage, aSpare, DEBIAN, given, NOON, noon } from '../support/samples.ts'
import { aStore, HOLDER, held, rivals } from '../support/store.ts'

const RIVALS = 20
const TRANSFER = { id: 'transfer', sealedKey: 'sealed' }
const store = await aStore(RIVALS)
const { claims, spares, images, pools, open, opened, making, stock, rows, statusOf, overlapping, takeOver } = store

/** By Cinder, and nothing is to be armed. */
const finish = (id: string, at: Date, claimId?: string): Promise<Spare[]> =>
  spares.noteFinished([{ id, toArm: false, claimId }], noon(99), at)

const aClaim = async (hostname = 'web-01'): Promise<Claim> => (await opened({ hostname })).claim

/** A spare in a status, by the way that leads there. */
async function aSpareIn(status: SpareStatus, hostname = 'web-01'): Promise<Spare> {
  if (status === 'reserved') {
    const claim = await aClaim(hostname)
    const spare = await spares.requestFor(claim.id, aCreation(), newId(), NOON)
    assert.ok(spare)
    return spare
  }
  if (status === 'requested') {
    const [spare] = await spares.request(() => [aCreation()], newId, NOON)
    assert.ok(spare)
    return spare
  }
  const spare = await making()
  if (status === 'available') await finish(spare.id, NOON)
  if (status === 'retiring') await spares.retire(spare.id, 'creating', NOON)
  assert.equal(await statusOf(spare.id), status)
  return spare
}

describe('reserving the oldest spare', () => {
  it('goes by age, then by id', async () => {
    await images.add([anImage()])
    const ids = [newId(), newId()].toSorted()
    await spares.adopt(aSpare({ id: ids[1] ?? '' }))
    await spares.adopt(aSpare({ id: ids[0] ?? '' }))
    const old = aSpare({ createdAt: noon(-1) })
    await spares.adopt(old)
    const order = []
    for (const hostname of ['a', 'b', 'c']) order.push((await open({ hostname }))?.spare?.id)
    assert.deepEqual(order, [old.id, ...ids])
  })

  it('gives five spares to five of twenty rival claims, each its own', async () => {
    const waiting = await rivals(RIVALS, n => aClaim(`web-${n}`))
    const five = await stock(5)
    const reserved = await Promise.all(waiting.map(({ id }) => spares.reserveOldest(id, DEBIAN, NOON)))
    const ids = reserved.flatMap(spare => spare?.id ?? [])
    assert.deepEqual(ids.toSorted(), five.map(({ id }) => id).toSorted())
  })

  it('gives one claim one spare, however often it is asked for', async () => {
    const claim = await aClaim()
    await stock(3)
    assert.ok(await spares.reserveOldest(claim.id, DEBIAN, NOON))
    assert.equal(await spares.reserveOldest(claim.id, DEBIAN, NOON), undefined)
  })

  it('gives one claim one spare, of twenty rival requests for it', async () => {
    const claim = await aClaim()
    await stock(RIVALS)
    const reserved = await rivals(RIVALS, () => spares.reserveOldest(claim.id, DEBIAN, NOON))
    assert.equal(reserved.filter(spare => spare !== undefined).length, 1)
    assert.equal((await spares.list({ status: 'reserved', limit: 100 })).rows.length, 1)
  })

  it('gives none to a claim that is settled or no more', async () => {
    const claim = await aClaim()
    await claims.settle(held(claim.id), given('volume', { source: 'existing' }), NOON)
    await stock(1)
    assert.equal(await spares.reserveOldest(claim.id, DEBIAN, NOON), undefined)
    assert.equal(await spares.reserveOldest(newId(), DEBIAN, NOON), undefined)
  })

  it('passes over a spare that a rival is taking, instead of waiting for it', async () => {
    const claim = await aClaim()
    const [oldest, next] = await stock(2)
    await store.db.transaction(async tx => {
      await tx.raw('select from backup_volumes where id = ? for update', [oldest?.id ?? ''])
      assert.equal((await spares.reserveOldest(claim.id, DEBIAN, NOON))?.id, next?.id)
    })
  })

  it.for([
    ['of a snapshot that is no longer current', { snapshotId: 'old' }, false],
    ['of such a snapshot, kept by a sync', { snapshotId: 'old', kept: true }, true],
    ['of a replica of the snapshot', { snapshotId: 'replica' }, true],
    ['of another os', { os: 'debian13' }, false],
    ['of another type', { type: 'sas' }, false],
    ['that is retiring', { status: 'retiring' }, false]
  ] as const)('hands out a spare %s: %s', async ([, differs, handsOut]) => {
    await images.add([anImage({ replicaSnapshotIds: ['replica'] })])
    const spare = aSpare(differs)
    await spares.adopt(spare)
    if (spare.kept) await rows('update backup_volumes set kept = true')
    assert.equal((await open())?.spare !== undefined, handsOut)
  })

  it('hands out nothing of an image that is no more', async () => {
    await stock(1)
    await rows('delete from os')
    assert.equal((await open())?.spare, undefined)
  })
})

describe('a status that has moved is an outcome, not an error', () => {
  it.for(SPARE_STATUSES)('putting back a spare that is %s', async status => {
    const spare = await aSpareIn(status)
    assert.equal(await spares.putBack(spare.id, held(spare.claimId), noon(1)), undefined) // The reserved one was never in stock.
    assert.equal(await statusOf(spare.id), status)
  })

  it('putting back a reserved spare puts it into stock as it was', async () => {
    const [spare] = await stock(1)
    const { id } = await aClaim()
    assert.ok(spare)
    assert.deepEqual(await spares.putBack(spare.id, held(id), noon(1)), { ...spare, updatedAt: noon(1) })
    const [after] = (await spares.list({ limit: 10 })).rows
    assert.deepEqual(after, { ...spare, updatedAt: noon(1) })
    assert.equal(await spares.putBack(spare.id, held(id), noon(1)), undefined)
  })

  const MOVES = SPARE_STATUSES.flatMap(is => SPARE_STATUSES.map(from => [is, from] as const))

  it.for(MOVES.filter(([, from]) => mayBecome(from, 'retiring')))(
    'retiring one that is %s as if it were %s',
    async ([is, from]) => {
      const spare = await aSpareIn(is)
      assert.equal(await spares.retire(spare.id, from, noon(1)), is === from)
      assert.equal(await statusOf(spare.id), is === from ? 'retiring' : is)
    }
  )

  it.for(MOVES)('dropping one that is %s as if it were %s', async ([is, from]) => {
    const spare = await aSpareIn(is)
    assert.equal(await spares.drop(spare.id, from), is === from)
    assert.equal(await statusOf(spare.id), is === from ? undefined : is)
  })

  it.for([
    ['requested', false],
    ['creating', true],
    ['available', false],
    ['reserved', true],
    ['retiring', false]
  ] as const)('giving up one that is %s: %s', async ([is, given]) => {
    const spare = await aSpareIn(is)
    assert.equal(await spares.retireUnfinished(spare.id, noon(1), noon(20)), given)
    assert.equal(await statusOf(spare.id), given ? 'retiring' : is)
  })

  it('giving up one that is finished and being handed over', async () => {
    await stock(1)
    const spare = await spares.ofClaim((await aClaim()).id)
    assert.equal(await spares.retireUnfinished(spare?.id ?? '', noon(1), noon(20)), false)
    assert.equal(spare?.status, 'reserved')
  })

  it('retiring what is retiring is a mistake in the program', async () => {
    await assert.rejects(spares.retire(newId(), 'retiring', NOON), /may not become retiring/)
  })

  it('retiring a reserved spare takes it from its claim', async () => {
    const spare = await aSpareIn('reserved')
    assert.ok(await spares.retire(spare.id, 'reserved', noon(1)))
    assert.equal(await spares.ofClaim(spare.claimId ?? ''), undefined)
  })

  it('noting a transfer, putting back or retiring for a claim that had the spare before another one', async () => {
    const [spare] = await stock(1)
    assert.ok(spare)
    const before = await aClaim('web-01')
    assert.equal(await spares.noteTransfer(spare.id, held(before.id), TRANSFER, noon(1)), true)
    assert.ok(await spares.putBack(spare.id, held(before.id), noon(1)))
    const claim = await aClaim('web-02')
    assert.equal(await spares.noteTransfer(spare.id, held(before.id), undefined, noon(2)), false)
    assert.equal(await spares.putBack(spare.id, held(before.id), noon(2)), undefined)
    assert.equal(await spares.retire(spare.id, 'reserved', noon(2), held(before.id)), false)
    assert.deepEqual((await spares.ofClaim(claim.id))?.transfer, TRANSFER)
  })

  it('what somebody does to a claim’s spare who has lost its lease', async () => {
    const [spare] = await stock(1)
    const { id: claimId } = await aClaim()
    assert.ok(spare && (await spares.ofClaim(claimId)))
    assert.ok(await takeOver(claimId, aLease(60), noon(11)))
    const lost = held(claimId)
    assert.equal(await spares.noteTransfer(spare.id, lost, TRANSFER, noon(12)), false)
    assert.equal(await spares.putBack(spare.id, lost, noon(12)), undefined)
    assert.equal(await spares.retire(spare.id, 'reserved', noon(12), lost), false)
    assert.equal((await spares.ofClaim(claimId))?.status, 'reserved')
    await spares.drop(spare.id, 'reserved')
    assert.equal(await claims.forget(lost), false)
  })

  it('what somebody does to a claim’s spare in the instant in which he loses its lease', async () => {
    const [spare] = await stock(1)
    assert.ok(spare)
    const { id: claimId } = await aClaim()
    let back: Spare | undefined
    await overlapping(
      on => on.claims.resume(claimId, aLease(21), noon(11), { holder: HOLDER, until: noon(10) }),
      async on => {
        back = await on.spares.putBack(spare.id, held(claimId), noon(11))
      }
    )
    assert.deepEqual([back, await statusOf(spare.id)], [undefined, 'reserved'])
  })

  it('arming a spare whose arming ends later than any could, as when the database’s clock was set back since', async () => {
    const { id } = await aSpareIn('creating')
    const start = async (until: Date, at: Date) =>
      (await spares.noteFinished([{ id, toArm: true }], until, at)).map(spare => spare.id)
    assert.deepEqual(await start(noon(3610), noon(3600)), [id])
    assert.deepEqual(await start(noon(3606), noon(3596)), [])
    assert.deepEqual(await start(noon(10), NOON), [id])
    assert.deepEqual(await start(noon(3610), noon(3600)), [id])
    assert.equal(await spares.retireUnfinished(id, noon(3599), noon(3609)), false)
    assert.equal(await spares.retireUnfinished(id, NOON, noon(10)), true)
  })

  it('arming a spare that somebody else arms, until his time is up or he has done nothing', async () => {
    const { id } = await aSpareIn('creating')
    const start = async (until: Date, at: Date) =>
      (await spares.noteFinished([{ id, toArm: true }], until, at)).map(spare => spare.id)
    assert.deepEqual(await start(noon(10), NOON), [id])
    assert.deepEqual(await start(noon(20), noon(9)), [])
    assert.deepEqual(await start(noon(20), noon(11)), [id])
    await spares.stopArming([id])
    assert.deepEqual(await start(noon(20), noon(12)), [id])
    assert.equal((await spares.noteArmed(id, TRANSFER, noon(13)))?.status, 'available')
    assert.deepEqual(await start(noon(40), noon(30)), [])
    assert.equal(await spares.unstock(id, noon(14)), true)
    assert.equal(await spares.unstock(id, noon(14)), false)
    assert.deepEqual(await start(noon(40), noon(14)), [id])
  })

  it('giving up a spare that is being armed', async () => {
    const { id } = await aSpareIn('creating')
    await spares.noteFinished([{ id, toArm: true }], noon(10), NOON)
    assert.equal(await spares.retireUnfinished(id, noon(9), noon(20)), false)
    assert.equal(await spares.retireUnfinished(id, noon(11), noon(20)), true)
    assert.equal(await spares.noteArmed(id, TRANSFER, noon(12)), undefined)
  })

  it('retiring and reserving the same spares at once: each goes one way', async () => {
    const all = await stock(10)
    const waiting = await rivals(10, n => aClaim(`web-${n}`)) // They have reserved all of them.
    for (const { id, claimId } of (await spares.list({ limit: 10 })).rows) await spares.putBack(id, held(claimId), NOON)
    const [retired, taken] = await Promise.all([
      Promise.all(all.map(({ id }) => spares.retire(id, 'available', NOON))),
      Promise.all(waiting.map(({ id }) => spares.reserveOldest(id, DEBIAN, NOON)))
    ])
    const reserved = taken.flatMap(spare => spare?.id ?? [])
    const gone = all.filter((_, n) => retired[n]).map(({ id }) => id)
    assert.deepEqual(
      reserved.filter(id => gone.includes(id)),
      []
    )
    for (const id of gone) assert.equal(await statusOf(id), 'retiring')
    for (const id of reserved) assert.equal(await statusOf(id), 'reserved')
  })
})

describe('a volume on its way', () => {
  it('is noted once for a spare that waits for one', async () => {
    const spare = await aSpareIn('requested')
    const noted = await spares.noteVolume(spare.id, 'volume', noon(1))
    assert.deepEqual([noted?.status, noted?.volumeId], ['creating', 'volume'])
    assert.equal(await spares.noteVolume(spare.id, 'other', noon(2)), undefined)
    assert.equal(await spares.noteVolume(newId(), 'other', noon(2)), undefined)
  })

  it('is noted for a spare that was retired meanwhile, so that it is deleted', async () => {
    const spare = await aSpareIn('requested')
    await spares.retire(spare.id, 'requested', NOON)
    assert.equal((await spares.noteVolume(spare.id, 'volume', noon(1)))?.status, 'retiring')
    assert.deepEqual(
      (await spares.nextRetired(10, noon(2))).map(({ volumeId }) => volumeId),
      ['volume']
    )
  })

  it('is requested, creating, reserved and unfinished, or retired before Cinder’s answer was known; the oldest first', async () => {
    const [requested, creating, reserved] = [
      await aSpareIn('requested'),
      await aSpareIn('creating'),
      await aSpareIn('reserved')
    ]
    await aSpareIn('available')
    await aSpareIn('retiring')
    const lost = await aSpareIn('requested')
    await spares.retire(lost.id, 'requested', NOON)
    await rows('update backup_volumes set created_at = :at where id = :id', { at: noon(-1), id: lost.id })
    const onTheirWay = await spares.onTheirWay()
    const found = onTheirWay.spares.map(({ id }) => id)
    assert.equal(onTheirWay.anyToDelete, true)
    assert.equal(found[0], lost.id)
    assert.deepEqual(found.toSorted(), [requested, creating, reserved, lost].map(({ id }) => id).toSorted())
  })
})

describe('noting finished volumes', () => {
  it('puts them into stock, and remembers how long each took', async () => {
    const spare = await aSpareIn('creating')
    const [after] = await finish(spare.id, noon(14))
    assert.deepEqual([after?.status, after?.availableAt, after?.createdAt], ['available', noon(14), NOON])
    assert.deepEqual(await rows('select os, type, seconds, at from lead_times'), [
      { ...DEBIAN, seconds: 14, at: noon(14) }
    ])
  })

  it('leaves those on their way that are to be armed, finished all the same, until they are', async () => {
    const { id } = await aSpareIn('creating')
    const [finished] = await spares.noteFinished([{ id, toArm: true }], noon(99), noon(14))
    assert.deepEqual([finished?.status, finished?.availableAt], ['creating', noon(14)])
    assert.deepEqual(
      (await spares.stock()).holdings.map(({ making, count }) => [making, count]),
      [[false, 1]]
    )
    const armed = await spares.noteArmed(id, TRANSFER, noon(15))
    assert.deepEqual([armed?.status, armed?.availableAt, armed?.transfer], ['available', noon(14), TRANSFER])
    assert.equal((await rows<{ seconds: number }>('select seconds from lead_times'))[0]?.seconds, 14)
    assert.equal(await spares.noteArmed(id, undefined, noon(16)), undefined)
  })

  it('arms none that is not finished', async () => {
    const { id } = await aSpareIn('creating')
    assert.equal(await spares.noteArmed(id, TRANSFER, noon(15)), undefined)
  })

  it('changes nothing a second time', async () => {
    const spare = await aSpareIn('creating')
    await finish(spare.id, noon(14))
    assert.deepEqual(await finish(spare.id, noon(20)), [])
    assert.deepEqual((await spares.list({ limit: 1 })).rows[0]?.availableAt, noon(14))
    assert.equal((await rows('select * from lead_times')).length, 1)
  })

  it('happens once for each, of twenty rivals', async () => {
    const made = [await aSpareIn('creating'), await aSpareIn('creating')]
    const finished = made.map(({ id }) => ({ id, toArm: false }))
    const noted = await rivals(RIVALS, n =>
      spares.noteFinished(n % 2 ? finished : finished.toReversed(), noon(99), noon(14))
    )
    assert.deepEqual(
      noted
        .flat()
        .map(({ id }) => id)
        .toSorted(),
      made.map(({ id }) => id).toSorted()
    )
  })

  it('leaves a disk made for a claim reserved, ready to be handed over', async () => {
    const spare = await aSpareIn('reserved')
    await spares.noteVolume(spare.id, 'volume', NOON)
    const [after] = await finish(spare.id, noon(14), spare.claimId)
    assert.deepEqual([after?.status, after?.claimId, after?.availableAt], ['reserved', spare.claimId, noon(14)])
  })

  it('leaves a disk for a claim alone whose volume is not known', async () => {
    const spare = await aSpareIn('reserved')
    assert.deepEqual(await finish(spare.id, noon(14), spare.claimId), [])
  })

  it.for(['requested', 'retiring'] as const)('leaves alone one that is %s', async status => {
    const spare = await aSpareIn(status)
    assert.deepEqual(await finish(spare.id, noon(14)), [])
    assert.equal(await statusOf(spare.id), status)
  })

  it('ends the back-off of the pool, whatever its last error was', async () => {
    await pools.noteFailure(DEBIAN, 'no valid backend', () => noon(10))
    await pools.noteError(DEBIAN, 'no image')
    await pools.noteError(DEBIAN, undefined)
    const spare = await aSpareIn('creating')
    await finish(spare.id, noon(14))
    const [state] = (await spares.stock()).states
    assert.deepEqual([state?.failures, state?.retryAt, state?.lastError], [0, undefined, undefined])
  })

  it('takes none for granted', async () => {
    assert.deepEqual(await spares.noteFinished([], NOON, NOON), [])
    assert.deepEqual(await finish(newId(), NOON), [])
  })
})
