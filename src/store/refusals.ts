import type { Claim, MissReason } from '../pool/claim.ts'
import { type Database, query } from './connection/database.ts'

export async function countRefusal(
  db: Database,
  claim: Claim,
  reason: MissReason,
  at: Date,
  before: Date
): Promise<boolean> {
  const rows = await query(
    db,
    `with counted as (
       insert into refusals (project_id, name, at) values (:projectId, :name, :at)
       on conflict (project_id, name) do update set at = :at where refusals.at <= :before
       returning at
     )
     insert into history (os, type, what, minutes, at, refused)
     select :os, :type, :reason, 5, date_bin('5 minutes', at, 'epoch'), 1 from counted
     on conflict (os, type, what, minutes, at) do update set refused = history.refused + 1
     returning at`,
    { projectId: claim.projectId, name: claim.name, os: claim.os, type: claim.type, reason, at, before }
  )
  return rows.length > 0
}

const FORGOTTEN_AT_ONCE = 10_000

export async function forgetRefusals(db: Database, before: Date): Promise<number> {
  const rows = await query(
    db,
    `delete from refusals
      where (project_id, name) in (select project_id, name from refusals where at <= :before order by at limit :limit)
        and at <= :before -- One may just have been counted anew.
     returning name`,
    { before, limit: FORGOTTEN_AT_ONCE }
  )
  return rows.length
}
