import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { shared } from '../../src/http/shared-read.ts'
import { countStatements } from '../support/cloud.ts'
import { Gate } from '../support/gate.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { aService, type TestService } from '../support/service.ts'

/** A read that gives its number, and the gate that it waits for where there is one. */
function aRead() {
  const clock = new ManualClock()
  const reads = { begun: 0, gate: undefined as Gate | undefined, fails: false }
  const read = shared(clock, async () => {
    reads.begun += 1
    const number = reads.begun
    await reads.gate?.passed
    if (reads.fails) throw new Error(`read ${number} failed`)
    return number
  })
  return { clock, reads, read }
}

describe('a shared read', () => {
  it('is at most a second old', async () => {
    const { clock, read } = aRead()
    assert.deepEqual(await Promise.all([read(), read(), read()]), [1, 1, 1])
    clock.pass(1)
    assert.equal(await read(), 1)
    clock.pass(0.001)
    assert.equal(await read(), 2)
    clock.jump(-3600) // It goes by a clock that only goes forward.
    assert.equal(await read(), 2)
  })

  it('never has a second one beside it, however long it hangs', async () => {
    const { clock, reads, read } = aRead()
    reads.gate = new Gate()
    const asked = [read()]
    for (let n = 0; n < 10; n += 1) {
      clock.pass(1)
      asked.push(read())
    }
    assert.equal(reads.begun, 1)
    reads.gate.open()
    assert.deepEqual(new Set(await Promise.all(asked)), new Set([1]))
    assert.equal(await read(), 2, 'what began ten seconds ago is old')
  })

  it('that fails, fails for all who wait, and is not kept', async () => {
    const { reads, read } = aRead()
    reads.fails = true
    for (const asked of await Promise.allSettled([read(), read()])) {
      assert.ok(asked.status === 'rejected' && String(asked.reason).includes('read 1 failed'))
    }
    reads.fails = false
    assert.equal(await read(), 2)
    assert.equal(await read(), 2)
  })
})

/** Statements: the stock, the orphans; two for the migrations, and the one that only a primary takes. */
const SCRAPE = 2
const READINESS = 3

describe('fifty requests for metrics and readiness at once', () => {
  /** Time stands still. */
  const askAll = async ({ service }: TestService): Promise<void> => {
    const answers = Array.from({ length: 50 }, () => [service.app.inject('/metrics'), service.app.inject('/readyz')])
    for (const { statusCode } of await Promise.all(answers.flat())) assert.equal(statusCode, 200)
  }

  it('cost one read each, and none of the connections that claims use', async t => {
    const service = await aService(t)
    const [byClaims, byTicks] = [[service.service.db], [service.service.tickDb]].map(of => countStatements(service, of))
    await askAll(service)
    assert.deepEqual([byClaims?.(), byTicks?.()], [0, SCRAPE + READINESS])
    await askAll(service)
    assert.deepEqual([byClaims?.(), byTicks?.()], [0, SCRAPE + READINESS])
    service.clock.pass(1.001)
    await askAll(service)
    assert.deepEqual([byClaims?.(), byTicks?.()], [0, 2 * (SCRAPE + READINESS)])
  })
})
