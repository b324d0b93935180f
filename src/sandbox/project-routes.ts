import type { Call, Route } from './cinder.ts'
import { isTrue } from './filters.ts'
import { literal } from './literal.ts'
import { type Caller, isAdmin, type Snapshot, type Transfer, type VolumeType } from './model.ts'
import { type Column, page } from './paging.ts'
import { limitOf, mayUseType, resources, updateQuotas } from './quotas.ts'
import { notFound, policyRefusal, Refusal } from './refusal.ts'
import {
  acceptBody,
  accessBody,
  newSnapshotBody,
  quotaBody,
  snapshotBody,
  transferBody,
  transferBody355,
  typeBody
} from './schemas.ts'
import { addType } from './seed.ts'
import { createSnapshot, deleteSnapshot, findSnapshot, updateSnapshot } from './snapshots.ts'
import { acceptTransfer, createTransfer, deleteTransfer, findTransfer, listTransfers } from './transfers.ts'
import {
  listView,
  messageView,
  snapshotDetail,
  snapshotView,
  transferSummary,
  transferView,
  typeView
} from './views.ts'
import { actionOf, textOrNull } from './volume-routes.ts'

/** Under the old name and the new one, which differ only in what they take and show by microversion. */
export function transferRoutes(route: Route): void {
  for (const path of ['os-volume-transfer', 'volume-transfers']) {
    const list = (suffix: string, show: (call: Call, transfer: Transfer) => object): void =>
      route('GET', `/${path}${suffix}`, 'transfer_list', 200, call => {
        const query = { sort: 'created_at:asc', ...(isPaged(call, path) ? call.query : {}) }
        const find = (id: string): Transfer => findTransfer(call.cloud, call.caller, id)
        const found = page(
          transfersFor(call, path),
          () => true,
          query,
          name => TRANSFER_COLUMNS[name],
          find
        )
        return listView(call, 'transfers', path + suffix, call.query, found, transfer => show(call, transfer))
      })
    list('', transferSummary)
    list('/detail', transferView)
    route('POST', `/${path}`, 'transfer_create', 202, call => {
      const newer = call.minor >= 55 && path === 'volume-transfers'
      const { transfer: wish } = (newer ? transferBody355 : transferBody)(call.body)
      const noSnapshots = 'no_snapshots' in wish && isTrue(String(wish.no_snapshots))
      const named = { volumeId: wish.volume_id, name: textOrNull(wish.name), noSnapshots }
      const transfer = createTransfer(call.cloud, call.caller, named)
      return { transfer: { ...transferView(call, transfer, true), auth_key: transfer.authKey } }
    })
    route('GET', `/${path}/:id`, 'transfer_show', 200, call => ({
      transfer: transferView(call, findTransfer(call.cloud, call.caller, call.id))
    }))
    route('POST', `/${path}/:id/accept`, 'transfer_accept', 202, call => {
      const { auth_key: key } = acceptBody(call.body).accept
      return { transfer: transferSummary(call, acceptTransfer(call.cloud, call.caller, call.id, String(key))) }
    })
    route('DELETE', `/${path}/:id`, 'transfer_delete', 202, ({ cloud, caller, id }) =>
      deleteTransfer(cloud, caller, id)
    )
  }
}

const isPaged = (call: Call, path: string): boolean => call.minor >= 59 && path === 'volume-transfers'
const TRANSFER_COLUMNS: Record<string, Column<Transfer>> = {
  id: transfer => transfer.id,
  created_at: transfer => transfer.createdAt,
  name: transfer => transfer.name
}

/** Before 3.59 a query it does not know, paging included, finds nothing. */
function transfersFor(call: Call, path: string): Transfer[] {
  const known = ['volume_id', 'name', 'all_tenants']
  const paging = ['limit', 'marker', 'offset', 'sort', 'sort_key', 'sort_dir']
  const allowed = isPaged(call, path) ? [...known, ...paging] : known
  if (Object.keys(call.query).some(name => !allowed.includes(name))) return []
  const { volume_id: volumeId, name, all_tenants: all } = call.query
  const transfers = listTransfers(call.cloud, call.caller, volumeId, isTrue(all))
  return transfers.filter(transfer => name === undefined || transfer.name === name)
}

