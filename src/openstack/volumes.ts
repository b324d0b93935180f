import { CloudError } from '../pool/errors.ts'
import type { Call, Volume, VolumeFilter, Volumes } from '../pool/ports.ts'
import type { Cinder, Query } from './cinder.ts'
import { BUILT_IN_FILTERS_MINOR } from './endpoint.ts'
import { isCloudError, undefinedAfter } from './failures.ts'
import type { Fields } from './fields.ts'
import { cutInPages, inOrder, type Listing, PAGE_SIZE, since } from './listing.ts'
import { quotaOf } from './quotas.ts'

/** The first microversion at which messages can be asked for by the resource that they are about. */
const MESSAGES_MINOR = 5
/** The first microversion at which everyone may ask for volumes by their time. */
const TIME_FILTER_MINOR = 60

export const volumesOf = (cinder: Cinder): Volumes => ({
  find: (volumeId, call) => findInProject(cinder, volumeId, call),
  pages: (filter, call) => volumePages(cinder, filter, call),
  quota: call => quotaOf(cinder, call),

  /** Without its type, Train and Ussuri make a volume of the default one (bug 1879578). */
  async create({ name, snapshotId, sizeGib, volumeType, metadata = {} }, call) {
    const type = volumeType === '' ? {} : { volume_type: volumeType }
    const body = { volume: { name, snapshot_id: snapshotId, size: sizeGib, ...type, metadata } }
    const request = { operation: 'volume_create', method: 'POST', path: '/volumes', body } as const
    // The answer lacks the project, which is the token's.
    const read = (answer: Fields) => ({ ...toVolume(answer.object('volume'), cinder), projectId: cinder.projectId })
    return await cinder.ask(request, call, read)
  },

  async update(volumeId, { name, metadata }, call) {
    await requireInProject(cinder, volumeId, call)
    const body = { volume: { name, ...(metadata && { metadata }) } }
    await cinder.order({ operation: 'volume_update', method: 'PUT', path: pathOf(volumeId), body }, call)
  },

  async extend(volumeId, sizeGib, call) {
    await requireInProject(cinder, volumeId, call)
    const path = `${pathOf(volumeId)}/action`
    const body = { 'os-extend': { new_size: sizeGib } }
    await cinder.order({ operation: 'volume_extend', method: 'POST', path, body }, call)
  },

  async delete(volumeId, call) {
    try {
      await requireInProject(cinder, volumeId, call)
      await cinder.order({ operation: 'volume_delete', method: 'DELETE', path: pathOf(volumeId) }, call)
    } catch (error) {
      if (isCloudError(error, 'not_found')) return
      if (!isCloudError(error, 'bad_request')) throw error
      // Cinder also refuses while it deletes, such as for an attempt of ours whose answer was lost.
      const volume = await findInProject(cinder, volumeId, call)
      if (volume && volume.status !== 'deleting') throw error
    }
  },

  /** Older releases have no messages, and an operator may have closed them: then a fault has no reason. */
  async faultOf(volumeId, call) {
    if ((await cinder.endpoint(call)).minor < MESSAGES_MINOR) return undefined
    const query = { resource_uuid: volumeId }
    const request = { operation: 'message_list', path: '/messages', query, mayBeMissing: true }
    const newestFirst = (a: Fields, b: Fields) => b.time('created_at').getTime() - a.time('created_at').getTime()
    const read = (body: Fields) => {
      const ofVolume = body.list('messages').filter(message => message.optionalText('resource_uuid') === volumeId)
      return ofVolume.toSorted(newestFirst)[0]?.text('user_message')
    }
    return await cinder.ask(request, call, read).catch(undefinedAfter('not_found', 'forbidden', 'bad_request'))
  },

  /** An admin sees private types only when he asks for both kinds. Everybody else sees his own in any case. */
  async types(call) {
    const request = { operation: 'type_list', path: '/types', query: { is_public: 'None' } }
    return await cinder.ask(request, call, body => body.list('volume_types').map(type => type.text('name')))
  }
})

const isIn = ({ projectId }: Cinder, volume: Volume): boolean => volume.projectId === projectId
const pathOf = (volumeId: string): string => `/volumes/${encodeURIComponent(volumeId)}`

async function findInProject(cinder: Cinder, volumeId: string, call: Call): Promise<Volume | undefined> {
  const request = { operation: 'volume_show', path: pathOf(volumeId) }
  const volume = await cinder.find(request, call, body => toVolume(body.object('volume'), cinder))
  return volume && isIn(cinder, volume) ? volume : undefined
}

/**
 * Call before a change by a volume's id. Throws what Cinder itself answers a member: another project's volume is not there. Free
 * for a token that Cinder keeps to its project.
 */
