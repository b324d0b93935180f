import {
  type Caller,
  isAdmin,
  type Message,
  type Snapshot,
  type Transfer,
  type Volume,
  type VolumeType
} from './model.ts'
import type { Page, Query } from './paging.ts'

/** Cinder's times are UTC without a zone. The database keeps whole seconds, so only what was just made has a fraction. */
export const time = (ms: number | null, fresh = false): string | null =>
  ms === null ? null : `${new Date(ms).toISOString().slice(0, fresh ? -1 : -5)}${fresh ? '000' : '.000000'}`

/** What an answer depends on besides the thing it shows. */
export interface Viewer {
  readonly caller: Caller
  readonly minor: number
  /** `http://host/volume` */
  readonly base: string
  readonly version: 'v2' | 'v3'
}

type Link = { rel: string; href: string }

export function links({ base, version, caller }: Viewer, kind: string, id: string): Link[] {
  const path = `${caller.projectId}/${kind}/${id}`
  return [
    { rel: 'self', href: `${base}/${version}/${path}` },
    { rel: 'bookmark', href: `${base}/${path}` }
  ]
}

/** `{ <kind>: rows, <kind>_links: next }`, and `count` where it was asked for. */
export function listView<T extends { id: string }>(
  viewer: Viewer,
  kind: string,
  path: string,
  query: Query,
  { rows, full, count }: Page<T>,
  show: (row: T) => object
): object {
  const { with_count: withCount = '' } = query
  const last = rows.at(-1)
  const next = new URLSearchParams({ ...query, marker: last?.id ?? '' }).toString()
  const href = `${viewer.base}/${viewer.version}/${viewer.caller.projectId}/${path}?${next}`
  return {
    [kind]: rows.map(show),
    ...(full && last ? { [`${kind}_links`]: [{ rel: 'next', href }] } : {}),
    ...(viewer.minor >= 45 && /^(1|t|true|yes|on)$/i.test(withCount) ? { count } : {})
  }
}

export const volumeSummary = (viewer: Viewer, { id, name }: Volume): object => ({
  id,
  name,
  links: links(viewer, 'volumes', id)
})

/** A volume as the answer to its creation shows it. */
export function newVolumeView(viewer: Viewer, volume: Volume, fresh = true): Record<string, unknown> {
  const { minor } = viewer
  return {
    id: volume.id,
    status: volume.status,
    size: volume.sizeGib,
    availability_zone: volume.availabilityZone,
    created_at: time(volume.createdAt, fresh),
    updated_at: time(volume.updatedAt),
    name: volume.name,
    description: volume.description,
    volume_type: volume.type.name || null,
    snapshot_id: volume.snapshotId,
    source_volid: volume.sourceVolumeId,
    metadata: volume.metadata,
    links: links(viewer, 'volumes', volume.id),
    user_id: volume.userId,
    bootable: String(volume.bootable),
    encrypted: volume.type.encrypted,
    replication_status: null,
    consistencygroup_id: null,
    multiattach: false,
    attachments: volume.attachments.map(attachment => ({
      id: volume.id,
      attachment_id: attachment.id,
      volume_id: volume.id,
      server_id: attachment.serverId,
      host_name: isAdmin(viewer.caller) ? attachment.hostName : null,
      device: attachment.device,
      attached_at: time(attachment.attachedAt)
    })),
    ...(isAdmin(viewer.caller) ? { migration_status: null } : {}),
    ...(minor >= 13 ? { group_id: null } : {}),
    ...(minor >= 21 && isAdmin(viewer.caller) ? { provider_id: null } : {}),
    ...(minor >= 48 ? { service_uuid: null, shared_targets: false } : {}),
    ...(minor >= 61 ? { cluster_name: null } : {}),
    ...(minor >= 63 ? { volume_type_id: volume.type.id } : {}),
    ...(minor >= 65 ? { consumes_quota: true } : {})
  }
}

/** A volume as GET shows it: with its project, and for an administrator where it is. */
export const volumeView = (viewer: Viewer, volume: Volume): object => ({
  ...newVolumeView(viewer, volume, false),
  'os-vol-tenant-attr:tenant_id': volume.projectId,
  ...(isAdmin(viewer.caller)
    ? {
        'os-vol-host-attr:host': 'sandbox@ceph#ceph',
        'os-vol-mig-status-attr:migstat': null,
        'os-vol-mig-status-attr:name_id': null
      }
    : {})
})

export function transferSummary(viewer: Viewer, transfer: Transfer): object {
  const { id, volumeId, name } = transfer
  return { id, volume_id: volumeId, name, links: links(viewer, 'os-volume-transfer', id) }
}

/** Without the key, which only the answer to the creation tells. */
export const transferView = (viewer: Viewer, transfer: Transfer, fresh = false): object => ({
  ...transferSummary(viewer, transfer),
  created_at: time(transfer.createdAt, fresh),
  ...(viewer.minor >= 55 ? { no_snapshots: transfer.noSnapshots } : {}),
  ...(viewer.minor >= 57
    ? { source_project_id: transfer.sourceProjectId, destination_project_id: null, accepted: false }
    : {})
})

export const snapshotView = ({ minor }: Viewer, snapshot: Snapshot, fresh = false): object => ({
  id: snapshot.id,
  created_at: time(snapshot.createdAt, fresh),
  updated_at: time(snapshot.updatedAt),
  name: snapshot.name,
  description: snapshot.description,
  volume_id: snapshot.volumeId,
  status: snapshot.status,
  size: snapshot.sizeGib,
  metadata: snapshot.metadata,
  ...(minor >= 14 ? { group_snapshot_id: null } : {}),
  ...(minor >= 41 ? { user_id: snapshot.userId } : {}),
  ...(minor >= 65 ? { consumes_quota: true } : {})
})

/** The two attributes that an extension adds; the answer to a creation lacks them. */
export const snapshotDetail = (viewer: Viewer, snapshot: Snapshot): object => ({
  ...snapshotView(viewer, snapshot),
  'os-extended-snapshot-attributes:project_id': snapshot.projectId,
  'os-extended-snapshot-attributes:progress': snapshot.status === 'creating' ? '0%' : '100%'
})

export const typeView = (type: VolumeType): object => ({
  id: type.id,
  name: type.name,
  is_public: type.isPublic,
  description: null,
  extra_specs: {},
  qos_specs_id: null,
  'os-volume-type-access:is_public': type.isPublic
})

export const messageView = (viewer: Viewer, message: Message): object => ({
  id: message.id,
  event_id: message.eventId,
  user_message: message.text,
  message_level: 'ERROR',
  created_at: time(message.createdAt),
  guaranteed_until: time(message.createdAt + 30 * 24 * 3600_000),
  request_id: message.requestId,
  resource_type: 'VOLUME',
  resource_uuid: message.resourceId,
  links: links(viewer, 'messages', message.id)
})
