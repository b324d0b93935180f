import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { FAULT_KINDS } from '../../sandbox/faults.ts'
import { seed } from '../support/seed.ts'
import { chaos } from './chaos.ts'
import { counts, faultsOf } from './counts.ts'

const CLAIMS = Number(process.env['CHAOS_CLAIMS'] ?? 1_500)
/** On a machine of two cores a claim takes 0.05 s. */
const SECONDS_MAX = 60 + CLAIMS * 0.2

describe('two service processes that are killed again and again, on a cloud with all faults', () => {
  it.for(['member', 'admin'] as const)(
    'give each claim its one disk, lose none, touch nobody else’s, and are full again, where the service is %s',
    { timeout: 2 * SECONDS_MAX * 1000 },
    async (role, t) => {
      const outcome = await chaos(t, { seed, role, claims: CLAIMS, callers: 32, restarts: 2, secondsMax: SECONDS_MAX })
      console.log(counts(outcome))
      assert.deepEqual(faultsOf(outcome), [])
      assert.equal(outcome.restarts, 2)
      assert.ok(outcome.kills > 0)
      assert.deepEqual(
        FAULT_KINDS.filter(kind => !outcome.strikes.has(kind)),
        []
      )
    }
  )
})
