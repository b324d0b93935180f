import type { Cloud } from './cloud.ts'
import { type Attachment, type Caller, isAdmin, type Volume } from './model.ts'
import { checkQuota, checkTypeVisible, checkVolumeSize } from './quotas.ts'
import { badRequest, invalidInput, invalidVolume, policyRefusal } from './refusal.ts'
import { snapshotsOf } from './snapshots.ts'
import { Later, type Stepwise } from './steps.ts'
import { changeVolume, findVolume } from './volume-record.ts'
import { removeVolume } from './volume-removal.ts'

export { createVolume, restartVolumeService } from './create-volume.ts'
export { changeVolume, findVolume } from './volume-record.ts'

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

/**
 * What PUT does: all in one, or, on releases that write twice, the metadata first and then the rest, if the volume is
 * the caller's still.
 */
export function putVolume(
  cloud: Cloud,
  caller: Caller,
  id: string,
  { metadata, ...row }: Partial<Pick<Volume, 'name' | 'description' | 'metadata'>>
): Stepwise<Volume> {
  const isOneWrite = !cloud.traits.renamesInTwoWrites || !metadata || Object.keys(row).length === 0
  if (isOneWrite) return updateVolume(cloud, caller, id, { ...row, ...(metadata ? { metadata } : {}) })
  updateVolume(cloud, caller, id, { metadata })
  return new Later(cloud.delays.renaming, () => updateVolume(cloud, caller, id, row))
}

export function extendVolume(cloud: Cloud, caller: Caller, id: string, sizeGib: number, whileInUse: boolean): void {
  const volume = findVolume(cloud, caller, id)
  const { status } = volume
  const checks = [() => checkGrowth(volume, sizeGib), () => checkExtendable(volume, whileInUse)]
  for (const check of cloud.traits.extendChecksSizeFirst ? checks : checks.toReversed()) check()
  checkTypeVisible(caller, volume.type)
  if (cloud.traits.limitsEachVolume) checkVolumeSize(cloud, caller, sizeGib)
  checkQuota(cloud, { ...caller, projectId: volume.projectId }, volume.type, { gigabytes: sizeGib - volume.sizeGib })
  changeVolume(cloud, caller, volume, { status: 'extending', extendingToGib: sizeGib })
  const failed = caller.strike === 'error_volume'
  cloud.volumeService.work(cloud.delays.extending, () => {
    if (volume.status !== 'extending') return
    if (failed) return changeVolume(cloud, caller, volume, { status: 'error_extending', extendingToGib: null })
    cloud.record(caller, { change: 'volume.extended', volume_id: id, from: volume.sizeGib, to: sizeGib })
    changeVolume(cloud, caller, volume, { status, sizeGib, extendingToGib: null })
  })
}

function checkGrowth(volume: Volume, sizeGib: number): void {
  if (sizeGib > volume.sizeGib) return
  throw invalidInput(
    `New size for extend must be greater than current size. (current: ${volume.sizeGib}, extended: ${sizeGib}).`
  )
}

function checkExtendable({ id, status }: Volume, whileInUse: boolean): void {
  if (status === 'available' || (whileInUse && status === 'in-use')) return
  throw invalidVolume(`Volume ${id} status must be '{'status': 'available'}' to extend, currently ${status}.`)
}

export function deleteVolume(
  cloud: Cloud,
  caller: Caller,
  id: string,
  how: { cascade?: boolean; force?: boolean } = {}
): void {
  const volume = findVolume(cloud, caller, id)
  if (how.force && !isAdmin(caller)) throw policyRefusal('volume_extension:volume_admin_actions:force_delete')
  const { deletable } = cloud.traits
  const hasSnapshots = !how.cascade && snapshotsOf(cloud, id).length > 0
  if (volume.attachments.length > 0 || hasSnapshots || (!how.force && !deletable.includes(volume.status))) {
    throw invalidVolume(
      `Volume status must be ${deletable.join(' or ')} and must not be migrating, attached, belong to a group, ` +
        'have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.'
    )
  }
  changeVolume(cloud, caller, volume, { status: 'deleting' })
  const { deleting, deleting_per_gib: perGib } = cloud.delays
  cloud.volumeService.work(deleting + perGib * volume.dataGib, () => {
    if (caller.strike === 'error_volume') changeVolume(cloud, caller, volume, { status: 'error_deleting' })
    else if (caller.strike === 'busy_delete') changeVolume(cloud, caller, volume, { status: 'available' })
    else removeVolume(cloud, caller, volume)
  })
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
