import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { type Claim, fingerprintOf } from '../../src/pool/claim.ts'
import { aCreation, aDisk, aLease, anImage, aRequest, DEBIAN, given, NOON, noon } from '../support/samples.ts'
import { aStore, HOLDER, held, rivals, type Store } from '../support/store.ts'

const RIVALS = 20
const store = await aStore(RIVALS)
const { claims, spares, open, opened, overlapping, replica, settled, statusOf, stock, fill, planOf, rows, takeOver } =
  store

describe('opening a claim', () => {
  it('records it and reserves the oldest spare for it, in one statement', async () => {
    const [oldest] = await stock(3)
    const request = aRequest({ sizeGib: 40, idempotencyKey: 'key' })
    const opening = await claims.open(request, newId(), aLease(10), NOON)
    assert.ok(opening)
    const { claim, spare } = opening
    assert.deepEqual(
      [claim.status, claim.name, claim.projectId, claim.wantedSizeGib, claim.idempotencyKey, claim.fingerprint],
      ['open', 'web-01_sys', 'tenant', 40, 'key', fingerprintOf(request)]
    )
    assert.deepEqual([claim.createdAt, claim.disk, claim.source], [NOON, undefined, undefined])
    assert.deepEqual([spare?.id, spare?.status, spare?.claimId], [oldest?.id, 'reserved', claim.id])
    assert.deepEqual(await claims.find(claim.id), claim)
    assert.deepEqual(await spares.ofClaim(claim.id), spare)
  })

  it('goes without a spare where there is none', async () => {
    assert.equal((await opened()).spare, undefined)
  })

  it.for([
    ['of the same name in the same project', {}, true],
    ['of the same name in another project', { projectId: 'other' }, false],
    ['of another name', { hostname: 'web-02' }, false],
    ['of another name under the same key', { hostname: 'web-02', idempotencyKey: 'key' }, true],
    ['under the same key in another project', { projectId: 'other', idempotencyKey: 'key' }, false]
  ] as const)('finds a living claim %s in its way: %s', async ([, differs, isInTheWay]) => {
    await stock(2)
    await opened({ idempotencyKey: 'key' })
    assert.equal((await open(differs)) === undefined, isInTheWay)
    const inStock = await spares.list({ status: 'available', limit: 10 })
    assert.equal(inStock.rows.length, isInTheWay ? 1 : 0)
  })

  it('finds the name and the key free again once the disk is gone', async () => {
    const first = await settled({ idempotencyKey: 'key' })
    assert.equal(await open({ idempotencyKey: 'key' }), undefined)
    await claims.noteGone(first.id, noon(60))
    assert.ok(await open({ idempotencyKey: 'key' }))
  })

  it('makes one claim with one spare of twenty rivals for one name', async () => {
    await stock(RIVALS)
    const openings = await rivals(RIVALS, () => open())
    assert.equal(openings.filter(opening => opening !== undefined).length, 1)
    assert.equal((await spares.list({ status: 'reserved', limit: 100 })).rows.length, 1)
  })

  it('makes one claim with one spare of twenty rivals under one key, each with a name of its own', async () => {
    await stock(RIVALS)
    const openings = await rivals(RIVALS, n => open({ hostname: `web-${n}`, idempotencyKey: 'key' }))
    assert.equal(openings.filter(opening => opening !== undefined).length, 1)
    assert.equal((await spares.list({ status: 'reserved', limit: 100 })).rows.length, 1)
  })

  it('gives five spares to five of twenty rivals, and the others open claims without one', async () => {
    const five = await stock(5)
    const openings = await rivals(RIVALS, n => opened({ hostname: `web-${n}` }))
    const reserved = openings.flatMap(({ spare }) => spare?.id ?? [])
    assert.deepEqual(reserved.toSorted(), five.map(({ id }) => id).toSorted())
  })

  it('finds the oldest spare by the index of the stock, in a table of ten thousand', async () => {
    await stock(1)
    await fill()
    assert.match(await planOf('with opened as%', () => open()), /Index Scan using backup_volumes_in_stock/)
  })
})

