import { type Database, query, transaction } from './connection/database.ts'

/** Any number will do, as long as nothing else in this database takes it. */
const FOLDING_LOCK = 7_217_002

const TIMINGS_AT_ONCE = 10_000
const ROUNDS_MAX = 5

/** So many of the latest are left as they are: a short window is exact, and what comes late is still in its place. */
const TIMINGS_LEFT = 2_000

/**
 * Makes few rows of the many that say how the stock has changed; the sums stay as they are. Nobody waits for it, as for the
 * folding of timings: claims only add rows, and a replica that comes upon another's folding leaves it alone.
 */
export async function foldCounts(db: Database): Promise<void> {
  await transaction(db, async tx => {
    if (await isOurs(tx)) await foldStock(tx)
  })
}

/** The same for the statistics; leaves so many of the latest. */
export async function foldTimings(db: Database, left = TIMINGS_LEFT): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const folded = await transaction(db, async tx => ((await isOurs(tx)) ? await foldOldest(tx, left) : 0))
    if (folded < TIMINGS_AT_ONCE) return
  }
}

/** The lock comes first, as a statement of its own: what is read then is what the folding before has left. */
async function isOurs(tx: Database): Promise<boolean> {
  const [lock] = await query<{ is_ours: boolean }>(tx, 'select pg_try_advisory_xact_lock(:lock) as is_ours', {
    lock: FOLDING_LOCK
  })
  return lock?.is_ours ?? false
}

async function foldStock(tx: Database): Promise<void> {
  await query(
    tx,
    `with folded as (
       delete from stock_counts returning *
     )
     insert into stock_counts
     select os, type, snapshot_id, status, kept, sum(count), sum(size), false
       from folded
      group by os, type, snapshot_id, status, kept
     having sum(count) <> 0 or sum(size) <> 0`
  )
}

/**
 * Gives how many. The oldest go first, as a total is not written again once there is a later one: whatever comes later yet, of
 * a slow transaction or a slow clock, is counted in the latest.
 */
async function foldOldest(tx: Database, left: number): Promise<number> {
  const [row] = await query<{ count: number }>(
    tx,
    `with folded as (
       delete from timings
        where ctid = any(array(select ctid from timings order by at
                                limit least(:atOnce, greatest(0, (select count(*) from timings) - :left))))
       returning *
     ), latest as ( -- Numbered, since numbers are sorted sooner than names.
       select row_number() over () as series, os, type, what, total.until, total.counts
         from (select distinct os, type, what from folded) named
         left join lateral (
           select until, counts from timing_totals total
            where total.os = named.os and total.type = named.type and total.what = named.what
            order by until desc limit 1
         ) total on true
     ), added as (
       select series, bucket, count(*) as count,
              greatest(date_bin('10 minutes', at, '2000-01-01') + interval '10 minutes', latest.until) as until
         from folded join latest using (os, type, what)
        group by series, bucket, 4
        union all
       select series, key::smallint, value::bigint, '-infinity' from latest, json_each_text(counts)
     ), summed as ( -- Every bucket until every end, however few of them have grown by then.
       select series, until, bucket, sum(count) over (partition by series, bucket order by until) as count
         from (select distinct series, until from added) ended
         join (select distinct series, bucket from added) had using (series)
         left join added using (series, until, bucket)
     ), written as (
       insert into timing_totals (os, type, what, until, counts)
       select os, type, what, grown.until, grown.counts
         from latest
         join (select series, until, json_object_agg(bucket, count) as counts
                 from summed
                where count > 0 and until > '-infinity'
                group by series, until) grown using (series)
       on conflict (os, type, what, until) do update set counts = excluded.counts
     )
     select count(*) from folded`,
    { atOnce: TIMINGS_AT_ONCE, left }
  )
  return row?.count ?? 0
}

/**
 * Counts the stock anew and adds what the counts lack: rows of backup_volumes may have been written with triggers turned off,
 * as some ways to restore a backup do. Both are looked at in the same moment, so that it is right whatever goes on.
 */
export async function recount(db: Database): Promise<number> {
  return await transaction(db, async tx => {
    await query(tx, 'select pg_advisory_xact_lock(:lock)', { lock: FOLDING_LOCK })
    const rows = await query(
      tx,
      `insert into stock_counts
       select os, type, snapshot_id, status, kept, sum(count), sum(size)
         from (select os, type, snapshot_id, status, kept, 1 as count, size from backup_volumes where is_counted(status)
                union all
               select os, type, snapshot_id, status, kept, -count, -size from stock_counts) difference
        group by os, type, snapshot_id, status, kept
       having sum(count) <> 0 or sum(size) <> 0
       returning os`
    )
    return rows.length
  })
}
