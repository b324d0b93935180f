import assert from 'node:assert/strict'
import { array, asyncProperty, boolean, assert as check, constantFrom, integer, record } from 'fast-check'
import { describe, it } from 'vitest'
import { NextRun, Slots } from '../../src/openstack/waiting.ts'
import type { Priority } from '../../src/pool/ports.ts'
import { Gate } from '../support/gate.ts'

const { signal: NEVER } = new AbortController()

/** Who asks for a place, and who has been given one, in that order. */
class Door {
  readonly admitted: string[] = []
  readonly slots: Slots

  constructor(places: number) {
    this.slots = new Slots(places)
  }

  async ask(name: string, priority: Priority, signal: AbortSignal = NEVER): Promise<void> {
    if (await this.slots.take(priority, signal)) this.admitted.push(name)
  }

  /** Those who have been admitted since it was asked last. */
  async came(): Promise<string[]> {
    await new Promise(setImmediate)
    return this.admitted.splice(0)
  }
}

describe('places', () => {
  it('go to claims first, each kind in the order of asking', async () => {
    const door = new Door(2)
    void door.ask('claim 1', 'claim')
    void door.ask('claim 2', 'claim')
    for (const name of ['check 1', 'check 2']) void door.ask(name, 'background')
    for (const name of ['claim 3', 'claim 4']) void door.ask(name, 'claim')
    assert.deepEqual(await door.came(), ['claim 1', 'claim 2'])
    for (const next of ['claim 3', 'claim 4', 'check 1']) {
      door.slots.give('claim')
      assert.deepEqual(await door.came(), [next])
    }
    door.slots.give('background')
    assert.deepEqual(await door.came(), ['check 2'])
  })

  it('are left to claims by half, however much is done in the background', async () => {
    const door = new Door(4)
    for (const name of ['check 1', 'check 2', 'check 3']) void door.ask(name, 'background')
    assert.deepEqual(await door.came(), ['check 1', 'check 2'])
    for (const name of ['claim 1', 'claim 2', 'claim 3']) void door.ask(name, 'claim')
    assert.deepEqual(await door.came(), ['claim 1', 'claim 2'])
    door.slots.give('claim')
    assert.deepEqual(await door.came(), ['claim 3'])
    door.slots.give('background')
    assert.deepEqual(await door.came(), ['check 3'])
  })

  it('are all for claims where there is no other work', async () => {
    const door = new Door(3)
    for (const name of ['1', '2', '3', '4']) void door.ask(name, 'claim')
    assert.deepEqual(await door.came(), ['1', '2', '3'])
  })

  it('are one at least for the background', async () => {
    const door = new Door(1)
    void door.ask('check', 'background')
    assert.deepEqual(await door.came(), ['check'])
  })

  it('are not kept for those who have given up waiting', async () => {
    const door = new Door(1)
    const stop = new AbortController()
    void door.ask('first', 'claim')
    void door.ask('impatient', 'claim', stop.signal)
    void door.ask('patient', 'claim')
    stop.abort()
    void door.ask('late', 'claim', stop.signal)
    door.slots.give('claim')
    assert.deepEqual(await door.came(), ['first', 'patient'])
  })

  it('are never more than there are, never more than half for the background, and never idle while a claim waits', async () => {
    const step = record({ priority: constantFrom<Priority>('claim', 'background'), isGive: boolean() })
    const run = asyncProperty(integer({ min: 1, max: 6 }), array(step), async (places, steps) => {
      const door = new Door(places)
      const [taken, waiting] = [
        { claim: 0, background: 0 },
        { claim: 0, background: 0 }
      ]
      for (const { priority, isGive } of steps) {
        if (!isGive) {
          waiting[priority] += 1
          void door.ask(priority, priority)
        } else if (taken[priority] > 0) {
          taken[priority] -= 1
          door.slots.give(priority)
        }
        for (const admitted of (await door.came()) as Priority[]) {
          taken[admitted] += 1
          waiting[admitted] -= 1
        }
        const room = places - taken.claim - taken.background
        const most = Math.max(1, Math.floor(places / 2))
        assert.ok(room >= 0 && taken.background <= most)
        assert.ok(room === 0 || (waiting.claim === 0 && (waiting.background === 0 || taken.background === most)))
      }
    })
    await check(run)
  })
})

describe('the next run', () => {
  it('is one for all who ask while another is under way, and begins when that has ended, however it did', async () => {
    const runs = new NextRun<number>()
    const begun: Gate[] = []
    const run = async (fails = false): Promise<number> => {
      const gate = new Gate()
      const number = begun.push(gate)
      await gate.passed
      if (fails) throw new Error(`run ${number}`)
      return number
    }
    const first = runs.join('a', () => run(true))
    const second = [runs.join('a', run), runs.join('a', run)]
    const other = runs.join('b', run)
    assert.equal(begun.length, 2) // The first one, and that of another key.
    begun[0]?.open()
    await assert.rejects(first, /run 1/)
    await new Promise(setImmediate)
    const third = runs.join('a', run) // The second one has begun by now.
    for (const index of [1, 2, 3]) {
      begun[index]?.open()
      await new Promise(setImmediate)
    }
    assert.deepEqual(await Promise.all([other, ...second, third]), [2, 3, 3, 4])
    await Promise.all([runs.join('a', async () => 5), runs.join('b', async () => 6)])
    assert.equal(begun.length, 4)
  })
})
