import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { NOON, noon } from '../support/samples.ts'
import { aStore, rivals } from '../support/store.ts'

const RIVALS = 20
const { ticks, orphans } = await aStore(RIVALS)
const [ME, YOU] = [newId(), newId()]

describe('the lease of a tick', () => {
  it('is one of twenty rivals’', async () => {
    const taken = await rivals(RIVALS, () => ticks.take('replenish', newId(), noon(10), NOON))
    assert.equal(taken.filter(Boolean).length, 1)
  })

  it('is each tick’s own', async () => {
    assert.ok(await ticks.take('replenish', ME, noon(10), NOON))
    assert.ok(await ticks.take('reconcile', YOU, noon(10), NOON))
  })

  it('is free again after its time, whoever died with it', async () => {
    assert.ok(await ticks.take('replenish', ME, noon(10), NOON))
    assert.equal(await ticks.take('replenish', YOU, noon(20), noon(10)), false)
    const taken = await rivals(RIVALS, () => ticks.take('replenish', newId(), noon(30), noon(11)))
    assert.equal(taken.filter(Boolean).length, 1)
  })

  it('is renewed by who holds it, and taken again where its last run could not give it back', async () => {
    assert.ok(await ticks.take('replenish', ME, noon(10), NOON))
    assert.ok(await ticks.take('replenish', ME, noon(13), noon(3)))
    assert.equal(await ticks.take('replenish', YOU, noon(30), noon(12)), false)
  })

  it('is void where no clock could have given it, as when the database’s was set back since', async () => {
    assert.ok(await ticks.take('replenish', ME, noon(3610), noon(3600)))
    assert.ok(await ticks.take('replenish', YOU, noon(10), NOON))
    assert.equal(await ticks.take('replenish', ME, noon(6), noon(-4)), false, 'of a clock that is seconds behind')
  })

  it('ends with the run of who holds it', async () => {
    assert.ok(await ticks.take('replenish', ME, noon(100), NOON))
    await ticks.finish('replenish', ME, { startedAt: NOON, endedAt: noon(1), error: undefined })
    assert.ok(await ticks.take('replenish', YOU, noon(100), noon(2)))
  })

  it('does not end with the run of who has lost it', async () => {
    assert.ok(await ticks.take('replenish', ME, noon(10), NOON))
    assert.ok(await ticks.take('replenish', YOU, noon(100), noon(11)))
    await ticks.finish('replenish', ME, { startedAt: NOON, endedAt: noon(12), error: undefined })
    assert.equal(await ticks.take('replenish', ME, noon(100), noon(13)), false)
  })
})

describe('the record of a tick', () => {
  it('has when it ran, how long, and when it last went well', async () => {
    await ticks.finish('replenish', ME, { startedAt: NOON, endedAt: noon(1.5), error: undefined })
    assert.deepEqual(await ticks.list(), [
      { name: 'replenish', lastRunAt: NOON, lastOkAt: noon(1.5), seconds: 1.5, lastError: undefined }
    ])
  })

  it('keeps when it last went well while it fails, and its error until it goes well again', async () => {
    await ticks.finish('replenish', ME, { startedAt: NOON, endedAt: noon(1), error: undefined })
    await ticks.finish('replenish', ME, { startedAt: noon(10), endedAt: noon(11), error: 'the cloud is down' })
    const [failed] = await ticks.list()
    assert.deepEqual([failed?.lastRunAt, failed?.lastOkAt, failed?.lastError], [noon(10), noon(1), 'the cloud is down'])
    await ticks.finish('replenish', ME, { startedAt: noon(20), endedAt: noon(21), error: undefined })
    const [well] = await ticks.list()
    assert.deepEqual([well?.lastOkAt, well?.lastError], [noon(21), undefined])
  })

  it('is there for a run without a lease too, such as one that was asked for', async () => {
    await ticks.finish('reconcile', ME, { startedAt: NOON, endedAt: noon(1), error: 'no' })
    const [record] = await ticks.list()
    assert.deepEqual([record?.name, record?.lastOkAt, record?.lastError], ['reconcile', undefined, 'no'])
  })
})

describe('orphans', () => {
  it('are known once a pass has noted them', async () => {
    assert.deepEqual(await orphans.known(['a', 'b']), new Set())
    await orphans.note(['a', 'b'], NOON)
    assert.deepEqual(await orphans.known(['b', 'c']), new Set(['b']))
    await orphans.note(['b', 'c'], noon(300))
    assert.deepEqual(await orphans.known(['a', 'b', 'c']), new Set(['b', 'c']))
  })

  it('are forgotten when a pass no longer sees them, and begin anew', async () => {
    await orphans.note(['a'], NOON)
    await orphans.note([], noon(300))
    assert.equal(await orphans.count(), 0)
    assert.deepEqual(await orphans.known(['a']), new Set())
  })

  it('are counted as the last pass saw them', async () => {
    await orphans.note(['a', 'b'], NOON)
    assert.equal(await orphans.count(), 2)
    await orphans.note(['b'], noon(300))
    assert.equal(await orphans.count(), 1)
  })

  it('are noted by rivals without an error', async () => {
    await rivals(RIVALS, () => orphans.note(['a', 'b', 'c'], NOON))
    assert.equal(await orphans.count(), 3)
  })
})
