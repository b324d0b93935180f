import type { Cloud } from './cloud.ts'
import { type Caller, isAdmin, type Transfer, type Volume } from './model.ts'
import { checkQuota, checkTypeVisible, checkVolumeSize } from './quotas.ts'
import { badRequest, invalidVolume, notFound } from './refusal.ts'
import { snapshotsOf } from './snapshots.ts'
import { changeVolume, findVolume } from './volumes.ts'

const unknown = (id: string): Error => notFound('Transfer', id)

/** For its maker: whoever owns the volume. The receiver cannot see a transfer, only accept it. */
export function findTransfer(cloud: Cloud, caller: Caller, id: string): Transfer {
  const transfer = cloud.transfers.get(id)
  if (!transfer || !maySee(cloud, caller, transfer)) throw unknown(id)
  return transfer
}

const maySee = (cloud: Cloud, caller: Caller, transfer: Transfer): boolean =>
  isAdmin(caller) || cloud.volumes.get(transfer.volumeId)?.projectId === caller.projectId

/** The transfers of the caller's project, or of all; of one volume where it is given. */
export function listTransfers(cloud: Cloud, caller: Caller, volumeId: string | undefined, all: boolean): Transfer[] {
  const transfers = volumeId === undefined ? [...cloud.transfers.all()] : cloud.transfers.ofVolume(volumeId)
  return transfers.filter(
    transfer => (all && isAdmin(caller)) || cloud.volumes.get(transfer.volumeId)?.projectId === caller.projectId
  )
}

export function createTransfer(
  cloud: Cloud,
  caller: Caller,
  {
    mayBeEncrypted = false,
    ...wish
  }: { volumeId: string; name: string | null; noSnapshots: boolean; mayBeEncrypted?: boolean }
): Transfer {
  const volume = findVolume(cloud, caller, wish.volumeId)
  if (volume.status !== 'available') throw invalidVolume('status must be available')
  if (volume.type.encrypted && (!mayBeEncrypted || wish.noSnapshots)) {
    throw invalidVolume('transferring encrypted volume is not supported')
  }
  const busy = wish.noSnapshots ? undefined : snapshotsOf(cloud, volume.id).find(({ status }) => status !== 'available')
  if (busy) throw badRequest(`Invalid snapshot: snapshot: ${busy.id} status must be available`)
  const secret = { id: cloud.random.uuid(), authKey: cloud.random.hex(16) }
  const transfer = { ...wish, ...secret, sourceProjectId: volume.projectId, createdAt: cloud.now() }
  cloud.transfers.add(transfer)
  cloud.record(caller, { change: 'transfer.created', transfer_id: transfer.id, volume_id: volume.id, to: wish.name })
  changeVolume(cloud, caller, volume, { status: 'awaiting-transfer' })
  return transfer
}

/**
 * Moves the volume to the caller's project and user: possessing id and key is enough. The checks come in Cinder's order;
 * until the last has passed nothing changes, and the transfer stays good.
 */
export function acceptTransfer(cloud: Cloud, caller: Caller, id: string, authKey: string): Transfer {
  const transfer = cloud.transfers.get(id)
  const volume = transfer && cloud.volumes.get(transfer.volumeId)
  if (!transfer || !volume) throw unknown(id)
  if (authKey !== transfer.authKey) {
    throw badRequest(`Invalid auth key: Attempt to transfer ${id} with invalid auth key.`)
  }
  const { type, sizeGib } = volume
  const snapshots = transfer.noSnapshots ? [] : snapshotsOf(cloud, volume.id)
  checkVolumeSize(cloud, caller, sizeGib)
  checkTypeVisible(caller, type)
  checkQuota(cloud, caller, type, { gigabytes: sizeGib, volumes: 1 }, false)
  if (snapshots.length > 0) {
    const gigabytes = snapshots.reduce((sum, snapshot) => sum + snapshot.sizeGib, sizeGib)
    checkQuota(cloud, caller, type, { gigabytes, snapshots: snapshots.length }, false)
  }
  if (volume.status !== 'awaiting-transfer') {
    throw invalidVolume(`Transfer ${id}: Volume id ${volume.id} expected in awaiting-transfer state.`)
  }
  move(cloud, caller, transfer, volume)
  return transfer
}

function move(cloud: Cloud, caller: Caller, transfer: Transfer, volume: Volume): void {
  const { projectId, userId } = caller
  for (const snapshot of transfer.noSnapshots ? [] : snapshotsOf(cloud, volume.id)) {
    cloud.usage.count('snapshots', snapshot, -1)
    Object.assign(snapshot, { projectId, userId })
    cloud.usage.count('snapshots', snapshot, 1)
  }
  cloud.transfers.remove(transfer)
  cloud.record(caller, { change: 'transfer.accepted', transfer_id: transfer.id, volume_id: volume.id })
  changeVolume(cloud, caller, volume, { status: 'available', projectId, userId })
}

/** Only a volume that still waits for it becomes available again: after a reset of its status it is left alone. */
export function deleteTransfer(cloud: Cloud, caller: Caller, id: string): void {
  const transfer = findTransfer(cloud, caller, id)
  const volume = cloud.volumes.get(transfer.volumeId)
  cloud.transfers.remove(transfer)
  cloud.record(caller, { change: 'transfer.deleted', transfer_id: id, volume_id: transfer.volumeId })
  if (volume?.status === 'awaiting-transfer') changeVolume(cloud, caller, volume, { status: 'available' })
}
