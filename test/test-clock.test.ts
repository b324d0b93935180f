import assert from 'node:assert/strict'
import { it } from 'vitest'
import { Gate } from './support/gate.ts'
import { TestClock } from './support/test-clock.ts'
import { until } from './support/until.ts'

it('lets the time run no faster while many requests are under way than while one is', async () => {
  const [clock, over] = [new TestClock(), new Gate()]
  const begunAt = clock.now().getTime()
  const [realMs, passedMs] = [performance.now(), () => clock.now().getTime() - begunAt]
  const crowd = Promise.all(Array.from({ length: 20 }, () => clock.during(over.passed)))
  await until(() => passedMs() >= 2_000)
  assert.ok(passedMs() <= 20 * (performance.now() - realMs)) // It runs ten times as fast; a timer may ring half a step early.
  over.open()
  await crowd
  const endedAfter = passedMs()
  await clock.during(Promise.resolve())
  assert.equal(passedMs(), endedAfter) // It stands still where nothing is waited for.
})
