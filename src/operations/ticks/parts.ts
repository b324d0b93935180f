import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call } from '../../pool/ports.ts'
import { attempt } from '../attempt.ts'

/** Work in parts: each is tried though an earlier one failed. */
export class Parts {
  readonly #call: Call
  #failure: Error | undefined

  constructor(call: Call) {
    this.#call = call
  }

  /** Undefined: it failed, or the run is to end. */
  async try<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#call.signal?.aborted && this.#failure) return undefined
    const outcome = await attempt(work)
    if (!(outcome instanceof Error)) return outcome
    this.#failure ??= named(name, outcome)
    return undefined
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** The first failure, which says in which part it was. */
  throwFirst(): void {
    if (this.#failure) throw this.#failure
  }
}

/** The same failure, as far as callers are told it apart. */
function named(part: string, error: Error): Error {
  const message = `${part}: ${error.message}`
  if (error instanceof CloudError) {
    const { code, mayHaveActed, status } = error
    return new CloudError(code, message, { cause: error, mayHaveActed, status })
  }
  if (!(error instanceof PoolError)) return new Error(message, { cause: error })
  const { code, retryAfterSeconds } = error
  return new PoolError(code, message, { cause: error, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) })
}