describe('a claim under way', () => {
  it('is resumed by one of twenty rivals once its lease has run out', async () => {
    const { claim } = await opened()
    assert.equal(await takeOver(claim.id, aLease(30), noon(10)), undefined)
    const resumed = await rivals(RIVALS, () => takeOver(claim.id, aLease(30), noon(11)))
    assert.equal(resumed.filter(one => one !== undefined).length, 1)
  })

  it('stays with who renews its lease, and is free at once when they give it up', async () => {
    const { claim } = await opened()
    const lease = aLease(20)
    assert.ok(await takeOver(claim.id, lease, noon(11)))
    await claims.renew(claim.id, { ...lease, until: noon(60) })
    assert.equal(await takeOver(claim.id, aLease(90), noon(21)), undefined)
    await claims.release(claim.id, lease.holder)
    assert.ok(await takeOver(claim.id, aLease(90), noon(21)))
  })

  it('is taken from nobody whose lease has run out by the clock, before it was watched and is still as it was', async () => {
    const { claim } = await opened()
    const lapsed = { holder: HOLDER, until: noon(10) }
    assert.deepEqual(await claims.resume(claim.id, aLease(30), noon(11)), { lapsed })
    const renewed = { ...lapsed, until: noon(12) }
    assert.ok(await claims.renew(claim.id, renewed)) // He lives.
    assert.deepEqual(await claims.resume(claim.id, aLease(30), noon(13), lapsed), { lapsed: renewed })
    const found = await claims.resume(claim.id, aLease(30), noon(13), renewed)
    assert.deepEqual(found && 'claim' in found && found.claim.id, claim.id)
  })

  it('does not change hands for who has lost its lease', async () => {
    const { claim } = await opened()
    const [lost, held] = [aLease(20), aLease(60)]
    await takeOver(claim.id, lost, noon(11))
    await takeOver(claim.id, held, noon(21))
    await claims.renew(claim.id, { ...lost, until: noon(1000) })
    await claims.release(claim.id, lost.holder)
    assert.equal(await takeOver(claim.id, aLease(90), noon(60)), undefined)
    assert.ok(await takeOver(claim.id, aLease(90), noon(61)))
  })

  it('is unsettled while it is open or creating and nobody works on it, the open ones first', async () => {
    const { claim: leased } = await opened({ hostname: 'leased' })
    await takeOver(leased.id, aLease(15), noon(11))
    await settled({ hostname: 'settled' })
    const { claim: young } = await opened({ hostname: 'young' })
    await claims.noteCreating(young.id, 'empty', undefined, noon(5))
    const { claim: old } = await opened({ hostname: 'old' })
    const found = await claims.toSettle(noon(14), 10)
    assert.deepEqual(
      found.map(({ id }) => id),
      [old.id, young.id]
    )
    assert.deepEqual(await claims.toSettle(noon(14), 1), found.slice(0, 1))
    assert.deepEqual(await claims.toSettle(noon(14), 1, found[0]), found.slice(1))
    assert.deepEqual(await claims.toSettle(noon(14), 1, found[1]), [])
    assert.deepEqual(await claims.toSettle(NOON, 10), [])
  })

  it('is free of a lease that no clock could have given, as when the database’s was set back since', async () => {
    const { claim } = await opened()
    await claims.renew(claim.id, { ...held(claim.id), until: noon(3610) })
    assert.deepEqual(
      (await claims.toSettle(NOON, 10)).map(({ id }) => id),
      [claim.id]
    )
    assert.deepEqual(await claims.toSettle(noon(3599), 10), [])
    assert.ok(await takeOver(claim.id, aLease(10), NOON))
  })

  it('is unsettled on one page of all, whatever becomes of those before it', async () => {
    const openings = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(hostname => opened({ hostname })))
    const ids = openings.map(({ claim }) => claim.id).toSorted()
    const seen: string[] = []
    for (let last: Claim | undefined, page = 0; page < 3; page += 1) {
      const found = await claims.toSettle(noon(60), 2, last)
      seen.push(...found.map(({ id }) => id))
      for (const { id } of found) await claims.forget(held(id))
      last = found.at(-1)
    }
    assert.deepEqual(seen, ids)
  })

  it('keeps the first reason of its miss while its disk is made', async () => {
    const { claim } = await opened()
    const first = await claims.noteCreating(claim.id, 'stale', undefined, noon(1))
    assert.deepEqual(
      [first?.status, first?.source, first?.missReason, first?.disk],
      ['creating', 'created', 'stale', undefined]
    )
    const disk = aDisk('volume')
    const second = await claims.noteCreating(claim.id, 'empty', disk, noon(2))
    assert.deepEqual([second?.missReason, second?.disk], ['stale', disk])
  })

  it('is not told of a disk that failed, and was retired, before it could be noted', async () => {
    const { claim } = await opened()
    const spare = await spares.requestFor(claim.id, aCreation(), newId(), NOON)
    await spares.noteVolume(spare?.id ?? '', 'volume', NOON)
    assert.ok(await spares.retireUnfinished(spare?.id ?? '', noon(1), noon(20)))
    assert.equal(await claims.noteCreating(claim.id, 'empty', aDisk('volume'), noon(2)), undefined)
    assert.equal(await claims.knowsVolume('volume'), false)
  })

  it.for([
    ['noted', 'retired'],
    ['retired', 'noted']
  ] as const)('is left without a disk that failed in the instant in which it was noted: %s, then %s', async order => {
    const { claim } = await opened()
    const spare = await spares.requestFor(claim.id, aCreation(), newId(), NOON)
    await claims.noteCreating(claim.id, 'empty', undefined, NOON)
    await spares.noteVolume(spare?.id ?? '', 'volume', NOON)
    const acts = {
      noted: (on: Pick<Store, 'claims'>) => on.claims.noteCreating(claim.id, 'empty', aDisk('volume'), noon(1)),
      retired: (on: Pick<Store, 'spares'>) => on.spares.retireUnfinished(spare?.id ?? '', noon(1), noon(20))
    }
    await overlapping(acts[order[0]], acts[order[1]])
    assert.equal(await statusOf(spare?.id ?? ''), 'retiring')
    assert.equal(await claims.knowsVolume('volume'), false)
  })

  it('is forgotten when it got nothing, but not while a spare is reserved for it', async () => {
    await stock(1)
    const { claim, spare } = await opened()
    assert.equal(await claims.forget(held(claim.id)), false)
    assert.ok(await spares.putBack(spare?.id ?? '', held(claim.id), noon(1)))
    assert.equal(await claims.forget(held(claim.id)), true)
    assert.equal(await claims.forget(held(claim.id)), false)
    assert.equal(await claims.find(claim.id), undefined)
  })
})

