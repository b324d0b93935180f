import type { PoolState } from '../pool/replenishment.ts'
import type { Pools } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { type Columns, changesRow, fieldsOf, type Row } from './rows.ts'

const COLUMNS: Columns<PoolState> = {
  os: 'os',
  type: 'type',
  paused: 'paused',
  failures: 'failures',
  retryAt: 'retry_at',
  lastError: 'last_error',
  newerInCinder: 'newer_in_cinder',
  surplusSince: 'surplus_since'
}

export const toPoolState = (row: Row): PoolState => fieldsOf(COLUMNS, row)

/** SQL: ends the failures of the pools that a query selects. */
export const recover = (pools: string): string => `
  update pools set failures = 0, retry_at = null, last_error = null
   where (os, type) in (${pools}) and (failures > 0 or last_error is not null)`

export const poolsOf = (db: Database): Pools => ({
  async ensure(pools) {
    await query(
      db,
      `insert into pools (os, type)
       select os, type from jsonb_to_recordset(:pools::jsonb) as row (os text, type text)
       on conflict do nothing`,
      { pools: JSON.stringify(pools) }
    )
  },
  async noteFailure({ os, type }, error, retryAt) {
    const [row] = await query<{ failures: number }>(
      db,
      `insert into pools (os, type, failures, last_error) values (:os, :type, 1, :error)
       on conflict (os, type) do update set failures = pools.failures + 1, last_error = :error
       returning failures`,
      { os, type, error }
    )
    const failures = row?.failures ?? 1
    await query(
      db,
      `update pools set retry_at = :retryAt
        where os = :os and type = :type and failures = :failures -- Else a later failure, or a resume, has the last word.`,
      { os, type, failures, retryAt: retryAt(failures) }
    )
  },
  noteError: ({ os, type }, error) =>
    changesRow(
      db,
      `update pools set last_error = :error
        where os = :os and type = :type and last_error is distinct from :error`,
      { os, type, error }
    ),
  async setPaused({ os, type }, paused) {
    await query(db, SET_PAUSED, { os, type, paused })
  },
  async noteSurplus(pools) {
    await query(
      db,
      `insert into pools (os, type, surplus_since)
       select os, type, since from jsonb_to_recordset(:pools::jsonb) as row (os text, type text, since timestamptz)
        order by os, type
       on conflict (os, type) do update
          set surplus_since = case when excluded.surplus_since is not null -- Another replica may have noted it before.
                                   then coalesce(pools.surplus_since, excluded.surplus_since) end`,
      { pools: JSON.stringify(pools) }
    )
  },
  /** A pool that is not named has no newer snapshot. */
  async noteNewer(newer) {
    await query(
      db,
      `with newer as (
         select * from jsonb_to_recordset(:newer::jsonb) as row (os text, type text, version text)
       )
       update pools set newer_in_cinder = newest.version
         from (select pools.os, pools.type, newer.version
                 from pools left join newer on newer.os = pools.os and newer.type = pools.type) newest
        where newest.os = pools.os and newest.type = pools.type
          and pools.newer_in_cinder is distinct from newest.version`,
      { newer: JSON.stringify(newer) }
    )
  }
})

/** Spares that Cinder refused to arm wait as long as their pool backs off. To resume the pool frees them. */
const SET_PAUSED = `
  with freed as (
    update backup_volumes spare set arming_until = null
      from pools
     where not :paused and pools.os = :os and pools.type = :type
       and spare.os = :os and spare.type = :type and spare.status = 'creating'
       and spare.arming_until = pools.retry_at
  )
  insert into pools (os, type, paused) values (:os, :type, :paused)
  on conflict (os, type) do update
     set paused = :paused,
         failures = case when :paused then pools.failures else 0 end,
         retry_at = case when :paused then pools.retry_at end,
         last_error = case when :paused then pools.last_error end`
