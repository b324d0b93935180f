import assert from 'node:assert/strict'
import { pino } from 'pino'
import { describe, it, type TestContext, vi } from 'vitest'
import { newId } from '../src/clock.ts'
import { createMetrics } from '../src/metrics.ts'
import { type Database, query } from '../src/store/connection/database.ts'
import { storesOf } from '../src/store/stores.ts'
import { Ticker } from '../src/ticker.ts'
import { aDatabase } from './support/database.ts'
import { Gate } from './support/gate.ts'
import { TestClock } from './support/test-clock.ts'
import { until } from './support/until.ts'

const EVERY_SECOND = '* * * * * *'
const NEVER = '0 0 0 30 2 *'

/** A replica whose tick begins with the next second, and lasts until the gate is open. */
function aReplica(t: TestContext, db: Database, clock: TestClock) {
  const begun = new Gate()
  const { end, ticker } = aTicker(t, db, clock, EVERY_SECOND, begun.open.bind(begun))
  ticker.start()
  return { begun, end, ticker }
}

type Begin = (letNextBegin: () => void) => void

function aTicker(t: TestContext, db: Database, clock: TestClock, cron: string, begin: Begin) {
  const end = new Gate()
  const ticker = new Ticker({
    name: 'check_state',
    cron,
    run: async (_signal, letNextBegin) => {
      begin(letNextBegin)
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
  return { end, ticker }
}

const [HOUR, TWENTY_YEARS] = [3_600, 20 * 365 * 86_400]

/** Time as the machine tells it, to node-cron too; gives what sets it. */
function theMachinesTime(t: TestContext): (seconds: number) => void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now(), shouldAdvanceTime: true })
  t.onTestFinished(() => void vi.useRealTimers())
  return seconds => vi.setSystemTime(Date.now() + seconds * 1000)
}

/** Of the lease; less than none where nobody has it. */
async function secondsLeft(db: Database, clock: TestClock): Promise<number> {
  const [row] = await query<{ lease_until: Date | null }>(db, 'select lease_until from ticks')
  return ((row?.lease_until?.getTime() ?? 0) - clock.now().getTime()) / 1000
}

describe('a tick', () => {
  it('of a killed replica goes on in another within ten seconds', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    const killed = aReplica(t, db, clock)
    await killed.begun.passed
    const left = await secondsLeft(db, clock)
    assert.ok(left > 0 && left <= 10, `${left} s`)
  })

  it.for([-HOUR, HOUR, TWENTY_YEARS])(
    'loses at most one period when the clock is set by %i seconds',
    async (seconds, t) => {
      const setTime = theMachinesTime(t)
      let runs = 0
      const { end, ticker } = aTicker(t, await aDatabase(t), new TestClock(), EVERY_SECOND, () => {
        runs += 1
      })
      end.open()
      ticker.start()
      await until(() => runs > 0)
      const before = runs
      setTime(seconds)
      await until(() => runs >= before + 2, 4)
    }
  )

  it('has its real duration, although the clock is set meanwhile', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    const { end, ticker } = aTicker(t, db, clock, NEVER, () => undefined)
    const running = ticker.now()
    clock.pass(2)
    clock.jump(-HOUR)
    end.open()
    await running
    const [row] = await storesOf(db).ticks.list()
    assert.deepEqual([row?.seconds, row?.lastOkAt], [2, clock.now()])
  })

  it('keeps its lease while it runs, and then gives it up', async t => {
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

  it('does not run again before it has ended, and then once for all who asked', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    let runs = 0
    const { end, ticker } = aTicker(t, db, clock, NEVER, () => {
      runs += 1
    })
    for (let asked = 0; asked < 5; asked += 1) ticker.soon()
    assert.equal(runs, 1)
    end.open()
    await until(() => clock.sleepers === 1) // The second one, which is not begun at once.
    clock.pass(1)
    await until(() => runs === 2)
    await ticker.end(new AbortController().signal)
    assert.equal(runs, 2)
  })

  it('runs again once a run lets it, and its stop waits for all runs', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    let runs = 0
    const { end, ticker } = aTicker(t, db, clock, NEVER, letNextBegin => {
      runs += 1
      letNextBegin()
    })
    const running = [ticker.now(), ticker.now()]
    assert.equal(runs, 2)
    let hasEnded = false
    const ending = ticker.end(new AbortController().signal).finally(() => {
      hasEnded = true
    })
    await until(() => clock.sleepers === 4) // The limit and the lease of both.
    assert.equal(hasEnded, false)
    end.open()
    await Promise.all([...running, ending])
  })

  it('runs at the earliest time asked for, unless another replica has the lease', async t => {
    const [db, clock] = [await aDatabase(t), new TestClock()]
    let runs = 0
    const { end, ticker } = aTicker(t, db, clock, NEVER, () => {
      runs += 1
    })
    end.open()
    for (const ms of [9_000, 2_000, 5_000]) ticker.within(ms)
    clock.pass(1)
    assert.equal(runs, 0)
    clock.pass(1)
    await until(() => runs === 1)
    const anothers = { until: new Date(clock.now().getTime() + 10_000) }
    await query(db, 'update ticks set holder = gen_random_uuid(), lease_until = :until', anothers)
    ticker.within(1_000)
    clock.pass(30)
    await ticker.end(new AbortController().signal)
    assert.equal(runs, 1)
  })
})
