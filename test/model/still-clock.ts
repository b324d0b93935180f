import { systemClock } from '../../src/clock.ts'
import { TestClock } from '../support/test-clock.ts'

/** Longer waits are for what the test brings about by moving the time. */
const POLL_MS_MAX = 1_000

/** Time that stands still during a request too, so that a model can tell it exactly; who looks again and again does so at once. */
export class StillClock extends TestClock {
  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms > POLL_MS_MAX) await super.sleep(ms, signal)
    else await systemClock.sleep(1, signal)
  }

  override async during<T>(work: Promise<T>): Promise<T> {
    return await work
  }
}
