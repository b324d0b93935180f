import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { mayAcceptTwice, mayRecoverFromError, releaseOf } from '../../src/pool/release.ts'

describe('a release of Cinder', () => {
  it.for([
    [0, 'Mitaka'],
    [15, 'Newton'],
    [26, 'Newton'], // On the way to Ocata.
    [27, 'Ocata'],
    [43, 'Pike'],
    [50, 'Queens'],
    [55, 'Rocky'],
    [59, 'Stein or Train'],
    [60, 'Ussuri'],
    [62, 'Victoria'],
    [64, 'Wallaby'],
    [66, 'Xena'],
    [68, 'Yoga'],
    [70, 'Zed, 2023.1 or 2023.2'],
    [71, '2024.1 or newer'],
    [99, '2024.1 or newer']
  ] as const)('that offers 3.%i is %s', ([highestMinor, name]) => {
    assert.deepEqual(releaseOf(highestMinor), { name, highestMinor })
  })

  it('up to Newton accepts a transfer twice, and makes volumes that it gave up', () => {
    assert.deepEqual([0, 15].map(releaseOf).map(mayAcceptTwice), [true, true])
    assert.deepEqual([0, 15].map(releaseOf).map(mayRecoverFromError), [true, true])
    assert.deepEqual([27, 71].map(releaseOf).map(mayAcceptTwice), [false, false])
    assert.deepEqual([27, 71].map(releaseOf).map(mayRecoverFromError), [false, false])
  })
})
