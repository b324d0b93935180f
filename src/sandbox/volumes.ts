import type { Cloud } from './cloud.ts'
import { type Attachment, type Caller, isAdmin, type Snapshot, type Volume, type VolumeType } from './model.ts'
import { checkQuota, checkTypeVisible, checkVolumeSize, mayUseType } from './quotas.ts'
import { badRequest, invalidInput, invalidVolume, MALFORMED, notFound, policyRefusal, Refusal } from './refusal.ts'
import { findSnapshot, snapshotsOf } from './snapshots.ts'

export interface VolumeWish {
  readonly name: string | null
  readonly description: string | null
  readonly sizeGib: number | null
  readonly type: string | null
  readonly snapshotId: string | null
  readonly sourceVolumeId: string | null
  readonly availabilityZone: string | null
  readonly metadata: Record<string, string>
}

const DELETABLE = ['available', 'error', 'error_restoring', 'error_extending', 'error_managing']
const MESSAGES_MAX = 10_000

/** The volume, where the caller may see it; another project's does not exist. */
export function findVolume(cloud: Cloud, caller: Caller, id: string): Volume {
  const volume = cloud.volumes.get(id)
  if (!volume || (volume.projectId !== caller.projectId && !isAdmin(caller))) throw notFound('Volume', id)
  return volume
}

/** Changes a volume, unless it is gone, and says so in the journal. */
export function changeVolume(cloud: Cloud, by: Caller, volume: Volume, change: Partial<Volume>): void {
  if (cloud.volumes.get(volume.id) !== volume) return
  const { status, name, projectId, metadata } = volume
  cloud.volumes.change(volume, { ...change, updatedAt: cloud.now() })
  const record = (what: string, from: unknown, to: unknown): void =>
    cloud.record(by, { change: `volume.${what}`, volume_id: volume.id, from, to })
  if (volume.projectId !== projectId) record('moved', projectId, volume.projectId)
  if (volume.name !== name) record('renamed', name, volume.name)
  if (change.metadata) record('metadata', metadata, volume.metadata)
  if (volume.status !== status) record('status', status, volume.status)
}

export function createVolume(cloud: Cloud, caller: Caller, wish: VolumeWish): Volume {
  const asked = wish.type === null ? undefined : typeNamed(cloud, caller, wish.type)
  const snapshot = wish.snapshotId === null ? undefined : findSnapshot(cloud, caller, wish.snapshotId)
  const origin = wish.sourceVolumeId === null ? undefined : findVolume(cloud, caller, wish.sourceVolumeId)
  const source = snapshot ?? origin
  const type = asked ?? source?.type ?? defaultType(cloud)
  checkTypeVisible(caller, type)
  const sizeGib = wish.sizeGib ?? source?.sizeGib
  if (sizeGib === undefined) throw badRequest(MALFORMED)
  if (source) checkSource(source, snapshot !== undefined, type, sizeGib)
  const availabilityZone = wish.availabilityZone ?? 'nova'
  if (availabilityZone !== 'nova') throw badRequest(`Availability zone '${availabilityZone}' is invalid.`)
  checkVolumeSize(cloud, caller, sizeGib)
  checkQuota(cloud, caller, type, { gigabytes: sizeGib, volumes: 1 })
  const volume: Volume = {
    ...wish,
    id: cloud.random.uuid(),
    projectId: caller.projectId,
    userId: caller.userId,
    status: 'creating',
    sizeGib,
    extendingToGib: null,
    dataGib: source?.dataGib ?? 0,
    type,
    availabilityZone,
    bootable: (snapshot ? cloud.volumes.get(snapshot.volumeId) : origin)?.bootable ?? false,
    attachments: [],
    createdAt: cloud.now(),
    updatedAt: null
  }
  cloud.volumes.add(volume)
  cloud.record(caller, { change: 'volume.created', volume_id: volume.id, snapshot_id: snapshot?.id, to: volume.name })
  const ms = creatingMs(cloud, volume, snapshot)
  if (caller.strike !== 'stuck_creating') cloud.after(ms, () => finishCreate(cloud, caller, volume))
  return volume
}

