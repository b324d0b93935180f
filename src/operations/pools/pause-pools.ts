import { PoolError } from '../../pool/errors.ts'
import { type PoolName, samePool } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

export interface PausedPool extends PoolName {
  readonly paused: boolean
}

/** Stops or restarts the refilling of the pools that are named by os, type, both or neither. Stock stays and is served. */
export async function pausePools(
  deps: Deps,
  filter: { os: string | undefined; type: string | undefined },
  paused: boolean
): Promise<PausedPool[]> {
  const named = deps.settings.targets.filter(
    ({ os, type }) => (filter.os ?? os) === os && (filter.type ?? type) === type
  )
  if (named.length === 0) {
    const all = deps.settings.targets.map(({ os, type }) => `${os} on ${type}`).join(', ')
    throw new PoolError('not_found', `No pool is of that os and type. Configured: ${all || 'none'}.`)
  }
  for (const { os, type } of named) await deps.pools.setPaused({ os, type }, paused)
  deps.log.info({ pools: named.length, paused }, paused ? 'pools paused' : 'pools resumed')
  if (!paused) deps.wake('replenish')
  const { states } = await deps.spares.stock()
  return named.map(pool => ({
    os: pool.os,
    type: pool.type,
    paused: states.find(state => samePool(state, pool))?.paused ?? false
  }))
}
