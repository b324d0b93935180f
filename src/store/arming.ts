import { type Database, query } from './database.ts'

export async function startArming(
  db: Database,
  ids: readonly string[],
  until: Date,
  at: Date
): Promise<readonly string[]> {
  const rows = await query<{ id: string }>(
    db,
    `update backup_volumes set arming_until = :until
      where id = any(:ids::uuid[]) and status = 'creating' and (arming_until is null or arming_until < :at)
      returning id`,
    { ids, until, at }
  )
  return rows.map(({ id }) => id)
}

export async function stopArming(db: Database, ids: readonly string[]): Promise<void> {
  await query(
    db,
    "update backup_volumes set arming_until = null where id = any(:ids::uuid[]) and status = 'creating'",
    { ids }
  )
}

export async function unstock(db: Database, id: string, at: Date): Promise<boolean> {
  const rows = await query(
    db,
    `update backup_volumes
        set status = 'creating', available_at = null, transfer_id = null, auth_key = null, updated_at = :at
      where id = :id and status = 'available'
      returning id`,
    { id, at }
  )
  return rows.length > 0
}
