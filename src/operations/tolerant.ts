import { CloudError, PoolError } from '../pool/errors.ts'
import type { Call } from '../pool/ports.ts'
import type { Spare } from '../pool/spare.ts'
import { concurrently } from './concurrently.ts'
import type { Deps, TickName } from './deps.ts'

/** One run of a tick: the call it makes to the cloud, and how many items it has left for the next run. */
export interface TickRun extends Call {
  readonly tick: TickName
  left: number
}

export const runOf = (tick: TickName, call: Call): TickRun => ({ ...call, tick, left: 0 })

/** Work on one item. A failure is counted and logged, the item is left for the next run, and the others go on. */
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
    const item = { ...fields, tick: run.tick }
    // The cloud's own words explain its refusal. Any other failure is a fault that a person should look at.
    if (error instanceof CloudError) deps.log.warn({ ...item, error: error.message }, 'item left for the next run')
    else deps.log.error({ ...item, err: error }, 'item left for the next run')
    return undefined
  }
}

/** Works on each spare, at most `limit` at a time; gives for how many of them `work` said true. */
export async function eachSpare<S extends Spare>(
  deps: Deps,
  run: TickRun,
  spares: readonly S[],
  work: (spare: S) => Promise<unknown>,
  limit = 4
): Promise<number> {
  let count = 0
  await concurrently(spares, limit, async spare => {
    if ((await tolerant(deps, run, idsOf(spare), () => work(spare))) === true) count += 1
  })
  return count
}

export const idsOf = ({ id, volumeId }: Spare) => ({ spare_id: id, volume_id: volumeId })

/** Without the database, or once the run is told to end, every other item would fail too. */
export const concernsAll = ({ signal }: Call, error: unknown): boolean =>
  signal?.aborted === true || (error instanceof PoolError && error.code === 'database_unavailable')

/** The parts of a run: each is tried even if an earlier one failed. */
export class Parts {
  readonly #call: Call
  #failure: Error | undefined

  constructor(call: Call) {
    this.#call = call
  }

  /** Undefined: it failed, or the run is to end. */
  async try<T>(part: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#call.signal?.aborted && this.#failure) return undefined
    try {
      return await work()
    } catch (error) {
      this.#failure ??= inPart(part, error)
      return undefined
    }
  }

  throwFirst(): void {
    if (this.#failure) throw this.#failure
  }
}

/** The same failure, with the name of its part in the message. */
function inPart(part: string, cause: unknown): Error {
  const message = `${part}: ${cause instanceof Error ? cause.message : String(cause)}`
  if (cause instanceof CloudError) {
    const { code, mayHaveActed, mayStillAct, status } = cause
    return new CloudError(code, message, { cause, mayHaveActed, mayStillAct, status })
  }
  if (!(cause instanceof PoolError)) return new Error(message, { cause })
  return new PoolError(cause.code, message, { cause, retryAfterSeconds: cause.retryAfterSeconds })
}
