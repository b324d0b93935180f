import { BACKOFF_SECONDS_MAX } from '../pool/lease.ts'
import type { Demand, Need, Unfolded } from '../pool/need.ts'
import type { PoolTarget } from '../pool/replenishment.ts'
import type { PoolName } from '../pool/spare.ts'
import { type Database, query } from './connection/database.ts'
import { isVoid } from './leases.ts'

/** A spare of the pool that may be handed out. Both are SQL, of `spare` left joined with `os`. */
const IS_HELD = '(spare.kept or spare.snapshot_id = os.snapshot_id or spare.snapshot_id = any(os.replica_snapshot_ids))'
const ITS_IMAGE = 'left join os on os.name = spare.os and os.type = spare.type'

/**
 * Every pool that is wanted, has spares, has an image or is remembered, by the same rules as a plan. Added up and not joined:
 * PostgreSQL guesses low how many pools there are, and would compare each with all.
 */
const LEVELS = `
  with wanted as (
    select * from unnest(:oss::text[], :types::text[], :targets::int[], :agedBefore::timestamptz[])
                    as pool (os, type, target, aged_before)
  ), level as (
    select os, type, bool_or(is_wanted) as is_wanted, sum(target) as target, sum(held) as held,
           sum(target - held - in_flight) as missing, max(aged_before) as aged_before, bool_or(is_usable) as is_usable,
           bool_or(is_wanted) and bool_or(paused) as is_paused,
           coalesce(max(retry_at) <= :at or ${isVoid('max(retry_at)', ':latestRetry')}, true) as may_retry,
           max(surplus_since) as surplus_since, max(last_error) as last_error
      from (select os, type, true as is_wanted, target, 0 as held, 0 as in_flight, aged_before, false as is_usable,
                   false as paused, null::timestamptz as retry_at, null::timestamptz as surplus_since,
                   null::text as last_error
              from wanted
             union all
            select spare.os, spare.type, false, 0, count, 0, null, false, false, null, null, null
              from stock_counts spare ${ITS_IMAGE}
             where status = 'available' and ${IS_HELD}
             union all
            select os, type, false, 0, 0, 1, null, false, false, null, null, null
              from backup_volumes
             where status not in ('available', 'retiring') and status <> 'reserved' -- So said, it fits its index.
             union all
            select name, type, false, 0, 0, 0, null, not snapshot_id || replica_snapshot_ids <@ gone_snapshot_ids, false,
                   null, null, null
              from os
             union all
            select os, type, false, 0, 0, 0, null, false, paused, retry_at, surplus_since, last_error from pools) part
     group by os, type
  ), pool as (
    select *, held > target and not is_paused as is_over from level
  ), aged as ( -- Lateral: one look into the index a pool.
    select spare.id
      from pool cross join lateral (
        select spare.id from backup_volumes spare ${ITS_IMAGE}
         where spare.os = pool.os and spare.type = pool.type and spare.status = 'available'
           and spare.created_at < pool.aged_before and ${IS_HELD}
         order by spare.created_at, spare.id
         limit 1
      ) spare
     where aged_before is not null and held >= target and is_usable and not is_paused and may_retry
  )`

const NEED = `${LEVELS}
  select exists (
           select from pool
            where is_wanted and (missing > 0 and not is_paused and may_retry
                                 or not is_usable
                                 or exists (select from unnest(:imageErrors::text[]) as known (error)
                                            where starts_with(last_error, known.error)))
         ) as is_needed,
         exists (
           select from pool where is_over <> (surplus_since is not null) or is_over and surplus_since <= :over
         ) as any_surplus,
         exists (select from aged) as any_aged,
         (select count(*) from stock_counts where is_change)::int as counts,
         (select count(*) from timings)::int as timings`

interface NeedRow extends Unfolded {
  is_needed: boolean
  any_surplus: boolean
  any_aged: boolean
}

/** By the same rules as a plan, which is drawn up only where this says so. */
export async function need(db: Database, demand: Demand, at: Date): Promise<Need> {
  const bindings = { ...levelBindings(demand, at), over: overBefore(demand, at), imageErrors: demand.imageErrors }
  const [row] = await query<NeedRow>(db, NEED, bindings, { plan: 'anew' })
  return {
    isNeeded: row?.is_needed ?? true,
    anySurplus: row?.any_surplus ?? true,
    anyAged: row?.any_aged ?? true,
    unfolded: { counts: row?.counts ?? 0, timings: row?.timings ?? 0 }
  }
}

export async function retireSurplus(db: Database, demand: Demand, at: Date): Promise<PoolName[]> {
  const bindings = levelBindings(demand, at)
  await query(
    db,
    `${LEVELS}
     insert into pools (os, type, surplus_since)
     select os, type, case when is_over then :at::timestamptz end from pool
      where is_over <> (surplus_since is not null)
     on conflict (os, type) do update
        set surplus_since = case when excluded.surplus_since is not null -- Another replica may have noted it before.
                                 then coalesce(pools.surplus_since, excluded.surplus_since) end`,
    bindings,
    { plan: 'anew' }
  )
  // Which ones is decided before any is locked: what a claim or a rival takes meanwhile is not made up for by others.
  return await query<PoolName>(
    db,
    `${LEVELS}, ranked as (
       select spare.id, pool.target, count(*) over pool as held,
              row_number() over (partition by spare.os, spare.type order by spare.created_at, spare.id) as place
         from pool join backup_volumes spare using (os, type) ${ITS_IMAGE}
        where is_over and surplus_since <= :over and spare.status = 'available' and ${IS_HELD}
       window pool as (partition by spare.os, spare.type)
     )
     update backup_volumes set status = 'retiring', updated_at = :at
      where id in (select id from ranked where place <= held - target) and status = 'available'
     returning os, type`,
    { ...bindings, over: overBefore(demand, at) },
    { plan: 'anew' }
  )
}

export async function retireAged(db: Database, demand: Demand, at: Date): Promise<PoolName[]> {
  return await query<PoolName>(
    db,
    `${LEVELS}
     update backup_volumes set status = 'retiring', updated_at = :at
      where id in (select id from aged) and status = 'available'
     returning os, type`,
    levelBindings(demand, at),
    { plan: 'anew' }
  )
}

const levelBindings = ({ targets }: Demand, at: Date) => ({
  oss: targets.map(({ os }) => os),
  types: targets.map(({ type }) => type),
  targets: targets.map(({ target }) => target),
  agedBefore: targets.map(target => agedBefore(target, at)),
  latestRetry: new Date(at.getTime() + BACKOFF_SECONDS_MAX * 1000),
  at
})

const HOUR_MS = 3_600_000

const agedBefore = ({ maxAgeHours }: PoolTarget, at: Date): Date | null =>
  maxAgeHours === undefined ? null : new Date(at.getTime() - maxAgeHours * HOUR_MS)

const overBefore = ({ surplusSeconds }: Demand, at: Date): Date => new Date(at.getTime() - surplusSeconds * 1000)