describe('settling a claim', () => {
  it('gives it its disk, ends its lease and takes the spare’s row away', async () => {
    await stock(1)
    const { claim, spare } = await opened()
    const disk = aDisk(spare?.volumeId ?? '')
    assert.ok(await claims.settle(held(claim.id), given(disk.volumeId), noon(2)))
    const after = await claims.find(claim.id)
    assert.deepEqual([after?.status, after?.source], ['available', 'pool'])
    assert.deepEqual(after?.disk, disk)
    assert.deepEqual(await rows('select id from backup_volumes'), [])
    const [row] = await rows('select seconds, lease_holder, lease_until from claims')
    assert.deepEqual(row, { seconds: 2, lease_holder: null, lease_until: null })
  })

  it('leaves a spare that did not become its disk', async () => {
    await stock(1)
    const { claim } = await opened()
    await claims.settle(held(claim.id), given('existing', { source: 'existing' }), noon(2))
    assert.equal((await spares.ofClaim(claim.id))?.status, 'reserved')
  })

  it.for([
    [undefined, undefined],
    ['debian11', 'sas']
  ])('keeps what is known of a volume that was there, not what was asked for: os %s, type %s', async ([os, type]) => {
    const { claim } = await opened()
    const disk = aDisk('existing', { os, type, imageVersion: undefined, volumeType: '' })
    assert.ok(await claims.settle(held(claim.id), given('existing', { source: 'existing', disk }), noon(2)))
    const after = await claims.find(claim.id)
    assert.deepEqual([after?.os, after?.type, after?.disk], ['debian12', 'ssd', disk])
  })

  it('happens once, however many try', async () => {
    await stock(1)
    const { claim, spare } = await opened()
    const disk = given(spare?.volumeId)
    const outcomes = await rivals(RIVALS, () => replica().claims.settle(held(claim.id), disk, noon(2)))
    assert.equal(outcomes.filter(Boolean).length, 1)
  })

  it('is for who has its lease, though its time is over for as long as nobody else has taken it', async () => {
    const { claim } = await opened()
    const disk = given('volume', { source: 'created', missReason: 'empty' })
    const later = aLease(60)
    assert.ok(await takeOver(claim.id, later, noon(11)))
    assert.equal(await claims.settle(held(claim.id), disk, noon(12)), false)
    assert.ok(await claims.settle({ claimId: claim.id, holder: later.holder }, disk, noon(90)))
  })

  it('takes its spare’s row along only where it happens', async () => {
    await stock(1)
    const { claim, spare } = await opened()
    const disk = given(spare?.volumeId)
    const later = aLease(21)
    assert.ok(await takeOver(claim.id, later, noon(11)))
    assert.equal(await claims.settle(held(claim.id), disk, noon(12)), false)
    assert.equal(await statusOf(spare?.id ?? ''), 'reserved')
    assert.ok(await claims.settle({ claimId: claim.id, holder: later.holder }, disk, noon(13)))
    assert.equal(await statusOf(spare?.id ?? ''), undefined)
  })

  it('is an outcome, not an error, when the claim was undone meanwhile', async () => {
    const { claim } = await opened()
    await claims.forget(held(claim.id))
    const disk = given('volume', { source: 'created', missReason: 'empty' })
    assert.equal(await claims.settle(held(claim.id), disk, noon(2)), false)
    assert.equal(await claims.noteCreating(claim.id, 'empty', undefined, noon(2)), undefined)
  })

  it('is final: a settled claim is not resumed, undone, or made a disk for', async () => {
    const { id } = await settled()
    assert.equal(await takeOver(id, aLease(90), noon(60)), undefined)
    assert.equal(await claims.forget(held(id)), false)
    assert.equal(await claims.noteCreating(id, 'empty', undefined, noon(60)), undefined)
  })

  it('gives no volume to two claims', async () => {
    const { claim: first } = await opened({ hostname: 'a' })
    const { claim: second } = await opened({ hostname: 'b' })
    const disk = given('volume', { source: 'created', missReason: 'empty' })
    assert.ok(await claims.settle(held(first.id), disk, noon(1)))
    await assert.rejects(claims.settle(held(second.id), disk, noon(1)), /claims_by_given_volume/)
  })

  it('lets an existing volume be claimed again under the name that its owner has given it since', async () => {
    const { claim: first } = await opened({ hostname: 'a' })
    const { claim: second } = await opened({ hostname: 'b' })
    const disk = given('volume', { source: 'existing' })
    assert.ok(await claims.settle(held(first.id), disk, noon(1)))
    assert.ok(await claims.settle(held(second.id), disk, noon(1)))
  })
})

