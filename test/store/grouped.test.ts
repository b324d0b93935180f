import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { describe, it } from 'vitest'
import { PoolError } from '../../src/pool/errors.ts'
import { Grouped } from '../../src/store/grouped.ts'
import { Gate } from '../support/gate.ts'

interface Sent {
  readonly items: readonly number[]
  readonly gate: Gate
}

/** A statement that doubles numbers, refuses odd hundreds, and ends when it is let. */
function aStatement(refusal: Error = new Error('violates a constraint')) {
  const sent: Sent[] = []
  const answer = async (items: readonly number[]): Promise<number[]> => {
    const gate = new Gate()
    sent.push({ items, gate })
    await gate.passed
    if (items.some(item => item % 200 === 100)) throw refusal
    return items.map(item => 2 * item)
  }
  const grouped = new Grouped(answer)
  const ask = (...items: number[]) => Promise.allSettled(items.map(item => grouped.ask(item)))
  const items = () => sent.map(one => one.items)
  const end = async (index: number) => {
    sent[index]?.gate.open()
    await setImmediate()
  }
  return { ask, items, end }
}

const given = (...values: number[]) => values.map(value => ({ status: 'fulfilled', value }))

describe('what is asked for at the same time', () => {
  it('goes at once when it is the first, and the others together at the end of the turn', async () => {
    const { ask, items, end } = aStatement()
    const asked = ask(1, 2, 3)
    assert.deepEqual(items(), [[1]])
    await setImmediate()
    assert.deepEqual(items(), [[1], [2, 3]])
    await end(1)
    await end(0)
    assert.deepEqual(await asked, given(2, 4, 6))
  })

  it('gathers where four are under way, until one of them ends', async () => {
    const { ask, items, end } = aStatement()
    const asked = []
    for (let first = 10; first <= 70; first += 10) {
      asked.push(ask(first, first + 1))
      await setImmediate()
    }
    assert.deepEqual(items(), [[10], [11], [20, 21], [30, 31]])
    await end(2)
    assert.deepEqual(items().slice(4), [[40, 41, 50, 51, 60, 61, 70, 71]])
    for (const index of [0, 1, 3, 4]) await end(index)
    assert.deepEqual((await Promise.all(asked)).flat().length, 14)
  })

  it('goes a hundred at a time', async () => {
    const { ask, items, end } = aStatement()
    const asked = ask(...Array.from({ length: 250 }, (_, n) => 2 * n + 1))
    await setImmediate()
    assert.deepEqual(
      items().map(group => group.length),
      [1, 100, 100, 49]
    )
    for (const index of [3, 2, 1, 0]) await end(index)
    assert.deepEqual((await asked).at(-1), { status: 'fulfilled', value: 2 * 499 })
  })

  it('waits for nothing once all has ended', async () => {
    const { ask, items, end } = aStatement()
    const first = ask(1)
    await end(0)
    assert.deepEqual(await first, given(2))
    const second = ask(2)
    assert.deepEqual(items(), [[1], [2]])
    await end(1)
    assert.deepEqual(await second, given(4))
  })
})

describe('a group', () => {
  it('of which one is refused goes one by one, and only that one is told so', async () => {
    const { ask, items, end } = aStatement()
    const asked = ask(1, 2, 100, 3)
    await setImmediate()
    for (const index of [0, 1, 2, 3, 4]) await end(index)
    assert.deepEqual(items(), [[1], [2, 100, 3], [2], [100], [3]])
    const [first, second, refused, last] = await asked
    assert.deepEqual([first, second, last], given(2, 4, 6))
    assert.match(String(refused?.status === 'rejected' && refused.reason), /violates a constraint/)
  })

  it('is not sent again where the database is what fails, and all are told', async () => {
    const { ask, items, end } = aStatement(new PoolError('database_unavailable', 'The database is starting.'))
    const asked = ask(1, 100, 3)
    await setImmediate()
    for (const index of [0, 1]) await end(index)
    assert.deepEqual(items(), [[1], [100, 3]])
    assert.deepEqual(
      (await asked).map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected']
    )
  })

  it('that fails leaves the way free for the next', async () => {
    const { ask, items, end } = aStatement(new PoolError('database_unavailable', 'The database is starting.'))
    const failed = ask(100)
    await end(0)
    assert.equal((await failed)[0]?.status, 'rejected')
    const next = ask(1)
    await end(1)
    assert.deepEqual([items(), await next], [[[100], [1]], given(2)])
  })
})
