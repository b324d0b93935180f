import type { Cloud } from './cloud.ts'
import { type Caller, isAdmin, type Volume } from './model.ts'
import { notFound } from './refusal.ts'

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
  cloud.volumes.change(volume, { updatedAt: cloud.now(), ...change })
  const record = (what: string, from: unknown, to: unknown): void =>
    cloud.record(by, { change: `volume.${what}`, volume_id: volume.id, from, to })
  if (volume.projectId !== projectId) record('moved', projectId, volume.projectId)
  if (volume.name !== name) record('renamed', name, volume.name)
  if (change.metadata) record('metadata', metadata, volume.metadata)
  if (volume.status !== status) record('status', status, volume.status)
}
