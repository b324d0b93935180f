import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { nextLookMs } from '../../src/operations/ticks/check-state.ts'
import { aSpare, noon } from '../support/samples.ts'

/** In how many seconds, where the spares are so old and a look has taken so long. */
const next = (agesSeconds: readonly number[], tookSeconds = 0): number =>
  nextLookMs(
    agesSeconds.map(age => aSpare({ createdAt: noon(-age) })),
    tookSeconds * 1000,
    noon(0)
  ) / 1000

describe('the next look at volumes on their way', () => {
  it('comes within a twentieth of what the youngest has taken so far', () => {
    assert.equal(next([60]), 3)
    assert.equal(next([600, 100, 60]), 3)
  })

  it('comes four times a second at most', () => {
    assert.equal(next([0]), 0.25)
    assert.equal(next([1, 900]), 0.25)
  })

  it('leaves a slow Cinder in peace for ten times as long as a look takes', () => {
    assert.equal(next([1], 2), 20)
  })
})
