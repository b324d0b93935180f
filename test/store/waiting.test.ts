/** Claims that wait take what comes into stock, before anybody else can see it. */
import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { Claim } from '../../src/pool/claim.ts'
import type { Spare } from '../../src/pool/spare.ts'
import { aCreation, aDisk, aLease, anImage, aRequest, aSpare, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, held, rivals } from '../support/store.ts'

const RIVALS = 12
const TRANSFER = { id: 'transfer', sealedKey: 'sealed' }
const store = await aStore(RIVALS)
const { claims, spares, images, opened, making, rows, stock, statusOf, fill, takeOver } = store

const anyImage = () => images.add([anImage()])

/** Its disk is being made, and Cinder has said which. */
async function aMiss(hostname: string, sizeGib = 20, at = NOON): Promise<{ claim: Claim; made: Spare }> {
  const { claim, spare } = await opened({ hostname }, at)
  assert.equal(spare, undefined)
  assert.equal(await claims.beginCreating(claim, 'empty', 100, at), 'begun')
  const requested = await spares.requestFor(claim.id, { ...aCreation(), sizeGib }, newId(), at)
  const made = await spares.noteVolume(requested?.id ?? '', `made-for-${hostname}`, at)
  assert.ok(made)
  await claims.noteCreating(claim.id, 'empty', aDisk(made.volumeId ?? '', { sizeGib }), at)
  return { claim, made }
}

/** For stock alone. */
async function aWaiting(hostname: string, at = NOON): Promise<Claim> {
  const { claim } = await opened({ hostname, onEmpty: 'fail' }, at)
  assert.equal(await spares.reserveOrWait(claim.id, DEBIAN, at), undefined)
  return claim
}

/** Made for the stock, and to be armed. */
async function aFinished(): Promise<Spare> {
  const spare = await making()
  await spares.noteFinished([{ id: spare.id, toArm: true }], noon(99), NOON)
  return spare
}

const arm = (spare: Spare, at = noon(5)): Promise<Spare | undefined> => spares.noteArmed(spare.id, TRANSFER, at)

const holderOf = async (spare: Spare): Promise<string | null> =>
  (await rows<{ claim_id: string | null }>('select claim_id from backup_volumes where id = :id', { id: spare.id }))[0]
    ?.claim_id ?? null

