import type { Orphans } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'

/** Column `volume_id` keeps the ids of transfers too. */
export const orphansOf = (db: Database): Orphans => ({
  async note(ids, at, isComplete = true) {
    await query(
      db,
      `with forgotten as (
         delete from orphans where :isComplete and volume_id <> all(:ids::text[])
       )
       insert into orphans (volume_id, first_seen_at)
       select volume_id, :at::timestamptz from unnest(:ids::text[]) as volume_id
       on conflict do nothing`,
      { ids, at, isComplete }
    )
  },
  async known(ids) {
    const sql = 'select volume_id from orphans where volume_id = any(:ids::text[])'
    const rows = await query<{ volume_id: string }>(db, sql, { ids })
    return new Set(rows.map(row => row.volume_id))
  },
  async count() {
    const [row] = await query<{ count: number }>(db, 'select count(*)::int as count from orphans')
    return row?.count ?? 0
  }
})