function checkSource(source: Volume | Snapshot, isSnapshot: boolean, type: VolumeType, sizeGib: number): void {
  const kind = isSnapshot ? 'snapshot' : 'volume'
  const states = isSnapshot ? "'available'" : "'available or in-use'"
  const advice = isSnapshot
    ? 'recommend omitting the type argument'
    : 'either match source volume, or omit type argument'
  if (type !== source.type) {
    throw invalidInput(`Invalid volume_type provided: ${type.id} (requested type is not compatible; ${advice}).`)
  }
  if (source.status !== 'available' && (isSnapshot || source.status !== 'in-use')) {
    throw badRequest(`Invalid ${kind}: Originating ${kind} status must be one of ${states} values`)
  }
  if (sizeGib >= source.sizeGib) return
  throw invalidInput(
    `Volume size '${sizeGib}'GB cannot be smaller than the ${kind} size ${source.sizeGib}GB. ` +
      `They must be >= original ${kind} size.`
  )
}

/** Creates from one snapshot queue up: each waits for all before it. From different ones they run side by side. */
function creatingMs(cloud: Cloud, volume: Volume, snapshot: Snapshot | undefined): number {
  const { creating, creating_per_gib: perGib, creating_empty: empty } = cloud.delays
  if (!snapshot && volume.dataGib === 0) return empty
  const ms = creating + perGib * volume.dataGib
  if (!snapshot) return ms
  const now = cloud.now()
  snapshot.busyUntil = Math.max(now, snapshot.busyUntil) + ms
  return snapshot.busyUntil - now
}

/** Writes `available` whatever the status has become meanwhile: Cinder does. */
function finishCreate(cloud: Cloud, by: Caller, volume: Volume): void {
  if (by.strike === 'vanish') removeVolume(cloud, by, volume)
  if (by.strike === 'error_volume') {
    // The scheduler tries again, and of all that it knows nothing is left.
    tell(cloud, by, volume, '001_003', 'schedule allocate volume:Could not find any available weighted backend.')
  }
  changeVolume(cloud, by, volume, { status: by.strike === 'error_volume' ? 'error' : 'available' })
}

function tell(cloud: Cloud, by: Caller, volume: Volume, eventId: string, text: string): void {
  if (cloud.messages.length >= MESSAGES_MAX) cloud.messages = cloud.messages.slice(MESSAGES_MAX / 2)
  const { projectId, id: resourceId } = volume
  const event = { eventId: `VOLUME_VOLUME_${eventId}`, text, createdAt: cloud.now() }
  cloud.messages.push({ id: cloud.random.uuid(), projectId, resourceId, requestId: by.requestId, ...event })
}

function typeNamed(cloud: Cloud, caller: Caller, nameOrId: string): VolumeType {
  const type = cloud.types.get(nameOrId) ?? [...cloud.types.values()].find(({ name }) => name === nameOrId)
  if (!type || !mayUseType(caller, type)) throw notFound('Volume type with name', nameOrId)
  return type
}

function defaultType(cloud: Cloud): VolumeType {
  const [type] = cloud.types.values()
  if (!type) throw new Refusal(404, 'Volume type could not be found.')
  return type
}

/** Sets what is given; metadata as a whole. Allowed in every status but `maintenance`, while a transfer waits too. */
export function updateVolume(
  cloud: Cloud,
  caller: Caller,
  id: string,
  change: Partial<Pick<Volume, 'name' | 'description' | 'metadata' | 'bootable'>>
): Volume {
  const volume = findVolume(cloud, caller, id)
  if (volume.status === 'maintenance') throw invalidVolume('The volume cannot be updated during maintenance.')
  changeVolume(cloud, caller, volume, change)
  return volume
}