export function snapshotRoutes(route: Route): void {
  const list = (path: string, show: (call: Call, snapshot: Snapshot) => object): void =>
    route('GET', `/${path}`, 'snapshot_list', 200, call => {
      const find = (id: string): Snapshot => findSnapshot(call.cloud, call.caller, id)
      const all = call.cloud.snapshots.values()
      const found = page(
        all,
        one => matches(call, one),
        call.query,
        name => SNAPSHOT_COLUMNS[name],
        find
      )
      return listView(call, 'snapshots', path, call.query, found, snapshot => show(call, snapshot))
    })
  list('snapshots', snapshotView)
  list('snapshots/detail', snapshotDetail)
  route('POST', '/snapshots', 'snapshot_create', 202, call => {
    const { snapshot: wish } = newSnapshotBody(call.body)
    const snapshot = createSnapshot(call.cloud, call.caller, {
      volumeId: wish.volume_id,
      name: textOrNull(wish.name),
      description: textOrNull(wish.description),
      force: isTrue(String(wish.force)),
      metadata: { ...wish.metadata }
    })
    return { snapshot: snapshotView(call, snapshot, true) }
  })
  route('GET', '/snapshots/:id', 'snapshot_show', 200, call => ({
    snapshot: snapshotDetail(call, findSnapshot(call.cloud, call.caller, call.id))
  }))
  route('PUT', '/snapshots/:id', 'snapshot_update', 200, call => {
    const { name, description } = snapshotBody(call.body).snapshot
    const snapshot = updateSnapshot(call.cloud, call.caller, call.id, {
      ...(name === undefined ? {} : { name: textOrNull(name) }),
      ...(description === undefined ? {} : { description: textOrNull(description) })
    })
    return { snapshot: snapshotView(call, snapshot) }
  })
  route('DELETE', '/snapshots/:id', 'snapshot_delete', 202, ({ cloud, caller, id }) =>
    deleteSnapshot(cloud, caller, id)
  )
}

const SNAPSHOT_COLUMNS: Record<string, Column<Snapshot>> = {
  id: snapshot => snapshot.id,
  created_at: snapshot => snapshot.createdAt,
  name: snapshot => snapshot.name,
  status: snapshot => snapshot.status,
  volume_id: snapshot => snapshot.volumeId
}

function matches({ caller, query }: Call, snapshot: Snapshot): boolean {
  const { all_tenants: all } = query
  const everywhere = isAdmin(caller) && isTrue(all)
  if (!everywhere && snapshot.projectId !== caller.projectId) return false
  const { name, status, volume_id: volumeId, metadata } = query
  const wanted = metadata === undefined ? {} : literal(metadata)
  return (
    (name === undefined || snapshot.name?.toLowerCase() === name.toLowerCase()) &&
    (status === undefined || snapshot.status === status) &&
    (volumeId === undefined || snapshot.volumeId === volumeId) &&
    typeof wanted === 'object' &&
    Object.entries(wanted ?? {}).every(([key, value]) => snapshot.metadata[key] === value)
  )
}

const IS_PUBLIC = 'os-volume-type-access:is_public'

export function typeRoutes(route: Route): void {
  route('GET', '/types', 'type_show', 200, ({ cloud, caller }) => ({
    volume_types: [...cloud.types.values()].filter(type => mayUseType(caller, type)).map(typeView)
  }))
  route('GET', '/types/:id', 'type_show', 200, call => ({ volume_type: typeView(typeFor(call)) }))
  route('POST', '/types', 'type_show', 200, call => {
    requireAdmin(call.caller, 'volume_extension:type_create')
    const { name = '', [IS_PUBLIC]: isPublic = true } = typeBody(call.body).volume_type
    return { volume_type: typeView(addType(call.cloud, name, isTrue(String(isPublic)))) }
  })
  route('PUT', '/types/:id', 'type_show', 200, call => {
    requireAdmin(call.caller, 'volume_extension:type_update')
    const type = typeFor(call)
    const { is_public: isPublic = type.isPublic } = typeBody(call.body).volume_type
    type.isPublic = isTrue(String(isPublic))
    call.cloud.record(call.caller, { change: 'type.visibility', from: type.name, to: type.isPublic })
    return { volume_type: typeView(type) }
  })
  route('GET', '/types/:id/os-volume-type-access', 'type_show', 200, call => {
    requireAdmin(call.caller, 'volume_extension:volume_type_access')
    const { id, projectIds } = typeFor(call)
    return { volume_type_access: [...projectIds].map(projectId => ({ volume_type_id: id, project_id: projectId })) }
  })
  route('POST', '/types/:id/action', 'type_show', 202, call => {
    requireAdmin(call.caller, 'volume_extension:volume_type_access:addProjectAccess')
    const change = actionOf(call.body)
    const { addProjectAccess: added, removeProjectAccess: removed } = accessBody(call.body)
    const type = typeFor(call)
    if (added) type.projectIds.add(added.project)
    if (removed) type.projectIds.delete(removed.project)
    call.cloud.record(call.caller, { change: `type.${change}`, from: type.name, to: added ?? removed })
  })
}

