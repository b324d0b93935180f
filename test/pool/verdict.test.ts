import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import {
  cannotMove,
  isOurs,
  patienceSeconds,
  spareIdOf,
  verdictOnAvailable,
  verdictOnCreating
} from '../../src/pool/verdict.ts'
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
    assert.equal(verdictOnCreating(aSpare(), aVolume(status)), verdict)
  })

  it('means drop when it is gone, or attached to a server already', () => {
    assert.equal(verdictOnCreating(aSpare(), undefined), 'drop')
    assert.equal(verdictOnCreating(aSpare(), aVolume('available', { attached: true })), 'drop')
  })

  it.for(['creating', 'available', 'awaiting-transfer', 'error'])(
    'means retire in status %s where it is of another type than was asked for',
    status => {
      assert.equal(verdictOnCreating(aSpare(), aVolume(status, { volumeType: '__DEFAULT__' })), 'retire')
      assert.equal(verdictOnCreating(aSpare({ volumeType: '' }), aVolume(status)), 'retire')
    }
  )

  it('has no type if its image has none', () => {
    assert.equal(verdictOnCreating(aSpare({ volumeType: '' }), aVolume('available', { volumeType: '' })), 'stock')
  })

  it('is not touched if it is attached, whatever its type', () => {
    assert.equal(verdictOnCreating(aSpare(), aVolume('in-use', { volumeType: 'x', attached: true })), 'drop')
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

  it('is armed again if its transfer was noted, though none are wanted any more', () => {
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

describe('the spare of a volume', () => {
  const id = 'abcdef00-0000-4000-8000-00000000000a'
  const asMade = { name: `spare-${id}`, metadata: { spare_pool: 'default', spare_id: id } }

  it('is told by its id, where the volume is as a creation leaves it', () => {
    assert.equal(spareIdOf(aVolume('available', asMade), 'default', 'pool'), id)
  })

  it.for([
    ['another name', { name: 'spare-abcdef00-0000-4000-8000-00000000000b' }],
    ['another deployment', { metadata: { spare_pool: 'other', spare_id: id } }],
    ['another project', { projectId: 'tenant' }],
    ['a server', { attached: true }],
    ['no size', { sizeGib: 0 }],
    ['a size that is no whole number', { sizeGib: 20.5 }],
    ['a size beyond all', { sizeGib: 2 ** 31 }],
    [
      'an id in upper case',
      { name: `spare-${id.toUpperCase()}`, metadata: { spare_pool: 'default', spare_id: id.toUpperCase() } }
    ],
    ['an id that is none', { name: 'spare-test', metadata: { spare_pool: 'default', spare_id: 'test' } }],
    ['no id', { name: 'spare-', metadata: { spare_pool: 'default' } }]
  ] as const)('is nobody’s with %s', ([, differs]) => {
    assert.equal(spareIdOf(aVolume('available', { ...asMade, ...differs }), 'default', 'pool'), undefined)
  })
})

describe('an encrypted volume', () => {
  it.for([
    [true, 'transfer', true],
    [true, 'rename', false],
    [false, 'transfer', false]
  ] as const)('encrypted: %s, handed over by %s, cannot move: %s', ([encrypted, handover, expected]) => {
    assert.equal(cannotMove(aVolume('available', { encrypted }), handover), expected)
  })
})