describe('finding claims', () => {
  it('by name finds the living one only', async () => {
    const first = await settled()
    assert.equal((await claims.living('tenant', 'web-01_sys'))?.id, first.id)
    assert.equal(await claims.living('other', 'web-01_sys'), undefined)
    await claims.noteGone(first.id, noon(60))
    assert.equal(await claims.living('tenant', 'web-01_sys'), undefined)
    const second = await settled()
    assert.equal((await claims.living('tenant', 'web-01_sys'))?.id, second.id)
  })

  it('by key finds the newest, living or not, of that project', async () => {
    const first = await settled({ idempotencyKey: 'key' })
    await claims.noteGone(first.id, noon(60))
    assert.equal((await claims.byKey('tenant', 'key'))?.id, first.id)
    const second = await settled({ idempotencyKey: 'key' }, noon(61))
    assert.equal((await claims.byKey('tenant', 'key'))?.id, second.id)
    assert.equal(await claims.byKey('other', 'key'), undefined)
  })

  it('by volume knows every volume that was ever given', async () => {
    const { id, disk } = await settled()
    await claims.noteGone(id, noon(60))
    assert.equal(await claims.knowsVolume(disk?.volumeId ?? ''), true)
    assert.equal(await claims.knowsVolume('other'), false)
  })

  it('by volume tells what the newest that knows it says: what it was made as, for as long as one is remembered', async () => {
    assert.equal(await claims.originOf('volume'), undefined)
    const give = async (source: 'pool' | 'existing', differs: object, disk: object, at: number) => {
      const { claim } = await opened(differs, noon(at))
      const what = given('volume', { source, disk: aDisk('volume', disk) })
      assert.ok(await claims.settle(held(claim.id), what, noon(at)))
      return claim
    }
    const unknown = { os: undefined, type: undefined, imageVersion: undefined }
    const known = { os: 'debian12', type: 'ssd', imageVersion: '20261101' }
    const says = async () => {
      const origin = await claims.originOf('volume')
      return origin && { os: origin.os, type: origin.type, imageVersion: origin.imageVersion }
    }
    await give('existing', { hostname: 'a', os: 'windows' }, unknown, 1)
    assert.equal(await says(), undefined)
    const made = await give('pool', { hostname: 'b' }, known, 2)
    assert.deepEqual(await says(), known)
    await claims.noteGone(made.id, noon(3))
    await give('existing', { hostname: 'c', os: 'windows' }, known, 4)
    await give('existing', { hostname: 'd', os: 'windows' }, unknown, 5)
    await rows('delete from claims where id = :id', { id: made.id })
    assert.deepEqual(await says(), known)
  })

  it('lists the newest first, a page at a time, each once', async () => {
    const made = []
    for (const n of [0, 1, 1, 2, 3]) made.push(await settled({ hostname: `web-${made.length}` }, noon(n)))
    const seen: string[] = []
    let marker: string | undefined
    do {
      const page = await claims.list({ limit: 2, marker })
      assert.ok(page.rows.length > 0 && page.rows.length <= 2)
      seen.push(...page.rows.map(({ id }) => id))
      marker = page.nextMarker
    } while (marker)
    assert.deepEqual(seen.toSorted(), made.map(({ id }) => id).toSorted())
    const times = (await claims.list({ limit: 10 })).rows.map(({ createdAt }) => createdAt.getTime())
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a)
    )
  })

  it('says that there is no further page when a page is just full', async () => {
    await settled({ hostname: 'a' })
    await settled({ hostname: 'b' })
    assert.equal((await claims.list({ limit: 2 })).nextMarker, undefined)
    assert.ok((await claims.list({ limit: 1 })).nextMarker)
  })

  it('lists by project, hostname and volume, all of which must fit', async () => {
    const one = await settled({ hostname: 'a' })
    await settled({ hostname: 'a', projectId: 'other' })
    await settled({ hostname: 'b' })
    const ids = async (filter: object) => (await claims.list({ limit: 10, ...filter })).rows.map(({ id }) => id)
    assert.equal((await ids({ projectId: 'tenant' })).length, 2)
    assert.equal((await ids({ hostname: 'a' })).length, 2)
    assert.deepEqual(await ids({ hostname: 'a', projectId: 'tenant' }), [one.id])
    assert.deepEqual(await ids({ volumeId: one.disk?.volumeId }), [one.id])
    assert.deepEqual(await ids({ volumeId: one.disk?.volumeId, hostname: 'b' }), [])
  })
})

