import type { PoolName } from '../../src/pool/spare.ts'
import type { Lifetime } from '../lifetime.ts'
import type { Deployment } from './deployment.ts'
import { type ServiceProcess, type ServiceWish, startService } from './service-process.ts'
import type { Stage } from './stage.ts'

/** For each pool, where nothing else is said. */
const TARGET = 1

/** A service reconciles twice as it starts, the second time when the leases of one before it would have run out. */
export const START_IS_OVER_MS = 15_000

/** For what must not meet one round and not the other: by default it reads all volumes every five minutes. */
export const WITHOUT_RECONCILE = { reconcile: '0 0 0 1 1 *' }

/**
 * A service whose pools are paused while its claims are measured: refilling them would be the cloud's work, which the
 * claims share the machine with but do not wait for. All ticks run as ever, count the stock, and find nothing to ask for.
 */
export async function startPaused(
  t: Lifetime,
  stage: Stage,
  { name, database, pools }: Pick<Deployment, 'name' | 'database'> & { readonly pools: readonly PoolName[] },
  { target = TARGET, ...wish }: Partial<ServiceWish> & { readonly target?: number } = {}
): Promise<ServiceProcess> {
  const targets = pools.map(({ os, type }) => ({ os, type, target }))
  const service = await startService(t, stage, { name, database, pools: targets, ...wish })
  await service.call('POST', '/pool/pause', {})
  return service
}
