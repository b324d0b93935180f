import type { Cloud } from './cloud.ts'
import { type Caller, isAdmin, type Snapshot } from './model.ts'
import { checkQuota } from './quotas.ts'
import { badRequest, invalidVolume, notFound } from './refusal.ts'
import { findVolume } from './volume-record.ts'

export function findSnapshot(cloud: Cloud, caller: Caller, id: string): Snapshot {
  const snapshot = cloud.snapshots.get(id)
  if (!snapshot || (snapshot.projectId !== caller.projectId && !isAdmin(caller))) throw notFound('Snapshot', id)
  return snapshot
}

export const snapshotsOf = (cloud: Cloud, volumeId: string): Snapshot[] =>
  [...cloud.snapshots.values()].filter(snapshot => snapshot.volumeId === volumeId)

export interface SnapshotWish {
  readonly volumeId: string
  readonly name: string | null
  readonly description: string | null
  readonly force: boolean
  readonly metadata: Record<string, string>
}

export function createSnapshot(cloud: Cloud, caller: Caller, wish: SnapshotWish): Snapshot {
  const { volumeId, force, ...rest } = wish
  const { type, sizeGib, dataGib, status, projectId } = findVolume(cloud, caller, volumeId)
  if (status !== 'available' && !(force && status === 'in-use')) {
    throw invalidVolume(`Volume ${volumeId} status must be available, but current status is: ${status}.`)
  }
  checkQuota(cloud, caller, type, { gigabytes: sizeGib, snapshots: 1 })
  const now = cloud.now()
  const owner = { projectId, userId: caller.userId }
  const made = { status: 'creating', createdAt: now, updatedAt: null, busyUntil: 0 }
  const snapshot: Snapshot = { ...rest, ...owner, ...made, id: cloud.random.uuid(), volumeId, type, sizeGib, dataGib }
  cloud.snapshots.set(snapshot.id, snapshot)
  cloud.usage.count('snapshots', snapshot, 1)
  cloud.record(caller, { change: 'snapshot.created', snapshot_id: snapshot.id, volume_id: volumeId, to: wish.name })
  cloud.volumeService.work(cloud.delays.snapshotting, () => setStatus(cloud, caller, snapshot, 'available'))
  return snapshot
}

export function updateSnapshot(
  cloud: Cloud,
  caller: Caller,
  id: string,
  change: Partial<Pick<Snapshot, 'name' | 'description' | 'metadata'>>
): Snapshot {
  const snapshot = findSnapshot(cloud, caller, id)
  Object.assign(snapshot, change, { updatedAt: cloud.now() })
  cloud.record(caller, { change: 'snapshot.updated', snapshot_id: id, to: change })
  return snapshot
}

/** Waits until the creates from it that are under way or queued are done: they hold its lock. */
export function deleteSnapshot(cloud: Cloud, caller: Caller, id: string): void {
  const snapshot = findSnapshot(cloud, caller, id)
  if (snapshot.status !== 'available' && snapshot.status !== 'error') {
    throw badRequest('Invalid snapshot: Snapshot status must be available or error and must not be part of a group.')
  }
  setStatus(cloud, caller, snapshot, 'deleting')
  const remove = (): void => {
    if (!cloud.snapshots.delete(id)) return
    cloud.usage.count('snapshots', snapshot, -1)
    cloud.record(caller, { change: 'snapshot.deleted', snapshot_id: id, from: snapshot.name })
  }
  cloud.volumeService.work(cloud.delays.snapshotting, remove, snapshot.busyUntil)
}

export function setStatus(cloud: Cloud, by: Caller, snapshot: Snapshot, status: string): void {
  const from = snapshot.status
  snapshot.status = status
  snapshot.updatedAt = cloud.now()
  cloud.record(by, { change: 'snapshot.status', snapshot_id: snapshot.id, from, to: status })
}
