import { ByPool } from '../../pool/by-pool.ts'
import { PoolError } from '../../pool/errors.ts'
import type { PoolName } from '../../pool/spare.ts'
import type { Deps } from '../deps.ts'

export interface PausedPool extends PoolName {
  readonly paused: boolean
}

/** Stops or restarts refilling. The filter names pools by os, type, both or neither. Stock stays and is served. */
export async function pausePools(
  deps: Deps,
  filter: { os: string | undefined; type: string | undefined },
  paused: boolean
): Promise<PausedPool[]> {
  const { targets } = deps.settings
  const named = targets.filter(({ os, type }) => (filter.os ?? os) === os && (filter.type ?? type) === type)
  if (named.length === 0) {
    const names = targets.map(({ os, type }) => `${os} on ${type}`).join(', ')
    throw new PoolError('not_found', `No pool has that os and type. Configured: ${names || 'none'}.`)
  }
  for (const { os, type } of named) await deps.pools.setPaused({ os, type }, paused)
  deps.log.info({ pools: named.length, paused }, paused ? 'pools paused' : 'pools resumed')
  if (!paused) deps.wake('replenish')
  const states = new ByPool((await deps.spares.stock()).states)
  return named.map(({ os, type }) => ({ os, type, paused: states.one({ os, type })?.paused ?? false }))
}
