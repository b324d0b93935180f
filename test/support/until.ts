import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'

/** Asks again and again until it is so. What is asked takes its own time, such as a query. */
export async function until(isSo: () => Promise<boolean> | boolean, secondsMax = 20): Promise<void> {
  const deadline = performance.now() + secondsMax * 1_000
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `It did not come to be so within ${secondsMax} s`)
    await setImmediate()
  }
}
