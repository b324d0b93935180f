import { newClaim } from '../pool/claim.ts'
import type { Claims, Opening } from '../pool/claim-store.ts'
import { CLAIM_COLUMNS, DISK_COLUMNS } from './claim-rows.ts'
import { type Database, query } from './connection/database.ts'
import { Grouped } from './grouped.ts'
import { oldestSpares } from './reservations.ts'
import { rowOf } from './rows.ts'
import { toSpare } from './spares.ts'

type OpenArguments = Parameters<Claims['open']>
type SettleArguments = Parameters<Claims['settle']>

/** A claim's first and last statement. Claims that come to them at the same time share them. */
export function claimGroupsOf(db: Database): Pick<Claims, 'open' | 'settle'> {
  const opening = new Grouped((group: readonly OpenArguments[]) => openAll(db, group))
  const settling = new Grouped((group: readonly SettleArguments[]) => settleAll(db, group))
  return { open: (...args) => opening.ask(args), settle: (...args) => settling.ask(args) }
}

/**
 * Both statements read rows of `claims` as JSON. The condition on `status` holds for all of them: with it PostgreSQL expects
 * one row and uses the indexes. Without it PostgreSQL expects a hundred rows and may read whole tables.
 */
const OPEN = `with opened as (
  insert into claims (id, idempotency_key, fingerprint, project_id, name, hostname, category, os, type, wanted_size,
                      status, lease_holder, lease_until, created_at, updated_at)
  select id, idempotency_key, fingerprint, project_id, name, hostname, category, os, type, wanted_size,
         status, lease_holder, lease_until, created_at, updated_at
    from json_populate_recordset(null::claims, :claims::json)
   where status = 'open'
   order by project_id, name -- Rivals wait for each other's names: one order prevents deadlocks.
  on conflict do nothing
  returning id, os, type
), wanted as (
  select id, os, type, row_number() over (partition by os, type) as turn from opened
), oldest as (
  select spare.id, os, type, row_number() over (partition by os, type) as turn
    from (select os, type, count(*) as claims from opened group by os, type) pool,
         lateral (${oldestSpares('pool.os', 'pool.type', 'pool.claims')}) spare
), reserved as (
  update backup_volumes spare
     set status = 'reserved', allocated = true, claim_id = wanted.id, updated_at = :at
    from oldest join wanted using (os, type, turn)
   where spare.id = oldest.id
  returning spare.*
)
select opened.id as opened_id, reserved.* from opened left join reserved on reserved.claim_id = opened.id`

async function openAll(db: Database, group: readonly OpenArguments[]): Promise<(Opening | undefined)[]> {
  const wanted = group.map(([request, id, lease, at]) => ({ claim: newClaim(request, id, at), lease }))
  const claims = wanted.map(({ claim, lease }) => ({
    ...rowOf(CLAIM_COLUMNS, claim),
    lease_holder: lease.holder,
    lease_until: lease.until
  }))
  const bindings = { claims: JSON.stringify(claims), at: wanted.at(-1)?.claim.createdAt }
  const opened = await query<{ opened_id: string; id: string | null }>(db, OPEN, bindings)
  return wanted.map(({ claim }) => {
    const row = opened.find(({ opened_id }) => opened_id === claim.id)
    return row && { claim, spare: row.id === null ? undefined : toSpare(row) }
  })
}

/** The seconds count from the claim's first request: a repeat goes on counting. */
const SETTLE = `with given as (
  select * from json_populate_recordset(null::claims, :claims::json)
   where status = 'available'
   order by id -- Another replica may settle the same claims after a takeover: one order prevents deadlocks.
), settled as (
  update claims
     set status = 'available', source = given.source, miss_reason = given.miss_reason,
         lease_holder = null, lease_until = null,
         volume_id = given.volume_id, disk_os = given.disk_os, disk_type = given.disk_type,
         volume_type = given.volume_type, size = given.size,
         snapshot_id = given.snapshot_id, image_version = given.image_version,
         spare_age_seconds = given.spare_age_seconds,
         seconds = extract(epoch from given.updated_at - claims.created_at),
         settled_at = given.updated_at, updated_at = given.updated_at
    from given
   where claims.id = given.id and claims.status in ('open', 'creating') and claims.lease_holder = given.lease_holder
  returning claims.*
), handed_over as ( -- Another claim's spare stays, and so does one that did not become this disk.
  delete from backup_volumes spare using settled
   where spare.claim_id = settled.id and spare.volume_id = settled.volume_id
)
select id from settled`

async function settleAll(db: Database, group: readonly SettleArguments[]): Promise<boolean[]> {
  const claims = group.map(([{ claimId, holder }, { source, missReason, disk }, at]) => ({
    ...rowOf(DISK_COLUMNS, disk),
    id: claimId,
    lease_holder: holder,
    status: 'available',
    source,
    miss_reason: missReason,
    updated_at: at
  }))
  const rows = await query<{ id: string }>(db, SETTLE, { claims: JSON.stringify(claims) })
  const settled = new Set(rows.map(({ id }) => id))
  return group.map(([{ claimId }]) => settled.delete(claimId)) // Only the first of several tries has settled it.
}
