import type { Demand, Need } from '../../pool/need.ts'
import type { PoolName } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

/** Retires stock that nobody wants any more, or that is too old; true: some of it is to be replaced. */
export async function retireSurplus(deps: Deps, demand: Demand, { anySurplus, anyAged }: Need): Promise<boolean> {
  const { spares, clock } = deps
  if (anySurplus) tell(deps, await spares.retireSurplus(demand, clock.now()), 'surplus spare retired')
  const aged = anyAged ? await spares.retireAged(demand, clock.now()) : []
  tell(deps, aged, 'old spare retired')
  return aged.length > 0
}

function tell(deps: Deps, retired: readonly PoolName[], message: string): void {
  for (const { os, type } of retired) deps.log.info({ os, type }, message)
  if (retired.length > 0) deps.wake('check_state') // Which deletes it.
}
