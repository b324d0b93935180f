import type { Call, Route } from './cinder.ts'
import { isTrue } from './filters.ts'
import { inLanguage } from './languages.ts'
import { type Caller, isAdmin, type VolumeType } from './model.ts'
import { limitOf, mayUseType, resources, updateQuotas } from './quotas.ts'
import { noSuchPath, notFound, policyRefusal, Refusal } from './refusal.ts'
import { accessBody, quotaBody, typeBody } from './schemas.ts'
import { addType } from './seed.ts'
import { messageView, typeView } from './views.ts'
import { actionOf } from './volume-routes.ts'

const IS_PUBLIC = 'os-volume-type-access:is_public'

export function typeRoutes(route: Route): void {
  route('GET', '/types', 'type_show', 200, ({ cloud, caller, query }) => {
    // An admin, too, is shown private types of others only where both kinds are asked for.
    const viewer = query['is_public'] === 'None' ? caller : { ...caller, roles: [] }
    return { volume_types: [...cloud.types.values()].filter(type => mayUseType(viewer, type)).map(typeView) }
  })
  route('GET', '/types/:id', 'type_show', 200, call => ({ volume_type: typeView(typeFor(call)) }))
  route('POST', '/types', 'type_show', 200, call => {
    requireAdmin(call.caller, 'volume_extension:type_create')
    const { name = '', [IS_PUBLIC]: isPublic = true } = typeBody(call).volume_type
    return { volume_type: typeView(addType(call.cloud, name, isTrue(String(isPublic)))) }
  })
  route('PUT', '/types/:id', 'type_show', 200, call => {
    requireAdmin(call.caller, 'volume_extension:type_update')
    const type = typeFor(call)
    const { is_public: isPublic = type.isPublic } = typeBody(call).volume_type
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
    const { addProjectAccess: added, removeProjectAccess: removed } = accessBody(call)
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
    const limit = (name: string): number => limitOf(cloud, projectId, name)
    const used = (name: string): number => cloud.usage.of(projectId, name)
    const absolute = {
      maxTotalVolumes: limit('volumes'),
      maxTotalVolumeGigabytes: limit('gigabytes'),
      maxTotalSnapshots: limit('snapshots'),
      maxTotalBackups: limit('backups'),
      maxTotalBackupGigabytes: limit('backup_gigabytes')
    }
    const usedLimits = {
      totalVolumesUsed: used('volumes'),
      totalGigabytesUsed: used('gigabytes'),
      totalSnapshotsUsed: used('snapshots'),
      totalBackupsUsed: 0,
      totalBackupGigabytesUsed: 0
    }
    return { limits: { rate: [], absolute: { ...absolute, ...(cloud.variant.usedLimits ? usedLimits : {}) } } }
  })
  const show = ({ cloud, id }: Call, usage: boolean): object => {
    const limits = resources(cloud).map(name => {
      const limit = limitOf(cloud, id, name)
      return [name, usage ? { limit, in_use: cloud.usage.of(id, name), reserved: 0 } : limit]
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
    updateQuotas(call.cloud, call.caller, call.id, quotaBody(call).quota_set)
    return show(call, false)
  })
}

/** Why an asynchronous step failed; since 3.3, of one volume since 3.5. */
export function messageRoutes(route: Route): void {
  route('GET', '/messages', 'message_list', 200, call => {
    if (!call.cloud.traits.hasMessages || call.version === 'v2') throw noSuchPath()
    if (call.minor < 3) throw new Refusal(404, 'The resource could not be found.')
    const { resource_uuid: resource } = call.minor < 5 ? {} : call.query
    const own = call.cloud.messages.filter(
      ({ projectId, resourceId }) =>
        projectId === call.caller.projectId && (resource === undefined || resourceId === resource)
    )
    return {
      messages: own.map(message =>
        messageView(call, { ...message, text: inLanguage(call.cloud, call.acceptLanguage, message.text) })
      )
    }
  })
  // What the command line asks for before it works.
  route('GET', '/extensions', 'type_show', 200, () => ({ extensions: [] }))
  route('GET', '/os-availability-zone', 'type_show', 200, () => ({
    availabilityZoneInfo: [{ zoneName: 'nova', zoneState: { available: true } }]
  }))
}
