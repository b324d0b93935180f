import { backoffSeconds } from '../../pool/replenishment.ts'
import type { Spare } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

/** The pool waits before it tries again: longer after each failure in a row. */
export async function notePoolFailure(
  deps: Deps,
  { os, type, id }: Spare,
  error: string,
  what = 'volume not created'
): Promise<void> {
  deps.log.warn({ os, type, spare_id: id, error }, what)
  const now = deps.clock.now().getTime()
  await deps.pools.noteFailure({ os, type }, error, failures => new Date(now + backoffSeconds(failures) * 1000))
}
