import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { createLog } from '../src/log.ts'
import { SharedClock } from '../src/shared-clock.ts'
import { OwnClock } from './support/own-clock.ts'
import { SimulatedClock } from './support/simulated-clock.ts'
import { until } from './support/until.ts'

const HOUR = 3_600

/** A replica on a machine whose clock is so far ahead of the database's. */
function aReplica(database: SimulatedClock, aheadSeconds = 0) {
  const machine = new OwnClock(database, aheadSeconds)
  return { machine, clock: new SharedClock(machine) }
}

/** The database's time, how often it was asked for, and what it takes to answer. */
function anAnswer(database: SimulatedClock) {
  const answer = { asked: 0, aheadSeconds: 0, secondsBefore: 0, secondsAfter: 0, isDown: false }
  const time = async (): Promise<Date> => {
    answer.asked += 1
    if (answer.isDown) throw new Error('down')
    database.pass(answer.secondsBefore)
    const now = new Date(database.now().getTime() + answer.aheadSeconds * 1000)
    database.pass(answer.secondsAfter)
    return now
  }
  return Object.assign(answer, { time })
}

describe('the time of all replicas', () => {
  it('is the database’s, whatever their machines say and however those are set', async () => {
    const database = new SimulatedClock()
    const replicas = [0, HOUR, -HOUR].map(ahead => aReplica(database, ahead))
    for (const { clock } of replicas) assert.ok(await clock.align(anAnswer(database).time))
    for (const { machine } of replicas) machine.jump(-2 * HOUR)
    database.pass(10)
    for (const { clock } of replicas) assert.deepEqual(clock.now(), database.now())
  })

  it('is the machine’s until the database has been asked, and goes on where it does not answer', async () => {
    const database = new SimulatedClock()
    const { clock, machine } = aReplica(database, HOUR)
    const answer = anAnswer(database)
    answer.isDown = true
    assert.equal(await clock.align(answer.time), false)
    assert.deepEqual(clock.now(), machine.now())
    answer.isDown = false
    await clock.align(answer.time)
    answer.isDown = true
    database.pass(10)
    assert.equal(await clock.align(answer.time), false)
    assert.deepEqual(clock.now(), database.now())
  })

  it('is not moved by an answer that took long, unless it cannot be right', async () => {
    const database = new SimulatedClock()
    const { clock } = aReplica(database, HOUR)
    const answer = anAnswer(database)
    await clock.align(answer.time)
    Object.assign(answer, { secondsBefore: 4, secondsAfter: 0 })
    await clock.align(answer.time)
    assert.deepEqual(clock.now(), database.now())
    Object.assign(answer, { aheadSeconds: 60, secondsBefore: 1, secondsAfter: 1 })
    await clock.align(answer.time)
    assert.equal(clock.now().getTime() - database.now().getTime(), 60_000)
  })

  it('is asked for every half a minute, sooner after a failure, and at once where the machine’s was set', async t => {
    const database = new SimulatedClock()
    const { clock, machine } = aReplica(database)
    const answer = anAnswer(database)
    const end = await clock.keepAligned(answer.time, createLog('silent'))
    t.onTestFinished(end)
    /** Second by second, as the clock looks again only once it has looked. */
    const pass = async (seconds: number): Promise<number> => {
      const before = answer.asked
      for (let second = 0; second < seconds; second += 1) {
        database.pass(1)
        await until(() => database.sleepers === 1)
      }
      return answer.asked - before
    }
    assert.equal(await pass(29), 0)
    answer.isDown = true
    assert.equal(await pass(1), 1)
    assert.equal(await pass(5), 1)
    answer.isDown = false
    assert.equal(await pass(5), 1)
    machine.jump(-HOUR)
    assert.equal(await pass(1), 1)
    assert.equal(await pass(29), 0)
  })

  it('is told in the log where a machine is apart from it: once, and again when that has changed', async t => {
    const database = new SimulatedClock()
    const { clock, machine } = aReplica(database, HOUR)
    const lines: { seconds: number; level: string }[] = []
    const log = createLog('trace', { write: line => void lines.push(JSON.parse(line)) })
    const end = await clock.keepAligned(anAnswer(database).time, log)
    t.onTestFinished(end)
    const pass = async (): Promise<void> => {
      database.pass(31)
      await until(() => database.sleepers === 1)
    }
    await pass()
    machine.jump(3)
    await pass()
    machine.jump(-HOUR)
    await pass()
    await pass()
    const [apart, together, ...more] = lines.map(({ seconds, level }) => [seconds, level])
    assert.deepEqual([apart, together, more], [[HOUR, 'warn'], [3, 'info'], []])
  })
})
