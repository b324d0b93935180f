import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { mayBecome, SPARE_STATUSES, samePool, spareMetadata, spareName } from '../../src/pool/spare.ts'

const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  requested: ['creating', 'retiring', 'gone'],
  creating: ['available', 'retiring', 'gone'],
  available: ['creating', 'reserved', 'retiring', 'gone'],
  reserved: ['requested', 'creating', 'available', 'retiring', 'gone'],
  retiring: ['gone']
}
const PAIRS = SPARE_STATUSES.flatMap(from => [...SPARE_STATUSES, 'gone' as const].map(to => [from, to] as const))

describe('a spare’s status', () => {
  it.for(PAIRS)('may follow another only as the table says: %s, then %s', ([from, to]) => {
    assert.equal(mayBecome(from, to), ALLOWED[from]?.includes(to))
  })

  it('never changes again once the spare is retiring', () => {
    for (const to of SPARE_STATUSES) assert.equal(mayBecome('retiring', to), false)
  })

  it('may end from everywhere', () => {
    for (const from of SPARE_STATUSES) assert.equal(mayBecome(from, 'gone'), true)
  })
})

describe('a spare in Cinder', () => {
  it('is named spare-<id> and carries the deployment and its id', () => {
    assert.equal(spareName('7'), 'spare-7')
    assert.deepEqual(spareMetadata('blue', '7'), { spare_pool: 'blue', spare_id: '7' })
  })
})

describe('a pool', () => {
  it('is one os on one type', () => {
    const pool = { os: 'debian12', type: 'ssd' }
    assert.ok(samePool(pool, { ...pool }))
    assert.ok(!samePool(pool, { ...pool, os: 'debian13' }))
    assert.ok(!samePool(pool, { ...pool, type: 'sas' }))
  })
})
