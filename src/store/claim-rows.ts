import type { Claim, Disk } from '../pool/claim.ts'
import { type Database, query } from './connection/database.ts'
import { type Columns, fieldsOf, type Row } from './rows.ts'

export const CLAIM_COLUMNS: Columns<Omit<Claim, 'disk'>> = {
  id: 'id',
  idempotencyKey: 'idempotency_key',
  fingerprint: 'fingerprint',
  projectId: 'project_id',
  name: 'name',
  hostname: 'hostname',
  category: 'category',
  os: 'os',
  type: 'type',
  wantedSizeGib: 'wanted_size',
  status: 'status',
  source: 'source',
  missReason: 'miss_reason',
  createdAt: 'created_at',
  updatedAt: 'updated_at'
}

/** Of table `claims` too. */
export const DISK_COLUMNS: Columns<Disk> = {
  volumeId: 'volume_id',
  os: 'disk_os',
  type: 'disk_type',
  volumeType: 'volume_type',
  sizeGib: 'size',
  snapshotId: 'snapshot_id',
  imageVersion: 'image_version',
  spareAgeSeconds: 'spare_age_seconds'
}

type Nullable<Thing> = { readonly [Field in keyof Thing]: Thing[Field] | undefined }

export function toClaim(row: Row): Claim {
  const claim = fieldsOf(CLAIM_COLUMNS, row)
  return { ...claim, disk: toDisk(row, claim) }
}

/** A disk of ours is what the claim asked for. Of an existing disk we know only what an earlier claim says. */
function toDisk(row: Row, { source, os, type }: Omit<Claim, 'disk'>): Disk | undefined {
  const disk: Nullable<Disk> = fieldsOf(DISK_COLUMNS, row)
  const { volumeId, volumeType = '', sizeGib } = disk // Cinder may have volumes without a type.
  if (!volumeId || !sizeGib) return undefined
  const asked = source === 'existing' ? undefined : { os, type }
  return { ...disk, volumeId, volumeType, sizeGib, os: disk.os ?? asked?.os, type: disk.type ?? asked?.type }
}

export const queryClaims = async (db: Database, sql: string, bindings: object): Promise<Claim[]> =>
  (await query(db, sql, bindings)).map(toClaim)

export const queryClaim = async (db: Database, sql: string, bindings: object): Promise<Claim | undefined> =>
  (await queryClaims(db, sql, bindings))[0]
