import type { TickRecord, Ticks } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { isFree } from './leases.ts'
import { type Columns, changesRow, fieldsOf } from './rows.ts'

const COLUMNS: Columns<TickRecord> = {
  name: 'name',
  lastRunAt: 'last_run_at',
  lastOkAt: 'last_ok_at',
  seconds: 'seconds',
  lastError: 'last_error'
}

export const ticksOf = (db: Database): Ticks => ({
  take: (name, holder, until, at) =>
    changesRow(
      db,
      `insert into ticks (name, holder, lease_until) values (:name, :holder, :until)
       on conflict (name) do update set holder = :holder, lease_until = :until
          where ${isFree('ticks.lease_until', ':until')} or ticks.holder = :holder`,
      { name, holder, until, at }
    ),
  /** Anybody may write the record. Only the holder ends the lease. */
  async finish(name, holder, run) {
    await query(
      db,
      `insert into ticks (name, last_run_at, last_ok_at, seconds, last_error)
       values (:name, :startedAt, case when :error::text is null then :endedAt::timestamptz end,
               extract(epoch from :endedAt::timestamptz - :startedAt::timestamptz), :error)
       on conflict (name) do update
          set last_run_at = excluded.last_run_at, seconds = excluded.seconds, last_error = excluded.last_error,
              last_ok_at = coalesce(excluded.last_ok_at, ticks.last_ok_at),
              lease_until = case when ticks.holder = :holder then null else ticks.lease_until end`,
      { name, holder, ...run }
    )
  },
  async list() {
    const rows = await query(db, 'select * from ticks order by name')
    return rows.map(row => fieldsOf(COLUMNS, row))
  }
})
