/** Claims opened and settled together, as a crowd's are: each gets what it would have got alone. */
import assert from 'node:assert/strict'
import { type Arbitrary, array, asyncProperty, assert as check, constantFrom, nat, option, record } from 'fast-check'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { Claim, ClaimRequest } from '../../src/pool/claim.ts'
import { fingerprintOf } from '../../src/pool/claim.ts'
import type { Opening } from '../../src/pool/claim-store.ts'
import { type PoolName, type Spare, samePool } from '../../src/pool/spare.ts'
import { aDisk, anImage, aRequest, aSpare, DEBIAN, given, NOON, noon } from '../support/samples.ts'
import { seed } from '../support/seed.ts'
import { aStore, HOLDER, held } from '../support/store.ts'
import { empty, truncate } from '../support/tables.ts'

const RUNS = 40
const SAS = { os: 'debian12', type: 'sas' }
const CENTOS = { os: 'centos7', type: 'ssd' }
const store = await aStore(4)
const { claims, spares, images, rows, statusOf, stock, fill, planOf } = store
const db = store.db

/** All in one turn of the event loop: the first goes alone, the others as one group. */
const openAll = (requests: readonly ClaimRequest[]): Promise<(Opening | undefined)[]> =>
  Promise.all(requests.map(request => claims.open(request, newId(), { holder: HOLDER, until: noon(10) }, NOON)))

const named = (count: number, differs: Partial<ClaimRequest> = {}): ClaimRequest[] =>
  Array.from({ length: count }, (_, n) => aRequest({ hostname: `web-${n}`, ...differs }))

async function opened(requests: readonly ClaimRequest[]): Promise<Opening[]> {
  const openings = await openAll(requests)
  return openings.filter(opening => opening !== undefined)
}

const inGroup = async <T>(act: () => Promise<T>): Promise<{ result: T; statements: number }> => {
  let statements = 0
  const { client } = db
  const acquire = client.acquireConnection
  client.acquireConnection = (...args: unknown[]) => {
    statements += 1
    return acquire.apply(client, args)
  }
  try {
    return { result: await act(), statements }
  } finally {
    client.acquireConnection = acquire
  }
}

describe('claims opened at the same time', () => {
  it('cost two statements, however many', async () => {
    await stock(20)
    const { result, statements } = await inGroup(() => openAll(named(20)))
    assert.equal(statements, 2)
    assert.equal(new Set(result.map(opening => opening?.spare?.id)).size, 20)
  })

  it('are recorded as each asked, with a lease', async () => {
    const requests = named(3, { sizeGib: 40, type: 'sas' }).map((request, n) => ({
      ...request,
      idempotencyKey: `k${n}`
    }))
    for (const [index, opening] of (await openAll(requests)).entries()) {
      const { claim } = opening ?? {}
      assert.ok(claim)
      assert.deepEqual(await claims.find(claim.id), claim)
      assert.equal(claim.fingerprint, fingerprintOf(requests[index] ?? aRequest()))
    }
    const leases = await rows('select distinct lease_holder, lease_until from claims')
    assert.deepEqual(leases, [{ lease_holder: HOLDER, lease_until: noon(10) }])
  })

  it('get the oldest spares, each another, and the one that its record names', async () => {
    const all = await stock(5)
    const openings = await opened(named(4))
    const ids = openings.map(({ spare }) => spare?.id ?? '')
    assert.deepEqual(
      ids.toSorted(),
      all
        .slice(0, 4)
        .map(({ id }) => id)
        .toSorted()
    )
    for (const { claim, spare } of openings) assert.deepEqual(await spares.ofClaim(claim.id), spare)
  })

  it('pass over a spare that another is taking', async () => {
    const [first, second, third] = await stock(3)
    await store.overlapping(
      replica => replica.spares.retire(first?.id ?? '', 'available', NOON),
      async () => {
        const given = (await opened(named(3))).flatMap(({ spare }) => spare?.id ?? [])
        assert.deepEqual(given.toSorted(), [second?.id ?? '', third?.id ?? ''].toSorted())
      }
    )
  })

  it('keep to the rules, whatever is asked for and whatever is in stock', async () => {
    const run = asyncProperty(
      array(wish, { minLength: 2, maxLength: 12 }),
      array(aStocked, { maxLength: 12 }),
      keepsTheRules
    )
    await check(run, { seed, numRuns: RUNS })
  })

  it('are found by index, in tables of ten thousand, even if planned while they were empty', async () => {
    const plan = () => planOf('with opened as%json%', () => openAll(named(3)))
    await anew()
    assert.doesNotMatch(await plan(), /Seq Scan on (backup_volumes|claims)/)
    await fill()
    assert.doesNotMatch(await plan(), /Seq Scan on (backup_volumes|claims)/)
  })
})