export function extendVolume(cloud: Cloud, caller: Caller, id: string, sizeGib: number, whileInUse: boolean): void {
  const volume = findVolume(cloud, caller, id)
  const { status } = volume
  if (sizeGib <= volume.sizeGib) {
    throw invalidInput(
      `New size for extend must be greater than current size. (current: ${volume.sizeGib}, extended: ${sizeGib}).`
    )
  }
  if (status !== 'available' && !(whileInUse && status === 'in-use')) {
    throw invalidVolume(`Volume ${id} status must be '{'status': 'available'}' to extend, currently ${status}.`)
  }
  checkTypeVisible(caller, volume.type)
  checkVolumeSize(cloud, caller, sizeGib)
  checkQuota(cloud, { ...caller, projectId: volume.projectId }, volume.type, { gigabytes: sizeGib - volume.sizeGib })
  changeVolume(cloud, caller, volume, { status: 'extending', extendingToGib: sizeGib })
  const failed = caller.strike === 'error_volume'
  cloud.after(cloud.delays.extending, () => {
    if (volume.status !== 'extending') return
    if (failed) return changeVolume(cloud, caller, volume, { status: 'error_extending', extendingToGib: null })
    cloud.record(caller, { change: 'volume.extended', volume_id: id, from: volume.sizeGib, to: sizeGib })
    changeVolume(cloud, caller, volume, { status, sizeGib, extendingToGib: null })
  })
}

export function deleteVolume(
  cloud: Cloud,
  caller: Caller,
  id: string,
  how: { cascade?: boolean; force?: boolean } = {}
): void {
  const volume = findVolume(cloud, caller, id)
  if (how.force && !isAdmin(caller)) throw policyRefusal('volume_extension:volume_admin_actions:force_delete')
  const hasSnapshots = !how.cascade && snapshotsOf(cloud, id).length > 0
  if (volume.attachments.length > 0 || hasSnapshots || (!how.force && !DELETABLE.includes(volume.status))) {
    throw invalidVolume(
      `Volume status must be ${DELETABLE.join(' or ')} and must not be migrating, attached, belong to a group, ` +
        'have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.'
    )
  }
  changeVolume(cloud, caller, volume, { status: 'deleting' })
  const { deleting, deleting_per_gib: perGib } = cloud.delays
  cloud.after(deleting + perGib * volume.dataGib, () => {
    if (caller.strike === 'error_volume') changeVolume(cloud, caller, volume, { status: 'error_deleting' })
    else if (caller.strike === 'busy_delete') changeVolume(cloud, caller, volume, { status: 'available' })
    else removeVolume(cloud, caller, volume)
  })
}

/** With all that hangs on it: its row's transfers and, where they are deleted with it, snapshots. */
function removeVolume(cloud: Cloud, by: Caller, volume: Volume): void {
  if (cloud.volumes.get(volume.id) !== volume) return
  for (const transfer of cloud.transfers.ofVolume(volume.id)) cloud.transfers.remove(transfer)
  for (const snapshot of snapshotsOf(cloud, volume.id)) {
    cloud.snapshots.delete(snapshot.id)
    cloud.usage.count('snapshots', snapshot, -1)
  }
  cloud.volumes.remove(volume)
  cloud.record(by, { change: 'volume.deleted', volume_id: volume.id, from: volume.name })
}

/** An administrator's repair: only the status changes, a transfer stays. */
export function resetStatus(cloud: Cloud, caller: Caller, id: string, status: string): void {
  const volume = findVolume(cloud, caller, id)
  if (!isAdmin(caller)) throw policyRefusal('volume_extension:volume_admin_actions:reset_status')
  if (status === 'deleting') throw badRequest('Cannot reset-state to deleting')
  if (status === 'in-use' && volume.attachments.length === 0) {
    throw badRequest('Cannot reset-state to in-use because volume does not have any attachments.')
  }
  changeVolume(cloud, caller, volume, { status })
}

export function attachVolume(
  cloud: Cloud,
  caller: Caller,
  id: string,
  to: Omit<Attachment, 'id' | 'attachedAt'>
): void {
  const volume = findVolume(cloud, caller, id)
  if (!['available', 'attaching', 'reserved'].includes(volume.status)) {
    throw invalidVolume(
      `Volume status must be available or attaching or reserved to attach, but the status is ${volume.status}.`
    )
  }
  const attachment = { ...to, id: cloud.random.uuid(), attachedAt: cloud.now() }
  changeVolume(cloud, caller, volume, { status: 'in-use', attachments: [attachment] })
}

export function detachVolume(cloud: Cloud, caller: Caller, id: string): void {
  const volume = findVolume(cloud, caller, id)
  if (volume.status !== 'in-use' && volume.status !== 'detaching') {
    throw invalidVolume(
      "Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach."
    )
  }
  changeVolume(cloud, caller, volume, { status: 'available', attachments: [] })
}
