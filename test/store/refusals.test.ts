import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { newClaim } from '../../src/pool/claim.ts'
import { aRequest, DEBIAN, NOON, noon } from '../support/samples.ts'
import { aStore, rivals } from '../support/store.ts'

const RIVALS = 8
const { history, rows } = await aStore(RIVALS)

const HOUR = 3_600
const refuse = (hostname: string, seconds = 0, projectId = 'tenant') =>
  history.countRefusal(
    newClaim(aRequest({ hostname, projectId }), 'any', noon(seconds)),
    'empty',
    noon(seconds),
    noon(seconds - HOUR)
  )
const misses = async () => (await history.read(noon(-99_999), [DEBIAN]))[0]?.misses

describe('a refused claim', () => {
  it('is a miss, once in an hour for a project and name', async () => {
    assert.deepEqual(
      [await refuse('a'), await refuse('a', 1), await refuse('b', 1), await refuse('a', 1, 'other')],
      [true, false, true, true]
    )
    assert.deepEqual(
      [await refuse('a', HOUR - 1), await refuse('a', HOUR), await refuse('a', HOUR + 1)],
      [false, true, false]
    )
    assert.deepEqual(await misses(), { empty: 4 })
  })

  it('counts once, however many ask at once', async () => {
    const counted = await rivals(RIVALS, () => refuse('a'))
    assert.deepEqual([counted.filter(Boolean).length, await misses()], [1, { empty: 1 }])
  })

  it('is forgotten after an hour', async () => {
    await refuse('a')
    await refuse('b', 10)
    assert.equal(await history.forgetRefusals(NOON), 1)
    assert.deepEqual(await rows('select name from refusals'), [{ name: 'b_sys' }])
  })
})
