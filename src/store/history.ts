import { ByPool } from '../pool/by-pool.ts'
import { MISS_REASONS } from '../pool/claim.ts'
import { BIN_MINUTES, KEEP_DAYS, quantilesOf, spansOf, startOfBin, sumOf } from '../pool/history.ts'
import type { PoolName } from '../pool/spare.ts'
import type { History, Percentiles, Statistics } from '../pool/stores.ts'
import { change, type Database, query, transaction } from './connection/database.ts'

/** Claims as they got their disks, and volumes as they were finished, within `span`. */
const SETTLED = `
  select os, type, case source when 'created' then coalesce(miss_reason, 'empty') else source end as what, settled_at as at,
         seconds
    from span join claims on settled_at >= span.since and settled_at < span.until
   union all
  select os, type, 'lead_time', at, seconds
    from span join lead_times on at >= span.since and at < span.until`

/** Claims as they came: the demand for stock. */
const ASKED = `
  select os, type, 'asked', created_at, null
    from span join claims on created_at >= span.since and created_at < span.until
   where source is distinct from 'existing'`

const BUCKETS = "coalesce(jsonb_object_agg(bucket, count) filter (where bucket is not null), '{}')"

interface CountRow extends PoolName {
  what: string
  count: number
  times: Record<string, number>[]
}

/** What has happened, in bins of time. */
export const binsOf = (db: Database): Pick<History, 'read' | 'record' | 'noteLevels' | 'thin'> => ({
  /** Reads whole bins where there are some, and claims and lead times themselves at both ends of the window. */
  async read(since: Date, pools) {
    const recorded = (await recordedUntil(db)) ?? since
    const direct = recorded > since ? recorded : since
    const spans = [...spansOf(since, recorded), { minutes: 0, from: direct, to: END }]
    const unrecorded = { minutes: 5, from: startOfBin(direct, 5), to: END } // Of refused claims, which are there at once.
    const bins = [...spans.filter(({ minutes }) => minutes > 0), unrecorded]
    const edges = spans.filter(({ minutes }) => minutes === 0)
    const bindings = {
      minutes: bins.map(({ minutes }) => minutes),
      since: bins.map(({ from }) => from),
      until: bins.map(({ to }) => to),
      edgeSince: edges.map(({ from }) => from),
      edgeUntil: edges.map(({ to }) => to),
      recorded: unrecorded.from
    }
    const rowsOf = new ByPool(await query<CountRow>(db, READ, bindings, 'anew'))
    return pools.map(({ os, type }) => toStatistics({ os, type }, rowsOf.all({ os, type })))
  },
  /** In one transaction, so that no hour or day lacks a part. A second replica writes the same rows again. */
  record: at =>
    transaction(db, async tx => {
      const from = new Date(((await recordedUntil(tx))?.getTime() ?? LATE_MS) - LATE_MS)
      const to = startOfBin(new Date(at.getTime() - SETTLING_MS), 5)
      if ((await recordFine(tx, from, to)) === 0) return
      for (const [place, minutes] of [...BIN_MINUTES.entries()].toReversed()) {
        const finer = BIN_MINUTES[place + 1]
        if (finer) await rollUp(tx, minutes, finer, startOfBin(from, minutes), startOfBin(to, minutes))
      }
    }),
  async noteLevels(levels, at) {
    const held = levels.map(({ os, type, held }) => ({ os, type, held }))
    await query(db, NOTE_LEVELS, { levels: JSON.stringify(held), bin: startOfBin(at, 5) }, 'anew')
  },
  async thin(at) {
    const before = (days: number): Date => new Date(at.getTime() - days * DAY_MS)
    await query(db, 'delete from history where minutes = 5 and at < :fine or minutes > 5 and at < :coarse', {
      fine: before(KEEP_DAYS.fine),
      coarse: before(KEEP_DAYS.coarse)
    })
  }
})

const DAY_MS = 86_400_000

const READ = `
   with bin as (
     select * from unnest(:minutes::int[], :since::timestamptz[], :until::timestamptz[]) as bin (minutes, since, until)
   ), span as (
     select * from unnest(:edgeSince::timestamptz[], :edgeUntil::timestamptz[]) as span (since, until)
   )
   select os, type, what, sum(refused + case when at < :recorded then count else 0 end)::int as count,
          json_agg(times) filter (where times <> '{}' and at < :recorded) as times -- Else they were recorded just now.
     from bin cross join lateral (
            select * from history
             where history.minutes = bin.minutes and at >= bin.since and at < bin.until and what not in ('asked', 'stock')
            offset 0 -- One look into the index for each span. Joined, PostgreSQL would read the whole table.
          ) history
    group by os, type, what
    union all
   select os, type, what, sum(count)::int, json_build_array(${BUCKETS})
     from (select os, type, what, bucket_of(seconds) as bucket, count(*) as count
             from (${SETTLED}) event group by 1, 2, 3, 4) timed
    group by os, type, what`

