import assert from 'node:assert/strict'
import { pino } from 'pino'
import { describe, it, type TestContext } from 'vitest'
import { newId } from '../src/clock.ts'
import { createMetrics } from '../src/metrics.ts'
import { type Database, query } from '../src/store/database.ts'
import { storesOf } from '../src/store/stores.ts'
import { Ticker } from '../src/ticker.ts'
import { aDatabase } from './support/database.ts'
import { Gate } from './support/gate.ts'
import { TestClock } from './support/test-clock.ts'
import { until } from './support/until.ts'

/** A replica whose tick begins with the next second, and lasts until the gate is open. */
function aReplica(t: TestContext, db: Database, clock: TestClock) {
  const [begun, end] = [new Gate(), new Gate()]
  const ticker = new Ticker({
    name: 'check_state',
    cron: '* * * * * *',
    run: async () => {
      begun.open()
      await end.passed
    },
    limitSeconds: 120,
    ticks: storesOf(db).ticks,
    clock,
    newId,
    log: pino({ level: 'silent' }),
    observer: createMetrics('test').observer
  })
  t.onTestFinished(() => {
    end.open()
    return ticker.end(new AbortController().signal)
  })
  ticker.start()
  return { begun, end, ticker }
}

/** Of the lease; less than none where nobody has it. */
async function secondsLeft(db: Database, clock: TestClock): Promise<number> {
  const [row] = await query<{ lease_until: Date | null }>(db, 'select lease_until from ticks')
  return ((row?.lease_until?.getTime() ?? 0) - clock.now().getTime()) / 1000
}

describe('a tick', () => {
  it('of a replica that was killed in the middle of it goes on elsewhere within ten seconds', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    const killed = aReplica(t, db, clock)
    await killed.begun.passed
    const left = await secondsLeft(db, clock)
    assert.ok(left > 0 && left <= 10, `${left} s`)
  })

  it('keeps its lease for as long as it runs, and ends it then', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    const { begun, end, ticker } = aReplica(t, db, clock)
    await begun.passed
    const sleepers = clock.sleepers
    for (let renewal = 0; renewal < 20; renewal += 1) {
      clock.pass(3)
      await until(() => clock.sleepers === sleepers) // Until the next renewal, this one being done.
      assert.equal(await secondsLeft(db, clock), 10)
    }
    end.open()
    await ticker.end(new AbortController().signal)
    assert.ok((await secondsLeft(db, clock)) < 0)
  })
})
