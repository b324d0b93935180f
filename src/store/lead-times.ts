import type { PoolName } from '../pool/spare.ts'
import { type Database, query } from './connection/database.ts'

/** One look into the index a pool, however many lead times are remembered. */
export async function longestLeadTimes(
  db: Database,
  pools: readonly PoolName[]
): Promise<(PoolName & { seconds: number })[]> {
  return await query(
    db,
    `select os, type, seconds
       from (select distinct os, type from jsonb_to_recordset(:pools::jsonb) as pool (os text, type text)) pool
      cross join lateral (
        select seconds from lead_times
         where lead_times.os = pool.os and lead_times.type = pool.type
         order by seconds desc limit 1
      ) longest`,
    { pools: JSON.stringify(pools.map(({ os, type }) => ({ os, type }))) }
  )
}

const PRUNED_AT_ONCE = 10_000

/** Forgets lead times older than that, in small batches; gives how many. */
export async function prune(db: Database, before: Date): Promise<number> {
  const rows = await query(
    db,
    `delete from lead_times
      where spare_id = any(array(select spare_id from lead_times where at < :before order by at limit :limit))
      returning spare_id`,
    { before, limit: PRUNED_AT_ONCE }
  )
  return rows.length
}
