import type { Spare } from '../pool/spare.ts'
import type { FinishedSpare, Spares } from '../pool/stores.ts'
import { type Database, query } from './connection/database.ts'
import { isFreeToArm } from './leases.ts'
import { recover } from './pools.ts'
import { changesRow } from './rows.ts'
import { keptOf, querySpare, querySpares, toSpare } from './spares.ts'
import { arrive } from './waiting.ts'

type Arrivals = Pick<
  Spares,
  'onTheirWay' | 'noteVolume' | 'noteFinished' | 'noteArmed' | 'stopArming' | 'armLater' | 'unstock'
>

/** A spare's way into stock: created, finished, armed. */
export const arrivalsOf = (db: Database): Arrivals => ({
  async onTheirWay() {
    const spares = await querySpares(db, ON_THEIR_WAY, {})
    const isToDelete = ({ status, volumeId }: Spare): boolean => status === 'retiring' && volumeId !== undefined
    return { spares: spares.filter(spare => !isToDelete(spare)), anyToDelete: spares.some(isToDelete) }
  },
  noteVolume: (id, volumeId, at) =>
    querySpare(
      db,
      `update backup_volumes
          set volume_id = :volumeId, updated_at = :at,
              status = case status when 'requested' then 'creating' else status end
        where id = :id and (volume_id is null or volume_id = :volumeId) -- check_state may have found it first.
        returning *`,
      { id, volumeId, at }
    ),
  async noteFinished(finished, armingUntil, at) {
    const rows = finished.map(({ id, toArm, claimId }) => ({ id, to_arm: toArm, claim_id: claimId }))
    const ids = finished.map(({ id }) => id)
    return await arrive(db, ids, at, async (tx): Promise<FinishedSpare[]> => {
      const changed = await query<{ pool_failures: number }>(tx, NOTE_FINISHED, {
        at,
        armingUntil,
        finished: JSON.stringify(rows)
      })
      return changed.map(row => ({ ...toSpare(row), poolFailures: row.pool_failures }))
    })
  },
  async noteArmed(id, transfer, at, poolFailures = 0) {
    const bindings = { id, poolFailures, at, ...keptOf(transfer) }
    const [spare] = await arrive(db, [id], at, tx => querySpares(tx, NOTE_ARMED, bindings))
    return spare
  },
  async stopArming(ids) {
    const sql = "update backup_volumes set arming_until = null where id = any(:ids::uuid[]) and status = 'creating'"
    await query(db, sql, { ids })
  },
  async armLater(ids) {
    await query(
      db,
      `update backup_volumes spare set arming_until = pools.retry_at
         from pools
        where spare.id = any(:ids::uuid[]) and spare.status = 'creating'
          and pools.os = spare.os and pools.type = spare.type`,
      { ids }
    )
  },
  unstock: (id, at) =>
    changesRow(
      db,
      `update backup_volumes set status = 'creating', transfer_id = null, auth_key = null, updated_at = :at
        where id = :id and status = 'available'`,
      { id, at }
    )
})

/** Of the retired spares that can be deleted, one is enough to say that there are any. */
const ON_THEIR_WAY = `
  select * from (
    select * from backup_volumes
     where status not in ('available', 'retiring') and (status <> 'reserved' or available_at is null)
     union all
    select * from backup_volumes where status = 'retiring' and volume_id is null
     union all
    (select * from backup_volumes where status = 'retiring' and volume_id is not null limit 1)
  ) spare
  order by created_at, id`

/** Also records the lead times, and ends the failures of pools whose spares need not be armed. */
const NOTE_FINISHED = `with finished as (
  select * from jsonb_to_recordset(:finished::jsonb) as row (id uuid, to_arm boolean, claim_id uuid)
), locked as ( -- In one order: otherwise replicas that note the same spares could deadlock.
  select spare.id, to_arm
    from backup_volumes spare join finished on finished.id = spare.id and spare.claim_id is not distinct from finished.claim_id
   order by spare.id
     for update of spare
), changed as (
  update backup_volumes spare
     set status = case when spare.status = 'creating' and not to_arm then 'available' else spare.status end,
         available_at = coalesce(available_at, :at), updated_at = :at,
         arming_until = case when to_arm then :armingUntil::timestamptz end
    from locked
   where spare.id = locked.id
     and (spare.status = 'creating' and ${isFreeToArm}
          or spare.status = 'reserved' and available_at is null and volume_id is not null)
   returning spare.*
), timed as (
  insert into lead_times (spare_id, os, type, seconds, at)
  select id, os, type, extract(epoch from available_at - created_at), :at::timestamptz from changed
  on conflict do nothing -- A spare that is adopted or armed again keeps its first lead time.
), recovered as (
  ${recover('select os, type from changed where arming_until is null')}
)
select changed.*, coalesce(failures, 0) as pool_failures from changed left join pools using (os, type)`

/** Also ends the failures of its pool, unless the pool has failed again since. */
const NOTE_ARMED = `with armed as (
  update backup_volumes
     set status = 'available', arming_until = null, transfer_id = :transferId, auth_key = :sealedKey, updated_at = :at
   where id = :id and status = 'creating' and available_at is not null
   returning *
), recovered as (
  ${recover('select os, type from armed')} and failures = :poolFailures
)
select * from armed`
