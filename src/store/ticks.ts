import type { TickRecord } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { isFree } from './leases.ts'

export async function take(db: Database, name: string, holder: string, until: Date, at: Date): Promise<boolean> {
  const rows = await query(
    db,
    `insert into ticks (name, holder, lease_until) values (:name, :holder, :until)
     on conflict (name) do update set holder = :holder, lease_until = :until
        where ${isFree('ticks.lease_until', ':until')} or ticks.holder = :holder
     returning name`,
    { name, holder, until, at }
  )
  return rows.length > 0
}

/** The record is everybody's; the lease ends only for who still holds it. */
export async function finish(
  db: Database,
  name: string,
  holder: string,
  run: { startedAt: Date; endedAt: Date; error: string | undefined }
): Promise<void> {
  await query(
    db,
    `insert into ticks (name, last_run_at, last_ok_at, seconds, last_error)
     values (:name, :startedAt, case when :error::text is null then :endedAt::timestamptz end,
             extract(epoch from :endedAt::timestamptz - :startedAt::timestamptz), :error)
     on conflict (name) do update
        set last_run_at = excluded.last_run_at, seconds = excluded.seconds, last_error = excluded.last_error,
            last_ok_at = coalesce(excluded.last_ok_at, ticks.last_ok_at),
            lease_until = case when ticks.holder = :holder then null else ticks.lease_until end`,
    { name, holder, startedAt: run.startedAt, endedAt: run.endedAt, error: run.error ?? null }
  )
}

interface TickRow {
  name: string
  last_run_at: Date | null
  last_ok_at: Date | null
  seconds: number | null
  last_error: string | null
}

export async function list(db: Database): Promise<TickRecord[]> {
  const rows = await query<TickRow>(
    db,
    'select name, last_run_at, last_ok_at, seconds, last_error from ticks order by name'
  )
  return rows.map(row => ({
    name: row.name,
    lastRunAt: row.last_run_at ?? undefined,
    lastOkAt: row.last_ok_at ?? undefined,
    seconds: row.seconds ?? undefined,
    lastError: row.last_error ?? undefined
  }))
}