describe('forgetting old claims', () => {
  it('goes in batches of a thousand, and takes settled ones only', async () => {
    await rows(
      `insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, source, volume_id,
                           created_at, updated_at)
       select gen_random_uuid(), '', 'tenant', 'n' || n, 'h', 'sys', 'debian12', 'ssd',
              case when n % 2 = 0 then 'available' else 'gone' end, 'pool', 'v' || n, :at, :at
         from generate_series(1, 2001) n`,
      { at: noon(-60) }
    )
    await opened({ hostname: 'open' })
    await settled({ hostname: 'young' }, noon(1))
    const batches = []
    do batches.push(await claims.prune(noon(1)))
    while (batches.at(-1) !== 0)
    assert.deepEqual(batches, [1000, 1000, 1, 0])
    const left = await claims.list({ limit: 10 })
    assert.deepEqual(
      left.rows.map(({ hostname }) => hostname),
      ['young', 'open']
    )
  })
})

describe('a miss', () => {
  it('is stale when the pool has only spares that may not be handed out', async () => {
    await stock(1, anImage({ snapshotId: 'new' }))
    assert.equal(await spares.hasStale(DEBIAN), false)
    await rows("update backup_volumes set snapshot_id = 'old'")
    assert.equal(await spares.hasStale(DEBIAN), true)
    assert.equal(await spares.hasStale({ os: 'other', type: 'ssd' }), false)
    assert.equal((await opened()).spare, undefined)
  })
})