interface Wish {
  readonly pool: PoolName
  readonly hostname: string
  readonly projectId: string
  readonly idempotencyKey: string | undefined
}

const wish: Arbitrary<Wish> = record({
  pool: constantFrom(DEBIAN, SAS, CENTOS),
  hostname: constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
  projectId: constantFrom('one', 'two'),
  idempotencyKey: option(constantFrom('k', 'l'), { nil: undefined, freq: 4 })
})

interface Stocked {
  readonly pool: PoolName
  readonly age: number
  readonly snapshotId: string
  readonly kept: boolean
}

/** `snapshot` is the current image's and `replica` is identical; centos7 has no image. */
const aStocked: Arbitrary<Stocked> = record({
  pool: constantFrom(DEBIAN, SAS, CENTOS),
  age: nat(1000),
  snapshotId: constantFrom('snapshot', 'replica', 'old'),
  kept: constantFrom(false, false, true)
})

async function keepsTheRules(wishes: readonly Wish[], stocked: readonly Stocked[]): Promise<void> {
  await empty(db)
  await images.add([DEBIAN, SAS].map(pool => anImage({ ...pool, replicaSnapshotIds: ['replica'] })))
  const all = stocked.map(({ pool, age, ...rest }) => aSpare({ ...pool, ...rest, createdAt: noon(-age) }))
  for (const spare of all) await spares.adopt(spare)
  for (const { id } of all.filter(({ kept }) => kept)) {
    await rows('update backup_volumes set kept = true where id = :id', { id })
  }
  const requests = wishes.map(({ pool, ...rest }) => aRequest({ ...pool, ...rest }))
  const openings = await openAll(requests)
  const living = openings.flatMap(opening => opening?.claim ?? [])
  for (const [index, opening] of openings.entries()) {
    const request = requests[index]
    assert.ok(request)
    const inTheWay = living.filter(claim => claim.id !== opening?.claim.id && isInTheWay(claim, request))
    assert.equal(inTheWay.length > 0, opening === undefined, `${request.name} and what is in its way`)
  }
  for (const pool of [DEBIAN, SAS, CENTOS]) await checkGiven(pool, all, openings)
}

const isInTheWay = (claim: Claim, request: ClaimRequest): boolean =>
  claim.projectId === request.projectId &&
  (claim.name === request.name ||
    (request.idempotencyKey !== undefined && claim.idempotencyKey === request.idempotencyKey))

/** The oldest that may be handed out, each to one claim. */
async function checkGiven(pool: PoolName, all: readonly Spare[], openings: readonly (Opening | undefined)[]) {
  const ours = openings.filter(opening => opening && samePool(opening.claim, pool))
  const fit = all.filter(spare => samePool(spare, pool) && isFit(spare)).toSorted(byAge)
  const given = ours.flatMap(opening => opening?.spare ?? [])
  const expected = fit.slice(0, ours.length).map(({ id }) => id)
  assert.deepEqual(given.map(({ id }) => id).toSorted(), expected.toSorted())
  for (const opening of ours) {
    if (opening?.spare) assert.equal((await spares.ofClaim(opening.claim.id))?.id, opening.spare.id)
  }
}

const isFit = ({ kept, os, snapshotId }: Spare): boolean => kept || (os !== 'centos7' && snapshotId !== 'old')

const byAge = (a: Spare, b: Spare): number => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1)

