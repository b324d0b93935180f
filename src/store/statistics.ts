import type { ClaimSource, MissReason } from '../pool/claim.ts'
import type { PoolName } from '../pool/spare.ts'
import type { Statistics } from '../pool/stores.ts'
import { type Database, query } from './database.ts'

interface CountRow {
  os: string
  type: string
  source: ClaimSource
  miss_reason: MissReason | null
  count: number
}

interface PercentileRow {
  os: string
  type: string
  p50: number
  p95: number
  p99: number
}

/** Claims settled and volumes finished since a time, and the oldest spare of each pool. */
export async function read(db: Database, since: Date): Promise<Statistics> {
  const [claims, claimSeconds, leadTimes, oldest] = await Promise.all([
    claimsSince(db, since),
    percentiles(db, since, "claims where created_at >= :since and source = 'pool' and seconds is not null"),
    percentiles(db, since, 'lead_times where at >= :since'),
    oldestOf(db)
  ])
  return {
    claims: claims.map(({ miss_reason, ...row }) => ({ ...row, missReason: miss_reason ?? undefined })),
    claimSeconds,
    leadTimes,
    oldest
  }
}

const claimsSince = async (db: Database, since: Date): Promise<CountRow[]> =>
  await query<CountRow>(
    db,
    `select os, type, source, miss_reason, count(*)::int as count
       from claims
      where created_at >= :since and status in ('available', 'gone')
      group by os, type, source, miss_reason`,
    { since }
  )

const percentiles = async (db: Database, since: Date, from: string): Promise<PercentileRow[]> =>
  await query<PercentileRow>(
    db,
    `select os, type,
            percentile_cont(0.5) within group (order by seconds) as p50,
            percentile_cont(0.95) within group (order by seconds) as p95,
            percentile_cont(0.99) within group (order by seconds) as p99
       from ${from}
      group by os, type`,
    { since }
  )

async function oldestOf(db: Database): Promise<Statistics['oldest']> {
  const rows = await query<{ os: string; type: string; created_at: Date }>(
    db,
    `select os, type, min(created_at) as created_at
       from backup_volumes where status = 'available' group by os, type`
  )
  return rows.map(row => ({ os: row.os, type: row.type, createdAt: row.created_at }))
}

/** One look into the index a pool, however many lead times are remembered. */
export async function longestLeadTimes(
  db: Database,
  pools: readonly PoolName[]
): Promise<(PoolName & { seconds: number })[]> {
  return await query(
    db,
    `select os, type, seconds
       from (select distinct os, type from jsonb_to_recordset(:pools::jsonb) as row (os text, type text)) pool
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
