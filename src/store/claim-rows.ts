import type { Claim, ClaimSource, ClaimStatus, Disk, MissReason } from '../pool/claim.ts'
import { type Database, query } from './connection/database.ts'

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
  created_at: Date
  updated_at: Date
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
  createdAt: row.created_at,
  updatedAt: row.updated_at
})

/** A disk of ours is what the claim asked for. Of an existing disk we know only what an earlier claim says. */
const toDisk = (row: ClaimRow): Disk | undefined =>
  row.volume_id && row.size
    ? {
        volumeId: row.volume_id,
        os: row.disk_os ?? (row.source === 'existing' ? undefined : row.os),
        type: row.disk_type ?? (row.source === 'existing' ? undefined : row.type),
        volumeType: row.volume_type ?? '', // Cinder may have volumes without a type.
        sizeGib: row.size,
        snapshotId: row.snapshot_id ?? undefined,
        imageVersion: row.image_version ?? undefined,
        spareAgeSeconds: row.spare_age_seconds ?? undefined
      }
    : undefined

export const queryClaims = async (db: Database, sql: string, bindings: object): Promise<Claim[]> =>
  (await query<ClaimRow>(db, sql, bindings)).map(toClaim)

export const queryClaim = async (db: Database, sql: string, bindings: object): Promise<Claim | undefined> =>
  (await queryClaims(db, sql, bindings))[0]
