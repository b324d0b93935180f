import type { Call, Quota } from '../pool/ports.ts'
import { poolsOf, type Stock, type StoredStock } from '../pool/replenishment.ts'
import type { Deps } from './deps.ts'

export const readStock = async (deps: Deps): Promise<Stock> => completeStock(deps, await deps.spares.stock())

/** What we hold, with what the configuration wants of it. */
export const completeStock = ({ settings, clock }: Deps, stored: StoredStock, quota?: Quota): Stock => ({
  ...stored,
  targets: poolsOf(settings.targets, stored.holdings),
  limits: settings.limits,
  quota,
  now: clock.now()
})

export const readQuota = async (deps: Deps, call: Call): Promise<Quota> =>
  await (await deps.cloud.poolProject(call)).volumes.quota(call)
