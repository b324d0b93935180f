import assert from 'node:assert/strict'
import { array, assert as check, constantFrom, property, string } from 'fast-check'
import { describe, it } from 'vitest'
import { fingerprintOf, preferredVolume, USABILITIES, usabilityOf, volumeName } from '../../src/pool/claim.ts'
import { aRequest, aVolume, noon } from '../support/samples.ts'

/** Every status that Cinder's API knows for a volume. */
const STATUSES = {
  available: ['available'],
  on_its_way: ['creating', 'downloading', 'extending'],
  unusable: [
    'error',
    'error_deleting',
    'error_extending',
    'error_restoring',
    'error_backing-up',
    'error_managing',
    'deleting',
    'awaiting-transfer'
  ],
  in_use: [
    'in-use',
    'attaching',
    'detaching',
    'reserved',
    'maintenance',
    'backing-up',
    'restoring-backup',
    'retyping',
    'uploading',
    'reverting'
  ]
} as const
const ALL = Object.entries(STATUSES).flatMap(([usability, of]) => of.map(status => [status, usability] as const))

describe('an existing volume', () => {
  it.for(ALL)('in status %s is %s to a claim for its name', ([status, usability]) => {
    assert.equal(usabilityOf(status), usability)
  })
})

describe('of several volumes of one name', () => {
  const ids = (...statuses: string[]) =>
    statuses.map((status, age) => aVolume(status, { id: status, createdAt: noon(age) }))

  it('an available one is preferred, then one in use, then one on its way', () => {
    assert.equal(preferredVolume(ids('error', 'creating', 'in-use', 'available'))?.id, 'available')
    assert.equal(preferredVolume(ids('error', 'creating', 'in-use'))?.id, 'in-use')
    assert.equal(preferredVolume(ids('error', 'creating'))?.id, 'creating')
    assert.equal(preferredVolume(ids('error'))?.id, 'error')
    assert.equal(preferredVolume([]), undefined)
  })

  it('the oldest is preferred among equals', () => {
    const volumes = [3, 1, 2].map(age => aVolume('available', { id: `${age}`, createdAt: noon(age) }))
    assert.equal(preferredVolume(volumes)?.id, '1')
  })

  it('none is better than the one preferred, in whatever order they come', () => {
    const volume = constantFrom(...ALL).chain(([status]) =>
      constantFrom(0, 1, 2).map(age => aVolume(status, { id: `${status} ${age}`, createdAt: noon(age) }))
    )
    check(
      property(array(volume, { minLength: 1 }), volumes => {
        const best = preferredVolume(volumes)
        assert.ok(best)
        const rank = ({ status }: { status: string }) => USABILITIES.indexOf(usabilityOf(status))
        for (const other of volumes) {
          assert.ok(rank(best) <= rank(other))
          if (rank(best) === rank(other)) assert.ok(best.createdAt <= other.createdAt)
        }
        assert.equal(preferredVolume(volumes.toReversed())?.id, best.id)
      })
    )
  })
})

describe('a claim’s volume name', () => {
  it('is made of the parts that the template names', () => {
    const parts = { hostname: 'web-01', category: 'sys', os: 'debian12', type: 'ssd' }
    assert.equal(volumeName('{hostname}_{category}', parts), 'web-01_sys')
    assert.equal(volumeName('vm-{hostname}-{os}-{type}-{hostname}', parts), 'vm-web-01-debian12-ssd-web-01')
  })

  it('takes the parts as they are, whatever is in them', () => {
    check(
      property(string(), string(), (hostname, category) => {
        assert.equal(volumeName('{hostname}_{category}', { hostname, category }), `${hostname}_${category}`)
      })
    )
    assert.equal(volumeName('{hostname}_{category}', { hostname: '{category}$&', category: 'sys' }), '{category}$&_sys')
  })
})

describe('the same claim under one idempotency key', () => {
  const fingerprint = fingerprintOf(aRequest())

  it('may wait for another time, come under another key and from another caller', () => {
    const caller = { token: 't', userId: 'u', projectId: 'tenant', roles: [], expiresAt: noon(60) }
    assert.equal(fingerprintOf(aRequest({ waitSeconds: 60, idempotencyKey: 'key', caller })), fingerprint)
  })

  it.for([
    { hostname: 'web-02' },
    { category: 'system' },
    { name: 'other' },
    { os: 'debian13' },
    { type: 'sas' },
    { sizeGib: 40 },
    { projectId: 'other' },
    { onEmpty: 'fail' }
  ] as const)('asks for the same: not %o', differs => {
    assert.notEqual(fingerprintOf(aRequest({ name: 'web-01_sys', ...differs })), fingerprint)
  })

  it('does not take two parts for the same that only join to the same text', () => {
    const [a, b] = [aRequest({ os: 'a","b', type: 'c' }), aRequest({ os: 'a', type: 'b","c' })]
    assert.notEqual(fingerprintOf(a), fingerprintOf(b))
  })
})
