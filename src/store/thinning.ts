import { type Database, query } from './connection/database.ts'

const HOUR_MS = 3_600_000

const MINUTE_MS = 60_000

/** How old totals must be for one in so many minutes to be enough. */
const STEPS = [
  { afterHours: 48, minutes: 60 },
  { afterHours: 14 * 24, minutes: 24 * 60 }
]

const EVER_MINUTES = 1_000 * 365 * 24 * 60

/**
 * The older totals are, the fewer are kept: a window of a month need not begin to the minute. Of those older than `before` the
 * last one of each kind stays, since the windows after it are counted from there.
 */
export async function thin(db: Database, before: Date, at: Date): Promise<void> {
  for (const { afterHours, minutes } of STEPS) {
    const to = at.getTime() - afterHours * HOUR_MS
    await keepOneIn(db, minutes, new Date(to - 4 * minutes * MINUTE_MS), new Date(to)) // What is older has been thinned.
  }
  await keepOneIn(db, EVER_MINUTES, new Date(0), before)
}

/** The last one. It counts what was before `until`, so that it is its own last moment that says where it belongs. */
async function keepOneIn(db: Database, minutes: number, from: Date, to: Date): Promise<void> {
  await query(
    db,
    `delete from timing_totals total
      where until > :from and until <= :to
        and exists (
          select from timing_totals later
           where later.os = total.os and later.type = total.type and later.what = total.what
             and later.until > total.until and later.until <= :to
             and later.until <= date_bin(make_interval(mins => :minutes), total.until - interval '1 microsecond',
                                         '2000-01-01') + make_interval(mins => :minutes))`,
    { minutes, from, to }
  )
}
