import type { Call, Route } from './cinder.ts'
import type { Operation } from './delays.ts'
import { isTrue, listVolumes } from './filters.ts'
import { python } from './literal.ts'
import type { Volume } from './model.ts'
import { badRequest, INTERNAL, invalidVolume, Refusal } from './refusal.ts'
import {
  attachBody,
  bootableBody,
  extendBody,
  metaBody,
  metadataBody,
  newVolumeBody,
  newVolumeBody353,
  resetBody,
  volumeBody,
  volumeBody353
} from './schemas.ts'
import { once, type Stepwise } from './steps.ts'
import { listView, newVolumeView, volumeSummary, volumeView } from './views.ts'
import {
  attachVolume,
  createVolume,
  deleteVolume,
  detachVolume,
  extendVolume,
  findVolume,
  putVolume,
  resetStatus,
  updateVolume
} from './volumes.ts'

type Metadata = Readonly<Record<string, string>>

/** What Python's str.strip() takes off: unlike trim(), no U+FEFF. */
const BLANK = '[\\t-\\r\\u001c- \\u0085\\p{Z}]+'
const STRIPPED = new RegExp(`^${BLANK}|${BLANK}$`, 'gu')

/** Text as Cinder keeps it: trimmed; absent is null. Its MySQL takes three bytes a character, and Cinder fails at more. */
export function textOrNull(text: string | null | undefined): string | null {
  if (text && /[\u{10000}-\u{10ffff}]/u.test(text)) throw new Refusal(500, INTERNAL)
  return text?.replaceAll(STRIPPED, '') ?? null
}

export function volumeRoutes(route: Route): void {
  const list = (path: string, show: typeof volumeView): void =>
    route('GET', `/${path}`, 'volume_list', 200, call => {
      const found = listVolumes(call.cloud, call, call.query)
      return listView(call, 'volumes', path, call.query, found, volume => show(call, volume))
    })
  list('volumes', volumeSummary)
  list('volumes/detail', volumeView)
  route('POST', '/volumes', 'volume_create', 202, create)
  route('GET', '/volumes/:id', 'volume_show', 200, call => ({
    volume: volumeView(call, findVolume(call.cloud, call.caller, call.id))
  }))
  route('PUT', '/volumes/:id', 'volume_update', 200, update)
  route('DELETE', '/volumes/:id', 'volume_delete', 202, ({ cloud, caller, id, query, minor }) => {
    const { force, cascade } = query
    deleteVolume(cloud, caller, id, { force: minor >= 23 && isTrue(force), cascade: isTrue(cascade) })
  })
  metadataRoutes(route)
  actionRoutes(route)
}

function create(call: Call): object {
  const { volume: wish } = (call.minor >= 53 ? newVolumeBody353 : newVolumeBody)(call)
  if (wish.imageRef || wish.image_id) throw badRequest('Invalid image identifier or unable to access requested image.')
  if (wish.multiattach === true) throw badRequest('multiattach parameter has been removed.')
  const volume = createVolume(call.cloud, call.caller, {
    name: textOrNull(wish.name ?? wish.display_name),
    description: textOrNull(wish.description ?? wish.display_description),
    sizeGib: wish.size === undefined || wish.size === null ? null : Number(wish.size),
    type: wish.volume_type || null,
    snapshotId: wish.snapshot_id || null,
    sourceVolumeId: wish.source_volid || null,
    availabilityZone: wish.availability_zone || null,
    metadata: { ...wish.metadata }
  })
  return { volume: newVolumeView(call, volume) }
}

function update(call: Call): Stepwise<object> {
  const { volume: wish } = (call.minor >= 53 ? volumeBody353 : volumeBody)(call)
  const { name = wish.display_name, description = wish.display_description, metadata } = wish
  const put = putVolume(call.cloud, call.caller, call.id, {
    ...(name === undefined ? {} : { name: textOrNull(name) }),
    ...(description === undefined ? {} : { description: textOrNull(description) }),
    ...(metadata ? { metadata } : {})
  })
  return once(put, volume => ({ volume: newVolumeView(call, volume, false) }))
}

