import { type Database, query } from './database.ts'

/** A transfer is noted by its own id, in the same column. */
export async function note(db: Database, volumeIds: readonly string[], at: Date): Promise<string[]> {
  const rows = await query<{ volume_id: string }>(
    db,
    `with forgotten as (
       delete from orphans where volume_id <> all(:volumeIds::text[])
     ), noted as (
       insert into orphans (volume_id, first_seen_at)
       select volume_id, :at::timestamptz from unnest(:volumeIds::text[]) as volume_id
       on conflict do nothing
     )
     select volume_id from orphans where volume_id = any(:volumeIds::text[]) -- As they were before this statement.`,
    { volumeIds: [...volumeIds], at }
  )
  return rows.map(row => row.volume_id)
}

export async function forget(db: Database, volumeId: string): Promise<void> {
  await query(db, 'delete from orphans where volume_id = :volumeId', { volumeId })
}

export async function count(db: Database): Promise<number> {
  const [row] = await query<{ count: number }>(db, 'select count(*)::int as count from orphans')
  return row?.count ?? 0
}