/** A level that has not changed since the last one is not written. */
const NOTE_LEVELS = `
  insert into history (os, type, what, minutes, at, lowest, last)
  select os, type, 'stock', 5, :bin, held, held
    from jsonb_to_recordset(:levels::jsonb) as level (os text, type text, held int)
   where held is distinct from (
           select last from history
            where history.os = level.os and history.type = level.type and what = 'stock' and minutes = 5
            order by at desc limit 1)
   order by os, type
  on conflict (os, type, what, minutes, at) do update
     set lowest = least(history.lowest, excluded.lowest), last = excluded.last`

const END = new Date('9999-01-01T00:00:00Z')

function toStatistics({ os, type }: PoolName, rows: readonly CountRow[]): Statistics {
  const countOf = (what: string): number => rows.reduce((sum, row) => sum + (row.what === what ? row.count : 0), 0)
  const timesOf = (what: string) => rows.filter(row => row.what === what).flatMap(({ times }) => times ?? [])
  const misses = MISS_REASONS.map((reason): [string, number] => [reason, countOf(reason)])
  return {
    os,
    type,
    hits: countOf('pool'),
    misses: Object.fromEntries(misses.filter(([, count]) => count > 0)),
    existing: countOf('existing'),
    claimSeconds: toPercentiles(timesOf('pool')),
    leadTime: toPercentiles(timesOf('lead_time'))
  }
}

function toPercentiles(times: readonly Record<string, number>[]): Percentiles | undefined {
  if (times.length === 0) return undefined
  const [p50 = 0, p95 = 0, p99 = 0] = quantilesOf(sumOf(times), [0.5, 0.95, 0.99])
  return { p50, p95, p99 }
}

/** Where the next bin begins that is not recorded; undefined: nothing is. Bins in which nothing happened have no row. */
async function recordedUntil(db: Database): Promise<Date | undefined> {
  const [row] = await query<{ until: Date | null }>(
    db,
    "select max(at) + interval '5 minutes' as until from history where minutes = 5 and count > 0"
  )
  return row?.until ?? undefined
}

/** A bin is recorded once it has been over for so long: the statements of its time have ended then. */
const SETTLING_MS = 60_000
/** Bins are recorded anew for so long, for rows that came late. */
const LATE_MS = 600_000

/** Gives how many bins it wrote. */
const recordFine = (tx: Database, from: Date, to: Date): Promise<number> =>
  change(
    tx,
    `with span as (select :from::timestamptz as since, :to::timestamptz as until)
     insert into history (os, type, what, minutes, at, count, seconds, times)
     select os, type, what, 5, bin, sum(count), sum(seconds), ${BUCKETS}
       from (select os, type, what, date_bin('5 minutes', at, 'epoch') as bin, bucket_of(seconds) as bucket,
                    count(*) as count, coalesce(sum(seconds), 0) as seconds
               from (${SETTLED} union all ${ASKED}) event group by 1, 2, 3, 4, 5) timed
      group by os, type, what, bin
      order by os, type, what, bin -- In one order, since two replicas may do this at once.
     on conflict (os, type, what, minutes, at) do update
        set count = excluded.count, seconds = excluded.seconds, times = excluded.times`,
    { from, to },
    'anew'
  )

/** Makes wide bins of narrow ones, once the wide ones are over. */
async function rollUp(tx: Database, minutes: number, finer: number, from: Date, to: Date): Promise<void> {
  if (from >= to) return
  await query(
    tx,
    `insert into history (os, type, what, minutes, at, count, refused, seconds, times, lowest, last)
     select os, type, what, :minutes::int, whole, sum(count), sum(refused), sum(seconds), coalesce((
              select jsonb_object_agg(bucket, count)
                from (select bucket, sum(number::int) as count
                        from unnest(array_agg(times)) as part (times), jsonb_each_text(part.times) as timed (bucket, number)
                       group by bucket) bucket), '{}'),
            min(lowest), (array_agg(last order by at desc))[1]
       from (select *, date_bin(make_interval(mins => :minutes::int), at, 'epoch') as whole
               from history where minutes = :finer and at >= :from and at < :to) bin
      group by os, type, what, whole
      order by os, type, what, whole
     on conflict (os, type, what, minutes, at) do update
        set count = excluded.count, refused = excluded.refused, seconds = excluded.seconds, times = excluded.times,
            lowest = excluded.lowest, last = excluded.last`,
    { minutes, finer, from, to },
    'anew'
  )
}
