import assert from 'node:assert/strict'
import { array, assert as check, constantFrom, property, string } from 'fast-check'
import { describe, it } from 'vitest'
import {
  fingerprintOf,
  preferredVolume,
  USABILITIES,
  usabilityOf,
  usabilityOfExisting,
  volumeName
} from '../../src/pool/claim.ts'
import { PoolError } from '../../src/pool/errors.ts'
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
/** What `[c for c in range(0x10000) if chr(c).isspace()]` is in Python 3.11. */
const STRIPPED_BY_PYTHON = [
  0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
  0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000
]
const ALL = Object.entries(STATUSES).flatMap(([usability, of]) => of.map(status => [status, usability] as const))

describe('an existing volume', () => {
  it.for(ALL)('in status %s is %s to a claim for its name', ([status, usability]) => {
    assert.equal(usabilityOf(status), usability)
    assert.equal(usabilityOfExisting({ status, bootable: true }), usability)
  })

  it.for(ALL)('that is not bootable is of no use, unless it may become so: in status %s', ([status, usability]) => {
    const expected = usability === 'on_its_way' ? 'on_its_way' : 'unusable'
    assert.equal(usabilityOfExisting({ status, bootable: false }), expected)
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

  it('one that does not boot comes after all that may', () => {
    const blank = aVolume('available', { id: 'blank', bootable: false, createdAt: noon(0) })
    assert.equal(preferredVolume([blank, ...ids('creating')])?.id, 'creating')
    assert.equal(preferredVolume([blank, ...ids('in-use')])?.id, 'in-use')
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
  const parts = { hostname: 'web-01', category: 'sys', os: 'debian12', type: 'ssd' }

  it('is made of the parts that the template names', () => {
    assert.equal(volumeName('{hostname}_{category}', parts), 'web-01_sys')
    assert.equal(volumeName('vm-{hostname}-{os}-{type}-{hostname}', parts), 'vm-web-01-debian12-ssd-web-01')
  })

  it('takes the parts as they are, whatever is in them', () => {
    check(
      property(string(), string(), (hostname, category) => {
        const name = volumeName('|{hostname}_{category}|', { ...parts, hostname, category })
        assert.equal(name, `|${hostname}_${category}|`)
      })
    )
    const name = volumeName('{hostname}_{category}', { ...parts, hostname: '{category}$&' })
    assert.equal(name, '{category}$&_sys')
  })

  it('is trimmed as Cinder trims it: by Python’s str.strip()', () => {
    const codes = Array.from({ length: 0x1_0000 }, (_, code) => code).filter(code => code < 0xd800 || code > 0xdfff)
    const trimmed = codes.filter(code => {
      const odd = String.fromCodePoint(code)
      return volumeName('{hostname}', { ...parts, hostname: `${odd}${odd}a${odd}b${odd}` }) === `a${odd}b`
    })
    assert.deepEqual(trimmed, STRIPPED_BY_PYTHON)
  })

  it.for([
    ['{hostname}', { hostname: ' \u00a0\u3000' }, /^"hostname" \(3 characters\) would .* name of 0 characters/],
    [
      '{hostname}_{category}',
      { hostname: 'a'.repeat(252) },
      /^"hostname" \(252 characters\) would .* of 256 characters/
    ],
    [
      '{hostname}_{category}',
      { category: 'c'.repeat(255) },
      /^"hostname" \(6 .*\) and "category" \(255 characters\) would/
    ]
  ] as const)('of %s that cannot be one is the caller’s mistake, and says whose: %o', ([template, odd, detail]) => {
    assert.throws(
      () => volumeName(template, { ...parts, ...odd }),
      (error: unknown) => error instanceof PoolError && error.code === 'invalid_request' && detail.test(error.message)
    )
  })

  it('has its length after it was trimmed', () => {
    const name = 'a'.repeat(255)
    assert.equal(volumeName('{hostname}', { ...parts, hostname: `  ${name} ` }), name)
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
