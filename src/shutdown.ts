import type { FastifyInstance } from 'fastify'
import { stopping } from './pool/errors.ts'
import type { Clock } from './pool/ports.ts'

/** What may be under way when the service stops. */
export interface Work {
  end(hurry: AbortSignal): Promise<void>
}

/**
 * What is under way may finish. After half of the time it is told to end, and takes back what it can; soon afterwards
 * the cloud is no longer listened to, so that all still ends in good order.
 */
export async function endInTime(
  clock: Clock,
  seconds: number,
  works: readonly Work[],
  cut: () => Promise<void>
): Promise<void> {
  const [hurry, ended] = [new AbortController(), new AbortController()]
  const after = (share: number, act: () => void): void => {
    clock.sleep(share * seconds * 1000, ended.signal).then(act, () => undefined) // All has ended before.
  }
  after(0.5, () => hurry.abort(stopping()))
  after(0.6, () => void cut())
  await Promise.all(works.map(work => work.end(hurry.signal)))
  ended.abort()
}

const LAST_ANSWERS_MS = 1000

/** No work is under way any more: a client that is slow to send or to read must not hold up the stop. */
export async function close(app: FastifyInstance, clock: Clock): Promise<void> {
  const closed = new AbortController()
  clock.sleep(LAST_ANSWERS_MS, closed.signal).then(
    () => app.server.closeAllConnections(),
    () => undefined
  )
  await app.close()
  closed.abort()
}
