import type { FastifyInstance } from 'fastify'
import { stopping } from './pool/errors.ts'
import type { Clock } from './pool/ports.ts'

/** Requests or runs that may be under way when the service stops. */
export interface Work {
  end(hurry: AbortSignal): Promise<void>
}

/**
 * Waits for work under way. After half of the time it tells the work to end, which then undoes what it can. Soon afterwards
 * it cuts the connections to the cloud, so that the rest of the time is enough to record how things stand.
 */
export async function endInTime(
  clock: Clock,
  seconds: number,
  works: readonly Work[],
  cut: () => Promise<void>
): Promise<void> {
  const [hurry, ended] = [new AbortController(), new AbortController()]
  const after = (share: number, act: () => void): void => {
    clock.sleep(share * seconds * 1000, ended.signal).then(act, () => undefined) // All work has ended.
  }
  after(0.5, () => hurry.abort(stopping()))
  after(0.6, () => void cut())
  await Promise.all(works.map(work => work.end(hurry.signal)))
  ended.abort()
}

const LAST_ANSWERS_MS = 1000

/** Closes the server once no work is under way. A client that is slow to send or to read must not hold up the stop. */
export async function close(app: FastifyInstance, clock: Clock): Promise<void> {
  const closed = new AbortController()
  clock.sleep(LAST_ANSWERS_MS, closed.signal).then(
    () => app.server.closeAllConnections(),
    () => undefined
  )
  await app.close()
  closed.abort()
}