describe('claims settled at the same time', () => {
  it('cost two statements, however many, and are written as each would be alone', async () => {
    await stock(5)
    const openings = await opened(named(5))
    const settleAll = () =>
      Promise.all(openings.map(({ claim, spare }, n) => claims.settle(held(claim.id), given(spare?.volumeId), noon(n))))
    const { result, statements } = await inGroup(settleAll)
    assert.deepEqual([result, statements], [Array(5).fill(true), 2])
    assert.deepEqual(await rows('select id from backup_volumes'), [])
    for (const [index, { claim, spare }] of openings.entries()) {
      const after = await claims.find(claim.id)
      assert.deepEqual(after, {
        ...claim,
        ...given(spare?.volumeId),
        status: 'available',
        updatedAt: noon(index)
      })
    }
    const ended = await rows('select seconds, lease_holder, lease_until from claims order by seconds')
    assert.deepEqual(
      ended,
      openings.map((_, seconds) => ({ seconds, lease_holder: null, lease_until: null }))
    )
  })

  it('are noted in the statistics, each by how it got its disk', async () => {
    const openings = await opened(named(5))
    const how = [
      { source: 'pool', missReason: undefined },
      { source: 'pool', missReason: undefined },
      { source: 'existing', missReason: undefined },
      { source: 'created', missReason: 'stale' },
      { source: 'created', missReason: undefined }
    ] as const
    const settling = openings.map(({ claim }, n) => {
      return claims.settle(held(claim.id), given(`volume-${n}`, how[n]), noon(n))
    })
    assert.deepEqual(await Promise.all(settling), Array(5).fill(true))
    const noted = await rows('select source, miss_reason, settled_at from claims order by settled_at')
    assert.deepEqual(
      noted,
      how.map(({ source, missReason }, n) => ({ source, miss_reason: missReason ?? null, settled_at: noon(n) }))
    )
  })

  it('leave alone those of another lease, those that were undone, and spares that did not become their disks', async () => {
    await stock(4)
    const openings = await opened(named(4))
    const [first, lost, undone, other] = openings
    assert.ok(first?.spare && lost && undone?.spare && other?.spare)
    await rows('update claims set lease_holder = :holder where id = :id', { holder: newId(), id: lost.claim.id })
    await spares.putBack(undone.spare.id, held(undone.claim.id), NOON)
    assert.ok(await claims.forget(held(undone.claim.id)))
    const disk = aDisk('existing', { os: undefined, type: undefined })
    const outcomes = await Promise.all([
      claims.settle(held(first.claim.id), given(first.spare.volumeId), NOON),
      claims.settle(held(lost.claim.id), given(lost.spare?.volumeId), NOON),
      claims.settle(held(undone.claim.id), given(undone.spare.volumeId), NOON),
      claims.settle(held(other.claim.id), given('existing', { source: 'existing', disk }), NOON)
    ])
    assert.deepEqual(outcomes, [true, false, false, true])
    assert.deepEqual((await claims.find(other.claim.id))?.disk, disk)
    assert.equal((await claims.find(lost.claim.id))?.status, 'open')
    assert.equal(await statusOf(lost.spare?.id ?? ''), 'reserved')
    assert.equal(await statusOf(other.spare.id), 'reserved')
  })

  it('happen once, however many of a group try', async () => {
    const [first, one] = await opened(named(2))
    assert.ok(first && one)
    const tries = [first, one, one, one].map(({ claim }, n) =>
      claims.settle(held(claim.id), given(n === 0 ? 'a' : 'b'), NOON)
    )
    assert.deepEqual((await Promise.all(tries)).filter(Boolean).length, 2)
  })

  it('do not fail with one that was given a volume that is another claim’s', async () => {
    const openings = await opened(named(4))
    const volumes = ['a', 'b', 'a', 'c']
    const outcomes = await Promise.allSettled(
      openings.map(({ claim }, n) => claims.settle(held(claim.id), given(volumes[n]), NOON))
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    assert.equal(refused.length, 1)
    assert.deepEqual([outcomes[1]?.status, outcomes[3]?.status], ['fulfilled', 'fulfilled'])
    assert.match(String(refused[0]?.status === 'rejected' && refused[0].reason), /claims_by_given_volume/)
  })

  it('are found by index, in tables of ten thousand, even if planned while they were empty', async () => {
    const settleThree = async () => {
      const openings = await opened(named(3, { projectId: newId() }))
      await Promise.all(openings.map(({ claim }) => claims.settle(held(claim.id), given(newId()), NOON)))
    }
    await anew()
    assert.doesNotMatch(await planOf('with given as%json%', settleThree), /Seq Scan on (backup_volumes|claims)/)
    await fill()
    assert.doesNotMatch(await planOf('with given as%json%', settleThree), /Seq Scan on (backup_volumes|claims)/)
  })
})

/** Empty, and unknown to the planner: an autovacuum that comes by tells it how few rows the tests before have left. */
async function anew(): Promise<void> {
  for (const table of ['backup_volumes', 'claims']) await rows(`alter table ${table} set (autovacuum_enabled = false)`)
  await truncate(db)
}
