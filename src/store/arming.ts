import type { SealedTransfer, Spare } from '../pool/spare.ts'
import { type Database, query } from './connection/database.ts'
import { recover } from './pools.ts'
import { type SpareRow, toSpare } from './spares.ts'

/** Also notes that all is well with its pool again, unless that has failed since. */
export async function noteArmed(
  db: Database,
  id: string,
  transfer: SealedTransfer | undefined,
  at: Date,
  poolFailures = 0
): Promise<Spare | undefined> {
  const [row] = await query<SpareRow>(
    db,
    `with armed as (
       update backup_volumes
          set status = 'available', arming_until = null, transfer_id = :transferId, auth_key = :sealedKey, updated_at = :at
        where id = :id and status = 'creating' and available_at is not null
        returning *
     ), recovered as (
       ${recover('select os, type from armed')} and failures = :poolFailures
     )
     select * from armed`,
    { id, poolFailures, at, transferId: transfer?.id ?? null, sealedKey: transfer?.sealedKey ?? null }
  )
  return row && toSpare(row)
}

export async function stopArming(db: Database, ids: readonly string[]): Promise<void> {
  await query(
    db,
    "update backup_volumes set arming_until = null where id = any(:ids::uuid[]) and status = 'creating'",
    { ids }
  )
}

export async function armLater(db: Database, ids: readonly string[]): Promise<void> {
  await query(
    db,
    `update backup_volumes spare set arming_until = pools.retry_at
       from pools
      where spare.id = any(:ids::uuid[]) and spare.status = 'creating'
        and pools.os = spare.os and pools.type = spare.type`,
    { ids }
  )
}

export async function unstock(db: Database, id: string, at: Date): Promise<boolean> {
  const rows = await query(
    db,
    `update backup_volumes set status = 'creating', transfer_id = null, auth_key = null, updated_at = :at
      where id = :id and status = 'available'
      returning id`,
    { id, at }
  )
  return rows.length > 0
}