export async function requireInProject(cinder: Cinder, volumeId: string, call: Call): Promise<void> {
  if (cinder.isConfined || (await findInProject(cinder, volumeId, call))) return
  const message = `Cinder: volume ${volumeId} is not in project ${cinder.projectId}.`
  throw new CloudError('not_found', message, { status: 404 })
}

/** Where the policy hides a volume's project, it is this one only for a token that sees no other. */
function toVolume(body: Fields, { isConfined, projectId }: Cinder): Volume {
  const metadata = body.object('metadata')
  return {
    id: body.text('id'),
    name: body.optionalText('name') ?? '',
    status: body.text('status'),
    sizeGib: body.number('size'),
    volumeType: body.optionalText('volume_type') ?? '',
    snapshotId: body.optionalText('snapshot_id'),
    projectId: body.optionalId('os-vol-tenant-attr:tenant_id') ?? (isConfined ? projectId : ''),
    metadata: Object.fromEntries(metadata.keys().map(key => [key, metadata.text(key)])),
    attached: body.list('attachments').length > 0,
    bootable: body.optionalText('bootable') !== 'false', // A text, in every release.
    encrypted: body.flag('encrypted'),
    createdAt: body.time('created_at')
  }
}

type Pages = AsyncGenerator<readonly Volume[]>

/** Every volume that matches, in order of their ids. */
async function* volumePages(cinder: Cinder, filter: VolumeFilter, call: Call): Pages {
  for await (const page of acceptedPages(cinder, filter, call)) {
    const matching = page.filter(volume => isIn(cinder, volume) && isMatch(volume, filter))
    if (matching.length > 0) yield matching
  }
}

/**
 * Cinder may refuse filters that every release has: since a later microversion, a file of the operator says which ones are allowed.
 * Then it is asked with the microversion before that. If it accepts this, all later lists ask so too.
 */
async function* acceptedPages(cinder: Cinder, filter: VolumeFilter, call: Call): Pages {
  const endpoint = await cinder.endpoint(call)
  const { minor, filterMinor } = endpoint
  let isAccepted = false
  try {
    for await (const page of pagesAt(filterMinor, cinder, filter, call)) {
      isAccepted = true
      yield page
    }
    return
  } catch (error) {
    const isRefused = isCloudError(error, 'bad_request') && Object.keys(filter).length > 0 && !isAccepted
    if (!isRefused || filterMinor <= BUILT_IN_FILTERS_MINOR) throw error
    if ((await cinder.endpoint(call)).minor !== minor) throw error // Another Cinder by now, asked in the wrong way.
  }
  for await (const page of pagesAt(BUILT_IN_FILTERS_MINOR, cinder, filter, call)) {
    cinder.endpoints.keepToBuiltInFilters(endpoint.root)
    yield page
  }
  cinder.endpoints.keepToBuiltInFilters(endpoint.root)
}

/** Where Cinder cannot filter by time, the newest come first and the older ones are not read, however many there are. */
async function* pagesAt(minor: number, cinder: Cinder, filter: VolumeFilter, call: Call): Pages {
  const { createdSince } = filter
  const listing = (query: Query): Listing<Volume> => ({
    operation: 'volume_list',
    path: '/volumes/detail',
    key: 'volumes',
    query: { ...queryOf(filter), ...query },
    minor,
    read: body => toVolume(body, cinder)
  })
  if (createdSince === undefined) yield* inOrder(cinder, listing({}), orderOf, call)
  else if (minor >= TIME_FILTER_MINOR) {
    const timed = listing({ created_at: `gte:${createdSince.toISOString().slice(0, 19)}` })
    yield* inOrder(cinder, timed, orderOf, call)
  } else {
    const newestFirst = listing({ sort: 'created_at:desc,id:desc' })
    yield* cutInPages(await since(cinder, newestFirst, wholeSecond(createdSince), call), orderOf)
  }
}

const queryOf = ({ name, status, metadata }: VolumeFilter): Query => ({
  limit: String(PAGE_SIZE),
  sort: 'id:asc',
  name,
  status,
  // Cinder reads a Python literal: an object of strings in JSON is one.
  metadata: metadata && JSON.stringify(metadata)
})

const orderOf = ({ id }: Volume): string => id

/** Cinder's times have no more. */
const wholeSecond = (time: Date): Date => new Date(Math.floor(time.getTime() / 1000) * 1000)

/** Cinder's own filters may ignore case. */
function isMatch(volume: Volume, { name, status, metadata = {}, createdSince }: VolumeFilter): boolean {
  return (
    (name === undefined || volume.name === name) &&
    (status === undefined || volume.status === status) &&
    (createdSince === undefined || volume.createdAt >= wholeSecond(createdSince)) &&
    Object.entries(metadata).every(([key, value]) => volume.metadata[key] === value)
  )
}