describe('a spare that comes into stock', () => {
  it('goes to the claim that waits for a disk, whose own is left to the stock', async () => {
    await anyImage()
    const { claim, made } = await aMiss('a')
    const spare = await aFinished()
    const armed = await arm(spare)
    assert.deepEqual([armed?.status, armed?.claimId, armed?.transfer], ['reserved', claim.id, TRANSFER])
    const [left] = (await spares.list({ status: 'creating', limit: 9 })).rows
    assert.deepEqual([left?.id, left?.claimId, left?.availableAt], [made.id, undefined, undefined])
    const after = await claims.find(claim.id)
    assert.deepEqual([after?.status, after?.source, after?.missReason], ['creating', 'created', 'empty'])
    assert.deepEqual(after?.disk, aDisk(armed?.volumeId ?? ''))
  })

  it('leaves the claim’s own disk to nobody who still takes it for the claim’s', async () => {
    await anyImage()
    const { claim, made } = await aMiss('a')
    await arm(await aFinished())
    assert.deepEqual(
      await spares.noteFinished([{ id: made.id, toArm: false, claimId: claim.id }], noon(9), noon(9)),
      []
    )
    assert.equal(await claims.noteCreating(claim.id, 'empty', aDisk(made.volumeId ?? ''), noon(9)), undefined)
    assert.equal(await statusOf(made.id), 'creating')
  })

  it('leaves a disk that Cinder has not answered for as one that is requested', async () => {
    await anyImage()
    const { claim } = await opened()
    await claims.beginCreating(claim, 'empty', 9, NOON)
    const made = await spares.requestFor(claim.id, aCreation(), newId(), NOON)
    await arm(await aFinished())
    assert.equal(await statusOf(made?.id ?? ''), 'requested')
    assert.equal((await spares.noteVolume(made?.id ?? '', 'volume', noon(9)))?.status, 'creating')
    assert.equal(await claims.noteCreating(claim.id, 'empty', aDisk('volume'), noon(9)), undefined)
  })

  it('goes to who waits longest, whichever way, and by id where they began at once', async () => {
    await anyImage()
    const second = await aWaiting('second', noon(1))
    const first = (await aMiss('first')).claim
    const [third = '', fourth = ''] = [(await aMiss('c', 20, noon(2))).claim, (await aMiss('d', 20, noon(2))).claim]
      .map(({ id }) => id)
      .toSorted()
    const order: (string | undefined)[] = []
    for (let n = 0; n < 4; n += 1) order.push((await arm(await aFinished()))?.claimId)
    assert.deepEqual(order, [first.id, second.id, third, fourth])
    assert.equal((await arm(await aFinished()))?.status, 'available')
  })

  it('does so too where it need not be armed, and where another claim puts it back', async () => {
    await anyImage()
    const [one, other, third] = [await aMiss('a'), await aMiss('b', 20, noon(1)), await aMiss('c', 20, noon(2))]
    const { id, volumeId } = await making()
    const [finished] = await spares.noteFinished([{ id, toArm: false }], noon(9), noon(3))
    assert.deepEqual([finished?.status, finished?.claimId], ['reserved', one.claim.id])
    const back = await spares.putBack(finished?.id ?? '', held(one.claim.id), noon(4))
    assert.deepEqual([back?.status, back?.claimId], ['reserved', other.claim.id])
    assert.equal((await claims.find(one.claim.id))?.disk, undefined)
    assert.equal((await claims.find(other.claim.id))?.disk?.volumeId, volumeId)
    assert.equal(await holderOf(third.made), third.claim.id)
  })

  it.for([
    ['of another size', { sizeGib: 40 }],
    ['whose own is finished', { finished: true }],
    ['whose own is of a snapshot that is no longer current', { stale: true }],
    ['that is made in its project itself', { inProject: true }]
  ] as const)('does not go to a claim with a disk %s', async ([, differs]) => {
    await anyImage()
    const { claim, made } = await aMiss('a', 'sizeGib' in differs ? differs.sizeGib : 20)
    if ('finished' in differs) await spares.noteFinished([{ id: made.id, toArm: false, claimId: claim.id }], NOON, NOON)
    if ('stale' in differs) await rows("update backup_volumes set snapshot_id = 'old' where id = :id", { id: made.id })
    if ('inProject' in differs) await rows('delete from backup_volumes where id = :id', { id: made.id })
    assert.equal((await arm(await aFinished()))?.status, 'available')
  })

  it('does not go to a claim of another pool', async () => {
    await anyImage()
    await aMiss('a')
    await rows("update claims set type = 'sas'")
    assert.equal((await arm(await aFinished()))?.status, 'available')
  })

  it('waits for nobody who has gone: whose lease has run out, who has ended, or has been resumed', async () => {
    await anyImage()
    const [late, ended, resumed] = [await aWaiting('late'), await aWaiting('ended'), await aWaiting('resumed')]
    await spares.endWaiting(ended.id)
    await rows('update claims set lease_until = :until where id = :id', { id: resumed.id, until: noon(1) })
    assert.ok(await takeOver(resumed.id, aLease(90), noon(2)))
    assert.equal((await arm(await aFinished(), noon(11)))?.status, 'available')
    assert.equal((await spares.reserveOldest(late.id, DEBIAN, noon(11)))?.status, 'reserved')
  })

  it('is not handed out where it is of a snapshot that is no longer current', async () => {
    await anyImage()
    await aMiss('a')
    const spare = await aFinished()
    await rows("update backup_volumes set snapshot_id = 'old' where id = :id", { id: spare.id })
    assert.equal((await arm(spare))?.status, 'available')
  })
})

describe('a claim that begins to wait', () => {
  it('takes what is in stock by then, and has nothing made', async () => {
    await anyImage()
    const [one, other] = [(await opened({ hostname: 'a' })).claim, (await opened({ hostname: 'b' })).claim]
    const [first, second] = await stock(2)
    await claims.beginCreating(one, 'empty', 9, NOON)
    assert.equal((await spares.requestFor(one.id, aCreation(), newId(), NOON))?.id, first?.id)
    assert.equal((await spares.reserveOrWait(other.id, DEBIAN, NOON))?.id, second?.id)
    assert.equal((await spares.list({ limit: 9 })).rows.length, 2)
  })

  it('has a disk made all the same where it has been given its share of spares', async () => {
    const { claim } = await opened()
    await stock(1)
    const made = await spares.requestFor(claim.id, aCreation(), newId(), NOON, false)
    assert.deepEqual([made?.status, made?.availableAt], ['reserved', undefined])
  })

  it.for([
    ['a spare arrives', 'it begins'],
    ['it begins', 'a spare arrives']
  ] as const)('never misses one that arrives at the same moment: %s, then %s', async order => {
    await anyImage()
    const { claim } = await opened()
    await claims.beginCreating(claim, 'empty', 9, NOON)
    const spare = await aFinished()
    const acts = {
      'a spare arrives': (on: Pick<typeof store, 'spares'>) => on.spares.noteArmed(spare.id, TRANSFER, NOON),
      'it begins': (on: Pick<typeof store, 'spares'>) => on.spares.requestFor(claim.id, aCreation(), newId(), NOON)
    }
    await store.overlapping(acts[order[0]], acts[order[1]])
    assert.equal(await holderOf(spare), claim.id)
  })
})

