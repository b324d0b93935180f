import type { History } from '../pool/stores.ts'
import { change, type Database, query } from './connection/database.ts'

const PRUNED_AT_ONCE = 10_000

export const leadTimesOf = (db: Database): Pick<History, 'longestLeadTimes' | 'prune'> => ({
  /** One look into the index a pool, however many lead times are remembered. */
  longestLeadTimes: pools =>
    query(
      db,
      `select os, type, seconds
         from (select distinct os, type from jsonb_to_recordset(:pools::jsonb) as pool (os text, type text)) pool
        cross join lateral (
          select seconds from lead_times
           where lead_times.os = pool.os and lead_times.type = pool.type
           order by seconds desc limit 1
        ) longest`,
      { pools: JSON.stringify(pools.map(({ os, type }) => ({ os, type }))) }
    ),
  prune: before =>
    change(
      db,
      `delete from lead_times
        where spare_id = any(array(select spare_id from lead_times where at < :before order by at limit :limit))`,
      { before, limit: PRUNED_AT_ONCE }
    )
})
