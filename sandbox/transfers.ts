import type { Cloud } from './cloud.ts'
import type { Operation } from './delays.ts'
import { type Caller, isAdmin, type Snapshot, type Transfer, type Volume } from './model.ts'
import { checkQuota, checkTypeVisible, checkVolumeSize } from './quotas.ts'
import { Random } from './random.ts'
import { badRequest, INTERNAL, invalidVolume, notFound, Refusal } from './refusal.ts'
import { snapshotsOf } from './snapshots.ts'
import { Later, type Stepwise } from './steps.ts'
import { changeVolume, findVolume } from './volume-record.ts'
import { RPC_TIMEOUT_MS } from './volume-service.ts'

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

/** The same in the order in which the database happens to have them: none that anyone asked for. */
export function unsorted(cloud: Cloud, transfers: readonly Transfer[]): Transfer[] {
  const placed = transfers.map(transfer => ({ transfer, place: new Random(cloud.listOrder, transfer.id).fraction() }))
  return placed.toSorted((left, right) => left.place - right.place).map(({ transfer }) => transfer)
}

export function createTransfer(
  cloud: Cloud,
  caller: Caller,
  {
    mayBeEncrypted = false,
    ...wish
  }: { volumeId: string; name: string | null; noSnapshots: boolean; mayBeEncrypted?: boolean }
): Stepwise<Transfer> {
  const volume = findVolume(cloud, caller, wish.volumeId)
  if (volume.status !== 'available') throw invalidVolume('status must be available')
  if (volume.type.encrypted && !cloud.traits.givesEncryptedAway && (!mayBeEncrypted || wish.noSnapshots)) {
    throw invalidVolume('transferring encrypted volume is not supported')
  }
  const busy = snapshotsThatMove(cloud, wish, volume).find(({ status }) => status !== 'available')
  if (busy) throw badRequest(`Invalid snapshot: snapshot: ${busy.id} status must be available`)
  return written(cloud, 'transfer_create', () => addTransfer(cloud, caller, volume, wish))
}

/** Where a release writes what it has checked: at once, or after the call's time, whatever has happened meanwhile. */
function written<T>(cloud: Cloud, operation: Operation, write: () => T): Stepwise<T> {
  return cloud.traits.writesBlindly.includes(operation) ? new Later(cloud.delays[operation], write) : write()
}

const snapshotsThatMove = (cloud: Cloud, { noSnapshots }: Pick<Transfer, 'noSnapshots'>, { id }: Volume): Snapshot[] =>
  noSnapshots || !cloud.traits.snapshotsMove ? [] : snapshotsOf(cloud, id)

/** The write of it, of a volume that was checked. */
export function addTransfer(
  cloud: Cloud,
  caller: Caller,
  volume: Volume,
  wish: Pick<Transfer, 'volumeId' | 'name' | 'noSnapshots'>
): Transfer {
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
export function acceptTransfer(cloud: Cloud, caller: Caller, id: string, authKey: string): Stepwise<Transfer> {
  const transfer = cloud.transfers.get(id)
  const volume = transfer && cloud.volumes.get(transfer.volumeId)
  if (!transfer || !volume) throw unknown(id)
  if (authKey !== transfer.authKey) {
    throw badRequest(`Invalid auth key: Attempt to transfer ${id} with invalid auth key.`)
  }
  const { type, sizeGib, projectId: donorId } = volume
  const { limitsEachVolume, snapshotsMove } = cloud.traits
  if (limitsEachVolume) checkVolumeSize(cloud, caller, sizeGib)
  checkTypeVisible(caller, type)
  checkQuota(cloud, caller, type, { gigabytes: sizeGib, volumes: 1 }, false)
  // Without any snapshot, too: a project that has more of them than it may is refused.
  if (snapshotsMove && !transfer.noSnapshots) {
    const snapshots = snapshotsOf(cloud, volume.id)
    const gigabytes = snapshots.reduce((sum, snapshot) => sum + snapshot.sizeGib, sizeGib)
    checkQuota(cloud, caller, type, { gigabytes, snapshots: snapshots.length }, false)
  }
  if (volume.status !== 'awaiting-transfer') {
    throw invalidVolume(`Transfer ${id}: Volume id ${volume.id} expected in awaiting-transfer state.`)
  }
  return throughVolumeService(cloud, () => {
    move(cloud, caller, transfer, { volume, donorId })
    return transfer
  })
}

/** cinder-volume is asked before the database is written, and waited for. */
function throughVolumeService<T>(cloud: Cloud, write: () => T): Stepwise<T> {
  const { volumeService } = cloud
  const waitMs = volumeService.waitMs()
  const writing = (): Stepwise<T> => written(cloud, 'transfer_accept', write)
  if (waitMs <= RPC_TIMEOUT_MS) return waitMs > 0 ? new Later(waitMs, writing) : writing()
  const wasDown = volumeService.isDown
  return new Later(RPC_TIMEOUT_MS, () => {
    if (wasDown && !volumeService.isDown) return writing() // It came back in time, though we answer no earlier.
    throw new Refusal(500, INTERNAL)
  })
}

/** `donorId` had the volume when the accept was checked. */
function move(
  cloud: Cloud,
  caller: Caller,
  transfer: Transfer,
  { volume, donorId }: { volume: Volume; donorId: string }
): void {
  const { projectId, userId } = caller
  const { acceptMovesUpdatedAt, givesEncryptedAway } = cloud.traits
  if (cloud.volumes.get(volume.id) !== volume) throw notFound('Volume', volume.id)
  if (volume.projectId !== donorId) countTwice(cloud, donorId, volume)
  for (const snapshot of snapshotsThatMove(cloud, transfer, volume)) {
    cloud.usage.count('snapshots', snapshot, -1)
    Object.assign(snapshot, { projectId, userId })
    cloud.usage.count('snapshots', snapshot, 1)
  }
  cloud.transfers.remove(transfer)
  cloud.record(caller, { change: 'transfer.accepted', transfer_id: transfer.id, volume_id: volume.id })
  if (volume.type.encrypted && givesEncryptedAway) {
    cloud.record(caller, { change: 'volume.key_left', volume_id: volume.id, from: donorId })
  }
  const updatedAt = acceptMovesUpdatedAt ? cloud.now() : volume.updatedAt
  changeVolume(cloud, caller, volume, { status: 'available', projectId, userId, updatedAt })
}

/** Where another accept was quicker, each has reserved and given back what it believed to move. */
function countTwice(cloud: Cloud, donorId: string, volume: Volume): void {
  cloud.usage.count('volumes', volume, 1)
  cloud.usage.count('volumes', { ...volume, projectId: donorId }, -1)
}

/** Only a volume that still waits for it becomes available again: after a reset of its status it is left alone. */
export function deleteTransfer(cloud: Cloud, caller: Caller, id: string): void {
  const transfer = findTransfer(cloud, caller, id)
  const volume = cloud.volumes.get(transfer.volumeId)
  cloud.transfers.remove(transfer)
  cloud.record(caller, { change: 'transfer.deleted', transfer_id: id, volume_id: transfer.volumeId })
  if (volume?.status === 'awaiting-transfer') changeVolume(cloud, caller, volume, { status: 'available' })
}
