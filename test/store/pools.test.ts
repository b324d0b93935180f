import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newId } from '../../src/clock.ts'
import { aCreation, anImage, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, rivals } from '../support/store.ts'

const RIVALS = 20
const SAS = { os: 'debian12', type: 'sas' }
const { pools, spares } = await aStore(RIVALS)

const stateOf = async (pool: typeof DEBIAN | typeof SAS) =>
  (await spares.stock()).states.find(({ type }) => type === pool.type)
const afterFailures = (failures: number) => noon(failures)

describe('the pools of the configuration', () => {
  it('are added once, and what is remembered of them stays', async () => {
    await pools.ensure([DEBIAN])
    await pools.setPaused(DEBIAN, true)
    await rivals(RIVALS, () => pools.ensure([DEBIAN, SAS]))
    assert.equal((await spares.stock()).states.length, 2)
    assert.deepEqual([(await stateOf(DEBIAN))?.paused, (await stateOf(SAS))?.paused], [true, false])
  })

  it('may be none', async () => {
    await pools.ensure([])
    assert.deepEqual((await spares.stock()).states, [])
  })
})

describe('failures of a pool', () => {
  it('are counted in a row, each with a later next try', async () => {
    await pools.noteFailure(DEBIAN, 'first', afterFailures)
    await pools.noteFailure(DEBIAN, 'second', afterFailures)
    const state = await stateOf(DEBIAN)
    assert.deepEqual([state?.failures, state?.retryAt, state?.lastError], [2, noon(2), 'second'])
  })

  it('are all counted, of rivals too', async () => {
    for (let races = 1; races <= 20; races += 1) {
      await rivals(RIVALS, () => pools.noteFailure(DEBIAN, 'no', afterFailures))
      const state = await stateOf(DEBIAN)
      const all = races * RIVALS
      assert.deepEqual([state?.failures, state?.retryAt], [all, noon(all)], 'the last one counted decides')
    }
  })

  it('are forgotten by a resume, and not by a pause', async () => {
    await pools.noteFailure(DEBIAN, 'no', afterFailures)
    await pools.setPaused(DEBIAN, true)
    const paused = await stateOf(DEBIAN)
    assert.deepEqual([paused?.paused, paused?.failures, paused?.lastError], [true, 1, 'no'])
    await pools.setPaused(DEBIAN, false)
    const resumed = await stateOf(DEBIAN)
    assert.deepEqual(
      [resumed?.paused, resumed?.failures, resumed?.retryAt, resumed?.lastError],
      [false, 0, undefined, undefined]
    )
  })
})

describe('a spare that was refused when it was to be armed', () => {
  it('waits for as long as its pool does, or until a resume', async () => {
    const image = anImage()
    const [asked] = await spares.request(() => [aCreation(image)], newId, NOON)
    const id = asked?.id ?? ''
    await spares.noteVolume(id, 'volume', NOON)
    const start = async (at: Date) => (await spares.noteFinished([{ id, toArm: true }], noon(5), at)).length
    assert.equal(await start(NOON), 1)
    await pools.noteFailure(DEBIAN, 'refused', () => noon(60))
    await spares.armLater([id])
    assert.deepEqual([await start(noon(59)), await start(noon(61))], [0, 1])
    await spares.armLater([id])
    await pools.setPaused({ ...DEBIAN, type: 'sas' }, false)
    assert.equal(await start(noon(59)), 0)
    await pools.setPaused(DEBIAN, false)
    assert.equal(await start(noon(59)), 1)
    await pools.setPaused(DEBIAN, false)
    assert.equal(await start(noon(4)), 0, 'a resume frees none that somebody arms just now')
  })
})

describe('an error of a pool', () => {
  it('is news once', async () => {
    await pools.ensure([DEBIAN])
    assert.equal(await pools.noteError(DEBIAN, 'no image'), true)
    assert.equal(await pools.noteError(DEBIAN, 'no image'), false)
    assert.equal(await pools.noteError(DEBIAN, undefined), true)
    assert.equal(await pools.noteError(DEBIAN, undefined), false)
  })

  it('is news to one of twenty rivals', async () => {
    await pools.ensure([DEBIAN])
    const news = await rivals(RIVALS, () => pools.noteError(DEBIAN, 'no image'))
    assert.equal(news.filter(Boolean).length, 1)
  })
})

describe('a newer snapshot in Cinder', () => {
  it('is remembered for its pool, until it is no longer newer', async () => {
    await pools.ensure([DEBIAN, SAS])
    await pools.noteNewer([{ ...DEBIAN, version: '2' }])
    assert.deepEqual([(await stateOf(DEBIAN))?.newerInCinder, (await stateOf(SAS))?.newerInCinder], ['2', undefined])
    await pools.noteNewer([{ ...SAS, version: '3' }])
    assert.deepEqual([(await stateOf(DEBIAN))?.newerInCinder, (await stateOf(SAS))?.newerInCinder], [undefined, '3'])
    await pools.noteNewer([])
    assert.equal((await stateOf(SAS))?.newerInCinder, undefined)
  })
})
