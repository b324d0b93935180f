import type { Cloud } from './cloud.ts'
import type { Caller, Volume } from './model.ts'
import { snapshotsOf } from './snapshots.ts'

/** With all that hangs on it: its row's transfers and, where they are deleted with it, snapshots. */
export function removeVolume(cloud: Cloud, by: Caller, volume: Volume): void {
  if (cloud.volumes.get(volume.id) !== volume) return
  for (const transfer of cloud.transfers.ofVolume(volume.id)) cloud.transfers.remove(transfer)
  for (const snapshot of snapshotsOf(cloud, volume.id)) {
    cloud.snapshots.delete(snapshot.id)
    cloud.usage.count('snapshots', snapshot, -1)
  }
  cloud.volumes.remove(volume)
  cloud.record(by, { change: 'volume.deleted', volume_id: volume.id, from: volume.name })
}
