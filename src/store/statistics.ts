import { ByPool } from '../pool/by-pool.ts'
import { MISS_REASONS } from '../pool/claim.ts'
import { type Histogram, percentilesOf, totalOf } from '../pool/histogram.ts'
import type { PoolName } from '../pool/spare.ts'
import type { Percentiles, Statistics } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'

/** What is timed: claims, by how they got their disk or why not from stock, and the making of volumes. */
const TIMED = ['existing', 'pool', ...MISS_REASONS, 'lead_time'] as const

interface CountsRow extends PoolName {
  what: (typeof TIMED)[number]
  counts: Readonly<Record<string, number>>
  sign: number
}

export async function read(db: Database, since: Date, pools: readonly PoolName[]): Promise<Statistics[]> {
  const [counts, oldest] = await Promise.all([countsSince(db, since, pools), oldestOf(db, pools)])
  const [countsOf, spareOf] = [new ByPool(counts), new ByPool(oldest)]
  return pools.map(({ os, type }) => {
    const ours = countsOf.all({ os, type })
    const timesOf = (what: CountsRow['what']): Histogram => sumOf(ours.filter(row => row.what === what))
    const [served, made] = [timesOf('pool'), timesOf('lead_time')]
    const misses = MISS_REASONS.map((reason): [string, number] => [reason, totalOf(timesOf(reason))])
    return {
      os,
      type,
      hits: totalOf(served),
      misses: Object.fromEntries(misses.filter(([, count]) => count > 0)),
      existing: totalOf(timesOf('existing')),
      claimSeconds: toPercentiles(served),
      leadTime: toPercentiles(made),
      oldestSpareAt: spareOf.one({ os, type })?.created_at
    }
  })
}

function sumOf(rows: readonly CountsRow[]): Histogram {
  const sum = new Map<number, number>()
  for (const { counts, sign } of rows) {
    for (const bucket in counts) {
      const before = sum.get(Number(bucket)) ?? 0
      sum.set(Number(bucket), before + sign * (counts[bucket] ?? 0))
    }
  }
  return sum
}

function toPercentiles(histogram: Histogram): Percentiles | undefined {
  if (totalOf(histogram) === 0) return undefined
  const [p50 = 0, p95 = 0, p99 = 0] = percentilesOf(histogram, [0.5, 0.95, 0.99])
  return { p50, p95, p99 }
}

const bindPools = (pools: readonly PoolName[]): string => JSON.stringify(pools.map(({ os, type }) => ({ os, type })))

const POOLS = 'jsonb_to_recordset(:pools::jsonb) as pool (os text, type text)'

/** The latest totals, less the last ones before the window, and what is not folded into totals yet. */
const countsSince = async (db: Database, since: Date, pools: readonly PoolName[]): Promise<CountsRow[]> =>
  await query<CountsRow>(
    db,
    `with latest as (
       select pool.os, pool.type, timed.what, total.counts
         from ${POOLS} cross join unnest(:timed::text[]) as timed (what)
        cross join lateral (
          select counts from timing_totals total
           where total.os = pool.os and total.type = pool.type and total.what = timed.what and until > :since
           order by until desc limit 1
        ) total
     )
     select os, type, what, counts, 1 as sign from latest
      union all
     select os, type, what, before.counts, -1
       from latest cross join lateral (
         select counts from timing_totals total
          where total.os = latest.os and total.type = latest.type and total.what = latest.what and until <= :since
          order by until desc limit 1
       ) before
      union all
     select os, type, what, json_object_agg(bucket, count), 1
       from (select os, type, what, bucket, count(*) as count
               from timings where at >= :since group by os, type, what, bucket) unfolded
      group by os, type, what`,
    { since, pools: bindPools(pools), timed: TIMED }
  )

const oldestOf = async (db: Database, pools: readonly PoolName[]): Promise<(PoolName & { created_at: Date })[]> =>
  await query(
    db,
    `select os, type, created_at
       from ${POOLS}
      cross join lateral (
        select created_at from backup_volumes spare
         where spare.os = pool.os and spare.type = pool.type and status = 'available'
         order by created_at, id limit 1
      ) oldest`,
    { pools: bindPools(pools) }
  )

/** One look into the index a pool, however many lead times are remembered. */
export async function longestLeadTimes(
  db: Database,
  pools: readonly PoolName[]
): Promise<(PoolName & { seconds: number })[]> {
  return await query(
    db,
    `select os, type, seconds
       from (select distinct os, type from ${POOLS}) pool
      cross join lateral (
        select seconds from lead_times
         where lead_times.os = pool.os and lead_times.type = pool.type
         order by seconds desc limit 1
      ) longest`,
    { pools: bindPools(pools) }
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
