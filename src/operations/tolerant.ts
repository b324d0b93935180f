import { CloudError } from '../pool/errors.ts'
import type { Deps } from './deps.ts'

/** What the cloud refuses for one volume is tried again by the next tick, and does not hold up the others. */
export async function tolerant<T>(deps: Deps, fields: object, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    deps.log.warn({ ...fields, error: error.message }, 'volume not seen to')
    return undefined
  }
}