describe('rivals', () => {
  it('each take one spare of those that arrive at once, who waits longest first, and nobody else any', async () => {
    await anyImage()
    const waiting: Claim[] = []
    for (let n = 0; n < 8; n += 1) {
      waiting.push(n % 2 ? await aWaiting(`w-${n}`, noon(n)) : (await aMiss(`m-${n}`, 20, noon(n))).claim)
    }
    const arrived: Spare[] = []
    for (let n = 0; n < 6; n += 1) arrived.push(await aFinished())
    const [armed, later] = await Promise.all([
      Promise.all(arrived.map(spare => store.replica().spares.noteArmed(spare.id, TRANSFER, noon(9)))),
      rivals(6, n => store.replica().claims.open(aRequest({ hostname: `later-${n}` }), newId(), aLease(60), noon(9)))
    ])
    const served = new Set(armed.map(spare => spare?.claimId))
    assert.deepEqual(served, new Set(waiting.slice(0, 6).map(({ id }) => id)))
    assert.ok(later.every(opening => opening && !opening.spare))
    const left = await rows("select id from backup_volumes where status = 'creating'")
    assert.equal(left.length, 3)
  })

  it('leave none in stock that somebody waits for, however claims and spares come', async () => {
    await anyImage()
    const begun: Claim[] = []
    for (let n = 0; n < 6; n += 1) begun.push(await aMissAboutToBegin(n))
    const arrived: Spare[] = []
    for (let n = 0; n < 6; n += 1) arrived.push(await aFinished())
    await Promise.all([
      ...arrived.map(spare => store.replica().spares.noteArmed(spare.id, TRANSFER, noon(9))),
      ...begun.map(({ id }) => store.replica().spares.requestFor(id, aCreation(), newId(), noon(9)))
    ])
    const given = await rows("select id from backup_volumes where status = 'reserved' and available_at is not null")
    const inStock = await rows("select id from backup_volumes where status = 'available'")
    assert.deepEqual([given.length, inStock.length], [6, 0])
  })

  it('begin no more creations of one project than it may have, of twelve at once', async () => {
    const openings = await rivals(RIVALS, n => opened({ hostname: `web-${n}` }))
    const outcomes = await Promise.all(
      openings.map(({ claim }) => store.replica().claims.beginCreating(claim, 'empty', 4, NOON))
    )
    assert.equal(outcomes.filter(outcome => outcome === 'begun').length, 4)
    assert.equal(outcomes.filter(outcome => outcome === 'too_many').length, RIVALS - 4)
    const one = (await claims.list({ limit: 99 })).rows.find(({ status }) => status === 'creating')
    assert.ok(one)
    assert.equal(await claims.beginCreating(one, 'empty', 4, NOON), 'begun')
  })
})

async function aMissAboutToBegin(n: number): Promise<Claim> {
  const { claim } = await opened({ hostname: `web-${n}` })
  await claims.beginCreating(claim, 'empty', 99, NOON)
  return claim
}

describe('what nobody waits for', () => {
  it('finds that out by an index, in a table of ten thousand claims', async () => {
    await fill()
    const plan = await rows<{ 'QUERY PLAN': string }>(
      `explain select id from claims where os = 'debian12' and type = 'ssd'
          and (status = 'creating' or (status = 'open' and waiting)) order by created_at, id`
    )
    assert.match(plan.map(row => row['QUERY PLAN']).join('\n'), /claims_waiting/)
  })

  it('stays in stock as it came', async () => {
    await anyImage()
    const spare = aSpare()
    await spares.adopt(spare)
    const { claim } = await opened()
    assert.deepEqual(await spares.putBack(spare.id, held(claim.id), noon(1)), { ...spare, updatedAt: noon(1) })
  })
})
