import { type Database, query } from './connection/database.ts'

/** A transfer is noted by its own id, in the same column. */
export async function note(db: Database, ids: readonly string[], at: Date, isComplete = true): Promise<void> {
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
}

export async function known(db: Database, ids: readonly string[]): Promise<Set<string>> {
  const rows = await query<{ volume_id: string }>(
    db,
    'select volume_id from orphans where volume_id = any(:ids::text[])',
    { ids }
  )
  return new Set(rows.map(row => row.volume_id))
}

export async function count(db: Database): Promise<number> {
  const [row] = await query<{ count: number }>(db, 'select count(*)::int as count from orphans')
  return row?.count ?? 0
}
