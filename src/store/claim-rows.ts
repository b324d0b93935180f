import type { Claim, ClaimSource, ClaimStatus, Disk, MissReason } from '../pool/claim.ts'

export interface ClaimRow {
  id: string
  idempotency_key: string | null
  fingerprint: string
  project_id: string
  name: string
  hostname: string
  category: string
  os: string
  type: string
  wanted_size: number | null
  status: ClaimStatus
  source: ClaimSource | null
  miss_reason: MissReason | null
  volume_id: string | null
  disk_os: string | null
  disk_type: string | null
  volume_type: string | null
  size: number | null
  snapshot_id: string | null
  image_version: string | null
  spare_age_seconds: number | null
  created_at: Date | string
  updated_at: Date | string
}

export const toClaim = (row: ClaimRow): Claim => ({
  id: row.id,
  idempotencyKey: row.idempotency_key ?? undefined,
  fingerprint: row.fingerprint,
  projectId: row.project_id,
  name: row.name,
  hostname: row.hostname,
  category: row.category,
  os: row.os,
  type: row.type,
  wantedSizeGib: row.wanted_size ?? undefined,
  status: row.status,
  source: row.source ?? undefined,
  missReason: row.miss_reason ?? undefined,
  disk: toDisk(row),
  createdAt: new Date(row.created_at), // A string where the row came as JSON.
  updatedAt: new Date(row.updated_at)
})

/** A disk of ours is what was asked for; what another is, is known from claims of before, or not at all. */
const toDisk = (row: ClaimRow): Disk | undefined =>
  row.volume_id && row.size
    ? {
        volumeId: row.volume_id,
        os: row.disk_os ?? (row.source === 'existing' ? undefined : row.os),
        type: row.disk_type ?? (row.source === 'existing' ? undefined : row.type),
        volumeType: row.volume_type ?? '', // Cinder may have volumes without any.
        sizeGib: row.size,
        snapshotId: row.snapshot_id ?? undefined,
        imageVersion: row.image_version ?? undefined,
        spareAgeSeconds: row.spare_age_seconds ?? undefined
      }
    : undefined

export const diskBindings = (disk: Disk | undefined) => ({
  volumeId: disk?.volumeId ?? null,
  diskOs: disk?.os ?? null,
  diskType: disk?.type ?? null,
  volumeType: disk?.volumeType ?? null,
  sizeGib: disk?.sizeGib ?? null,
  snapshotId: disk?.snapshotId ?? null,
  imageVersion: disk?.imageVersion ?? null,
  spareAgeSeconds: disk?.spareAgeSeconds ?? null
})

/** The row, where there is one. */
export const one = ([row]: readonly ClaimRow[]): Claim | undefined => row && toClaim(row)
