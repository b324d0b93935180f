import { TICK_NAMES } from '../operations/deps.ts'
import type { SyncResult } from '../operations/images/sync-images.ts'
import type { PoolStats, Stats } from '../operations/pools/show-stats.ts'
import type { Claim, ClaimResult } from '../pool/claim.ts'
import { reasonOf } from '../pool/condition.ts'
import type { Image } from '../pool/image.ts'
import type { PoolPlan } from '../pool/replenishment.ts'
import type { Spare } from '../pool/spare.ts'
import type { ClaimRecord, ClaimView, ImageView, PlanView, SpareView, StatsView, SyncView } from './schemas.ts'

const time = (date: Date): string => date.toISOString()

const toDiskView = ({ disk, missReason }: Claim) => ({
  volume_type: disk?.volumeType ?? null,
  size: disk?.sizeGib ?? null,
  snapshot_id: disk?.snapshotId ?? null,
  image_version: disk?.imageVersion ?? null,
  miss_reason: missReason ?? null,
  spare_age_seconds: disk?.spareAgeSeconds ?? null
})

export function toClaimView({ claim, volumeStatus }: ClaimResult): ClaimView {
  if (!claim.disk || !claim.source) throw new Error(`claim ${claim.id} was answered without a disk`)
  return {
    claim_id: claim.id,
    volume_id: claim.disk.volumeId,
    name: claim.name,
    project_id: claim.projectId,
    source: claim.source,
    status: volumeStatus,
    os: claim.disk.os ?? null,
    type: claim.disk.type ?? null,
    ...toDiskView(claim)
  }
}

export const toClaimRecord = (claim: Claim): ClaimRecord => ({
  claim_id: claim.id,
  idempotency_key: claim.idempotencyKey ?? null,
  volume_id: claim.disk?.volumeId ?? null,
  name: claim.name,
  hostname: claim.hostname,
  category: claim.category,
  project_id: claim.projectId,
  source: claim.source ?? null,
  status: claim.status,
  os: claim.os,
  type: claim.type,
  ...toDiskView(claim),
  created_at: time(claim.createdAt),
  updated_at: time(claim.updatedAt)
})

export const toSpareView = (spare: Spare): SpareView => ({
  id: spare.id,
  volume_id: spare.volumeId ?? null,
  name: spare.name,
  os: spare.os,
  type: spare.type,
  volume_type: spare.volumeType,
  snapshot_id: spare.snapshotId,
  image_version: spare.imageVersion,
  size: spare.sizeGib,
  status: spare.status,
  allocated: spare.status === 'reserved',
  armed: spare.transfer !== undefined,
  kept: spare.kept,
  claim_id: spare.claimId ?? null,
  created_at: time(spare.createdAt),
  updated_at: time(spare.updatedAt),
  available_at: spare.availableAt ? time(spare.availableAt) : null
})

export const toImageView = (image: Image): ImageView => ({
  os: image.os,
  type: image.type,
  snapshot_id: image.snapshotId,
  replica_snapshot_ids: [...image.replicaSnapshotIds],
  version: image.version,
  volume_type: image.volumeType,
  size: image.sizeGib,
  created_at: time(image.createdAt),
  updated_at: time(image.updatedAt)
})

export const toSyncView = ({ images, ignored, retired, dryRun }: SyncResult): SyncView => ({
  images: images.map(({ image, change }) => ({
    os: image.os,
    type: image.type,
    snapshot_id: image.snapshotId,
    version: image.version,
    volume_type: image.volumeType,
    size: image.sizeGib,
    change
  })),
  ignored: ignored.map(({ snapshotId, name, reason }) => ({ snapshot_id: snapshotId, name, reason })),
  retired,
  dry_run: dryRun
})

export const toPlanView = (plan: PoolPlan): PlanView => ({
  os: plan.os,
  type: plan.type,
  target: plan.target,
  held: plan.held,
  in_flight: plan.inFlight,
  missing: plan.missing,
  create: plan.create.length,
  held_back_by: plan.heldBackBy ?? null,
  reason: reasonOf(plan)
})

export interface CloudState {
  readonly reachable: boolean
  readonly lastError: string | undefined
}

export const toStatsView = ({ pools, ticks, orphans }: Stats, cloud: CloudState): StatsView => ({
  pools: pools.map(toPoolView),
  ticks: Object.fromEntries(
    TICK_NAMES.map(name => {
      const tick = ticks.find(record => record.name === name)
      const view = {
        last_run_at: tick?.lastRunAt ? time(tick.lastRunAt) : null,
        last_ok_at: tick?.lastOkAt ? time(tick.lastOkAt) : null,
        seconds: tick?.seconds ?? null,
        last_error: tick?.lastError ?? null
      }
      return [name, view]
    })
  ),
  cloud: { reachable: cloud.reachable, last_error: cloud.lastError ?? null },
  orphans
})

function toPoolView(pool: PoolStats): StatsView['pools'][number] {
  const { os, type, condition, target, image, leadTime, claimSeconds } = pool
  return {
    os,
    type,
    condition,
    target,
    spares: { ...pool.spares },
    stale_spares: pool.staleSpares,
    oldest_spare_seconds: pool.oldestSpareSeconds ?? null,
    paused: pool.paused,
    image: image
      ? { snapshot_id: image.snapshotId, version: image.version, newer_in_cinder: pool.newerInCinder ?? null }
      : null,
    claims: { hits: pool.hits, misses: { ...pool.misses }, existing: pool.existing, hit_rate: hitRate(pool) },
    lead_time_seconds: leadTime ? { p50: rounded(leadTime.p50), p95: rounded(leadTime.p95) } : null,
    claim_seconds: claimSeconds ? { p50: rounded(claimSeconds.p50), p99: rounded(claimSeconds.p99) } : null,
    last_error: pool.lastError ?? null
  }
}

const rounded = (seconds: number): number => Math.round(seconds * 1000) / 1000

/** Null before the first claim that a spare could have served. */
function hitRate({ hits, misses }: PoolStats): number | null {
  const asked = Object.values(misses).reduce((sum, count) => sum + count, hits)
  return asked === 0 ? null : rounded(hits / asked)
}
