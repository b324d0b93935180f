import { CloudError, PoolError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import type { Deps, TickName } from './deps.ts'

/** One run of a tick: what it calls the cloud under, and how many items it had to leave so far. */
export interface TickRun extends Call {
  readonly tick: TickName
  left: number
}

export const runOf = (tick: TickName, call: Call): TickRun => ({ ...call, tick, left: 0 })

/** One item's failure is its own: it is left for the next run, counted and logged, and does not hold up the others. */
export async function tolerant<T>(
  deps: Deps,
  run: TickRun,
  fields: object,
  work: () => Promise<T>
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (concernsAll(run, error)) throw error
    run.left += 1
    deps.observer.itemFailed(run.tick)
    const all = { ...fields, tick: run.tick }
    // Of what the cloud refuses, its words say enough; anything else is a fault that a person should look at.
    if (error instanceof CloudError) deps.log.warn({ ...all, error: error.message }, 'item left for the next run')
    else deps.log.error({ ...all, err: error }, 'item left for the next run')
    return undefined
  }
}

/** Without the database, or once the run is told to end, nothing else comes to anything either. */
export const concernsAll = ({ signal }: Call, error: unknown): boolean =>
  signal?.aborted === true || (error instanceof PoolError && error.code === 'database_unavailable')