function requireAdmin(caller: Caller, rule: string): void {
  if (!isAdmin(caller)) throw policyRefusal(rule)
}

/** By id or name; `default` is the type of volumes that name none. */
function typeFor({ cloud, caller, id }: Call): VolumeType {
  const types = [...cloud.types.values()].filter(type => mayUseType(caller, type))
  const type = id === 'default' ? types[0] : types.find(type => type.id === id || type.name === id)
  if (!type) throw notFound('Volume type', id)
  return type
}

export function quotaRoutes(route: Route): void {
  route('GET', '/limits', 'quota_show', 200, ({ cloud, caller: { projectId } }) => {
    const [limit, used] = [
      (name: string) => limitOf(cloud, projectId, name),
      (name: string) => cloud.usage.of(projectId, name)
    ]
    const absolute = {
      maxTotalVolumes: limit('volumes'),
      maxTotalVolumeGigabytes: limit('gigabytes'),
      maxTotalSnapshots: limit('snapshots'),
      maxTotalBackups: limit('backups'),
      maxTotalBackupGigabytes: limit('backup_gigabytes'),
      totalVolumesUsed: used('volumes'),
      totalGigabytesUsed: used('gigabytes'),
      totalSnapshotsUsed: used('snapshots'),
      totalBackupsUsed: 0,
      totalBackupGigabytesUsed: 0
    }
    return { limits: { rate: [], absolute } }
  })
  const show = ({ cloud, id }: Call, usage: boolean): object => {
    const limits = resources(cloud).map(name => {
      const limit = limitOf(cloud, id, name)
      return [name, usage ? { limit, in_use: cloud.usage.of(id, name), reserved: 0, allocated: 0 } : limit]
    })
    return { quota_set: { ...Object.fromEntries(limits), id } }
  }
  route('GET', '/os-quota-sets/:id', 'quota_show', 200, call => {
    const { usage } = call.query
    if (call.id !== call.caller.projectId) requireAdmin(call.caller, 'volume_extension:quotas:show')
    return show(call, isTrue(usage))
  })
  route('GET', '/os-quota-sets/:id/defaults', 'quota_show', 200, call => show({ ...call, id: 'default' }, false))
  route('PUT', '/os-quota-sets/:id', 'quota_update', 200, call => {
    updateQuotas(call.cloud, call.caller, call.id, quotaBody(call.body).quota_set)
    return show(call, false)
  })
}

/** Why an asynchronous step failed; since 3.3. */
export function messageRoutes(route: Route): void {
  route('GET', '/messages', 'message_list', 200, call => {
    if (call.minor < 3) throw new Refusal(404, 'The resource could not be found.')
    const { resource_uuid: resource } = call.query
    const own = call.cloud.messages.filter(
      ({ projectId, resourceId }) =>
        projectId === call.caller.projectId && (resource === undefined || resourceId === resource)
    )
    return { messages: own.map(message => messageView(call, message)) }
  })
  // What the command line asks for before it works.
  route('GET', '/extensions', 'type_show', 200, () => ({ extensions: [] }))
  route('GET', '/os-availability-zone', 'type_show', 200, () => ({
    availabilityZoneInfo: [{ zoneName: 'nova', zoneState: { available: true } }]
  }))
}
