import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { isOurs, patienceSeconds, verdictOnAvailable, verdictOnCreating } from '../../src/pool/verdict.ts'
import { aSpare, aVolume } from '../support/samples.ts'

const TRANSFER = { id: 'transfer', sealedKey: 'sealed' }

describe('a volume that is being made', () => {
  it.for([
    ['creating', 'keep'],
    ['downloading', 'keep'],
    ['extending', 'keep'],
    ['available', 'stock'],
    ['awaiting-transfer', 'rearm'],
    ['error', 'retire'],
    ['error_extending', 'retire'],
    ['error_restoring', 'retire'],
    ['deleting', 'retire'],
    ['in-use', 'drop'],
    ['attaching', 'drop'],
    ['reserved', 'drop'],
    ['maintenance', 'drop'],
    ['some-status-of-tomorrow', 'drop']
  ] as const)('in status %s means: %s', ([status, verdict]) => {
    assert.equal(verdictOnCreating(aVolume(status)), verdict)
  })

  it('means drop when it is gone, or attached to a server already', () => {
    assert.equal(verdictOnCreating(undefined), 'drop')
    assert.equal(verdictOnCreating(aVolume('available', { attached: true })), 'drop')
  })
})

describe('a volume is given up', () => {
  it.for([
    [undefined, 600],
    [199, 600],
    [201, 603]
  ] as const)('where the longest of its pool took %s s: after %s s', ([longest, seconds]) => {
    assert.equal(patienceSeconds(longest), seconds)
  })
})

describe('a volume in stock', () => {
  it.for([
    ['available', 'rearm', 'rearm', 'keep'],
    ['awaiting-transfer', 'keep', 'rearm', 'rearm'],
    ['extending', 'keep', 'keep', 'keep'],
    ['error', 'retire', 'retire', 'retire'],
    ['error_deleting', 'retire', 'retire', 'retire'],
    ['deleting', 'retire', 'retire', 'retire'],
    ['in-use', 'drop', 'drop', 'drop'],
    ['creating', 'drop', 'drop', 'drop']
  ] as const)('in status %s means: %s when armed, %s when it should be, %s when it should not', row => {
    const [status, armed, toBeArmed, unarmed] = row
    assert.equal(verdictOnAvailable(aSpare({ transfer: TRANSFER }), aVolume(status), true), armed)
    assert.equal(verdictOnAvailable(aSpare(), aVolume(status), true), toBeArmed)
    assert.equal(verdictOnAvailable(aSpare(), aVolume(status), false), unarmed)
  })

  it('is armed anew where its transfer was noted, though none are wanted any more', () => {
    assert.equal(verdictOnAvailable(aSpare({ transfer: TRANSFER }), aVolume('available'), false), 'rearm')
  })

  it('means drop when it is gone, or attached', () => {
    assert.equal(verdictOnAvailable(aSpare(), undefined, true), 'drop')
    assert.equal(verdictOnAvailable(aSpare(), aVolume('available', { attached: true }), true), 'drop')
  })
})

describe('a volume that may be deleted', () => {
  const ours = aVolume('available', { name: 'spare-7', metadata: { spare_pool: 'blue', spare_id: '7' } })

  it('bears the spare’s name, carries our deployment and its id, lies in the pool’s project and is attached to nothing', () => {
    assert.ok(isOurs(ours, '7', 'blue', 'pool'))
  })

  it.for([
    ['renamed', { name: 'kept by hand' }],
    ['without metadata', { metadata: {} }],
    ['of another deployment', { metadata: { spare_pool: 'green', spare_id: '7' } }],
    ['of another spare', { metadata: { spare_pool: 'blue', spare_id: '8' } }],
    ['in another project', { projectId: 'tenant' }],
    ['of unknown project', { projectId: '' }],
    ['attached to a server', { attached: true }]
  ] as const)('is not one %s', ([, differs]) => {
    assert.ok(!isOurs({ ...ours, ...differs }, '7', 'blue', 'pool'))
  })
})