function metadataRoutes(route: Route): void {
  const path = '/volumes/:id/metadata'
  const change = (call: Call, next: (old: Metadata) => Metadata): Volume => {
    const volume = findVolume(call.cloud, call.caller, call.id)
    if (['maintenance', 'uploading'].includes(volume.status)) {
      throw invalidVolume(`Updating volume metadata is not allowed for volumes in ${volume.status} status.`)
    }
    return updateVolume(call.cloud, call.caller, call.id, { metadata: next(volume.metadata) })
  }
  const value = (call: Call): string => {
    const text = findVolume(call.cloud, call.caller, call.id).metadata[call.key]
    if (text === undefined) throw new Refusal(404, `Volume ${call.id} has no metadata with key ${call.key}.`)
    return text
  }
  route('GET', path, 'volume_metadata', 200, call => ({
    metadata: findVolume(call.cloud, call.caller, call.id).metadata
  }))
  route('POST', path, 'volume_metadata', 200, call => {
    const { metadata: added } = metadataBody(call)
    return { metadata: change(call, old => ({ ...old, ...added })).metadata }
  })
  route('PUT', path, 'volume_metadata', 200, call => {
    const { metadata } = metadataBody(call)
    return { metadata: change(call, () => metadata).metadata }
  })
  route('GET', `${path}/:key`, 'volume_metadata', 200, call => ({ meta: { [call.key]: value(call) } }))
  route('PUT', `${path}/:key`, 'volume_metadata', 200, call => {
    const { meta } = metaBody(call)
    if (!(call.key in meta)) throw badRequest('Request body and URI mismatch')
    change(call, old => ({ ...old, ...meta }))
    return { meta }
  })
  route('DELETE', `${path}/:key`, 'volume_metadata', 200, call => {
    value(call)
    change(call, old => Object.fromEntries(Object.entries(old).filter(([key]) => key !== call.key)))
  })
}

/** To which an administrator may set one, in Cinder's order. */
const STATUSES = (
  'creating available deleting error error_deleting error_managing managing attaching in-use detaching maintenance ' +
  'restoring-backup error_restoring reserved awaiting-transfer backing-up error_backing-up error_extending ' +
  'downloading uploading retyping extending'
).split(' ')

/** `POST /volumes/{id}/action`, by the one key of its body. */
const ACTIONS: Record<string, (call: Call) => void> = {
  'os-extend': call => {
    const { cloud, caller, id, minor } = call
    const { 'os-extend': wish } = extendBody(call)
    extendVolume(cloud, caller, id, Number(wish.new_size), minor >= 42)
  },
  'os-set_bootable': call => {
    const { 'os-set_bootable': wish } = bootableBody(call)
    updateVolume(call.cloud, call.caller, call.id, { bootable: isTrue(String(wish.bootable)) })
  },
  'os-reset_status': call => {
    const { status = '' } = resetBody(call)['os-reset_status']
    if (status === '') throw badRequest(`Must specify 'status', 'attach_status' or 'migration_status' for update.`)
    if (!STATUSES.includes(status.toLowerCase())) {
      throw badRequest(`Volume status: ${status} is invalid, valid statuses are: (${STATUSES.map(python).join(', ')}).`)
    }
    resetStatus(call.cloud, call.caller, call.id, status.toLowerCase())
  },
  'os-force_delete': ({ cloud, caller, id }) => deleteVolume(cloud, caller, id, { force: true }),
  'os-attach': call => {
    const { instance_uuid: server, host_name: host, mountpoint: device } = attachBody(call)['os-attach']
    attachVolume(call.cloud, call.caller, call.id, { serverId: server ?? null, hostName: host ?? null, device })
  },
  'os-detach': ({ cloud, caller, id }) => detachVolume(cloud, caller, id)
}

/** The one key of a body that says what to do. */
export const actionOf = (body: unknown): string =>
  (typeof body === 'object' && body !== null && Object.keys(body)[0]) || ''

function actionRoutes(route: Route): void {
  const operation = (body: unknown): Operation => (actionOf(body) === 'os-extend' ? 'volume_extend' : 'volume_action')
  const status = (body: unknown): number => (actionOf(body) === 'os-set_bootable' ? 200 : 202)
  route('POST', '/volumes/:id/action', operation, status, call => {
    const name = actionOf(call.body)
    const act = ACTIONS[name]
    if (act) return act(call)
    const advice = 'Verify the request body and Content-Type header and try again.'
    throw badRequest(`There is no such action: ${name}. ${advice}`)
  })
}
