import type { Call, Route } from './cinder.ts'
import type { Operation } from './delays.ts'
import { isTrue, listVolumes } from './filters.ts'
import { part } from './identity.ts'
import type { Volume } from './model.ts'
import { badRequest, invalidVolume, Refusal } from './refusal.ts'
import { checkBody, type SchemaName } from './schemas.ts'
import { listView, newVolumeView, volumeSummary, volumeView } from './views.ts'
import {
  attachVolume,
  createVolume,
  deleteVolume,
  detachVolume,
  extendVolume,
  findVolume,
  resetStatus,
  updateVolume
} from './volumes.ts'

type Json = Readonly<Record<string, unknown>>
type Metadata = Readonly<Record<string, string>>

/** The object in a body that has passed its schema. */
export function checked(call: Call, schema: SchemaName, name: string): Json {
  checkBody(schema, call.body)
  return part(call.body, name)
}

/** Text as Cinder keeps it: trimmed; absent or null is null. */
export const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value.trim() : null)
const idOrNull = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

export function volumeRoutes(route: Route): void {
  const list = (path: string, show: typeof volumeView): void =>
    route('GET', `/${path}`, 'volume_list', 200, call => {
      const found = listVolumes(call.cloud, call.caller, call.query, call.minor)
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
    const force = minor >= 23 && isTrue(query['force'])
    deleteVolume(cloud, caller, id, { force, cascade: isTrue(query['cascade']) })
    return undefined
  })
  metadataRoutes(route)
  actionRoutes(route)
}

function create(call: Call): object {
  const wish = checked(call, call.minor >= 53 ? 'volume_create_353' : 'volume_create', 'volume')
  if (wish['imageRef'] || wish['image_id'])
    throw badRequest('Invalid image identifier or unable to access requested image.')
  if (isTrue(String(wish['multiattach']))) {
    throw badRequest(
      'multiattach parameter has been removed. The default behavior is to use multiattach enabled volume types. ' +
        'Contact your administrator to create a multiattach enabled volume type and use it to create multiattach volumes.'
    )
  }
  const volume = createVolume(call.cloud, call.caller, {
    name: textOrNull(wish['name'] ?? wish['display_name']),
    description: textOrNull(wish['description'] ?? wish['display_description']),
    sizeGib: wish['size'] === undefined || wish['size'] === null ? null : Number(wish['size']),
    type: idOrNull(wish['volume_type']),
    snapshotId: idOrNull(wish['snapshot_id']),
    sourceVolumeId: idOrNull(wish['source_volid']),
    availabilityZone: idOrNull(wish['availability_zone']),
    metadata: { ...(wish['metadata'] as Metadata | null) }
  })
  return { volume: newVolumeView(call, volume) }
}

function update(call: Call): object {
  const wish = checked(call, call.minor >= 53 ? 'volume_update_353' : 'volume_update', 'volume')
  const name = wish['name'] ?? wish['display_name']
  const description = wish['description'] ?? wish['display_description']
  const volume = updateVolume(call.cloud, call.caller, call.id, {
    ...(name === undefined ? {} : { name: textOrNull(name) }),
    ...(description === undefined ? {} : { description: textOrNull(description) }),
    ...(wish['metadata'] ? { metadata: wish['metadata'] as Metadata } : {})
  })
  return { volume: newVolumeView(call, volume, false) }
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
    const added = checked(call, 'metadata', 'metadata') as Metadata
    return { metadata: change(call, old => ({ ...old, ...added })).metadata }
  })
  route('PUT', path, 'volume_metadata', 200, call => {
    const metadata = checked(call, 'metadata', 'metadata') as Metadata
    return { metadata: change(call, () => metadata).metadata }
  })
  route('GET', `${path}/:key`, 'volume_metadata', 200, call => ({ meta: { [call.key]: value(call) } }))
  route('PUT', `${path}/:key`, 'volume_metadata', 200, call => {
    const meta = checked(call, 'meta', 'meta') as Metadata
    if (!(call.key in meta)) throw badRequest('Request body and URI mismatch')
    change(call, old => ({ ...old, ...meta }))
    return { meta }
  })
  route('DELETE', `${path}/:key`, 'volume_metadata', 200, call => {
    value(call)
    change(call, old => Object.fromEntries(Object.entries(old).filter(([key]) => key !== call.key)))
    return undefined
  })
}

/** `POST /volumes/{id}/action`, by the one key of its body. */
const ACTIONS: Record<string, (call: Call) => void> = {
  'os-extend': call => {
    const { new_size: size } = checked(call, 'os-extend', 'os-extend')
    extendVolume(call.cloud, call.caller, call.id, Number(size), call.minor >= 42)
  },
  'os-set_bootable': call => {
    const { bootable } = checked(call, 'os-set_bootable', 'os-set_bootable')
    updateVolume(call.cloud, call.caller, call.id, { bootable: isTrue(String(bootable)) })
  },
  'os-reset_status': call => {
    const { status } = checked(call, 'os-reset_status', 'os-reset_status')
    if (typeof status === 'string') resetStatus(call.cloud, call.caller, call.id, status.toLowerCase())
  },
  'os-force_delete': ({ cloud, caller, id }) => deleteVolume(cloud, caller, id, { force: true }),
  'os-attach': call => {
    const { instance_uuid: server, host_name: host, mountpoint } = checked(call, 'os-attach', 'os-attach')
    const to = { serverId: textOrNull(server), hostName: textOrNull(host), device: String(mountpoint) }
    attachVolume(call.cloud, call.caller, call.id, to)
  },
  'os-detach': ({ cloud, caller, id }) => detachVolume(cloud, caller, id)
}

const actionOf = (body: unknown): string => Object.keys((body as object | null) ?? {})[0] ?? ''

function actionRoutes(route: Route): void {
  const operation = (body: unknown): Operation => (actionOf(body) === 'os-extend' ? 'volume_extend' : 'volume_action')
  const status = (body: unknown): number => (actionOf(body) === 'os-set_bootable' ? 200 : 202)
  route('POST', '/volumes/:id/action', operation, status, call => {
    const name = actionOf(call.body)
    const act = ACTIONS[name]
    if (!act) {
      throw badRequest(
        `There is no such action: ${name}. Verify the request body and Content-Type header and try again.`
      )
    }
    act(call)
    return undefined
  })
}
