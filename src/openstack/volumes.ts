import { CloudError } from '../pool/errors.ts'
import type { Call, Quota, Volume, VolumeFilter, Volumes, VolumeWish } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'

const PAGE_SIZE = '1000'
/** The first microversion at which everyone may ask for volumes by their time. */
const TIME_FILTER_MINOR = 60

export class CinderVolumes implements Volumes {
  readonly #cinder: Cinder

  constructor(cinder: Cinder) {
    this.#cinder = cinder
  }

  find(volumeId: string, call: Call): Promise<Volume | undefined> {
    return findInProject(this.#cinder, volumeId, call)
  }

  async *pages(filter: VolumeFilter, call: Call): AsyncGenerator<readonly Volume[]> {
    const { name, status, metadata, createdSince } = filter
    const query = {
      limit: PAGE_SIZE,
      sort: 'id:asc',
      name,
      status,
      // Read as a Python literal: an object of strings in JSON is one.
      metadata: metadata && JSON.stringify(metadata),
      created_at: createdSince && (await this.#timeCondition(createdSince, call))
    }
    const listing = {
      operation: 'volume_list',
      path: '/volumes/detail',
      key: 'volumes',
      query,
      read: (body: Fields) => toVolume(body, this.#cinder),
      orderOf
    }
    for await (const page of this.#cinder.pages(listing, call)) {
      const matching = page.filter(volume => isIn(this.#cinder, volume) && isMatch(volume, filter))
      if (matching.length > 0) yield matching
    }
  }

  /** Without its type, Train and Ussuri make a volume of the default one (bug 1879578). */
  async create({ name, snapshotId, sizeGib, volumeType, metadata = {} }: VolumeWish, call: Call): Promise<Volume> {
    const type = volumeType === '' ? {} : { volume_type: volumeType }
    const body = { volume: { name, snapshot_id: snapshotId, size: sizeGib, ...type, metadata } }
    const request = { operation: 'volume_create', method: 'POST', path: '/volumes', body } as const
    return await this.#cinder.ask(request, call, body => toNewVolume(body.object('volume'), this.#cinder))
  }

  async update(
    volumeId: string,
    change: { name: string; metadata?: Record<string, string> },
    call: Call
  ): Promise<void> {
    await requireInProject(this.#cinder, volumeId, call)
    const { name, metadata } = change
    const body = { volume: { name, ...(metadata && { metadata }) } }
    await this.#cinder.order({ operation: 'volume_update', method: 'PUT', path: pathOf(volumeId), body }, call)
  }

  async extend(volumeId: string, sizeGib: number, call: Call): Promise<void> {
    await requireInProject(this.#cinder, volumeId, call)
    const path = `${pathOf(volumeId)}/action`
    const body = { 'os-extend': { new_size: sizeGib } }
    await this.#cinder.order({ operation: 'volume_extend', method: 'POST', path, body }, call)
  }

  async delete(volumeId: string, call: Call): Promise<void> {
    try {
      await requireInProject(this.#cinder, volumeId, call)
      await this.#cinder.order({ operation: 'volume_delete', method: 'DELETE', path: pathOf(volumeId) }, call)
    } catch (error) {
      if (isCloudError(error, 'not_found')) return
      if (!isCloudError(error, 'bad_request')) throw error
      // Refused also while it is being deleted, such as by an attempt of ours whose answer was lost.
      const volume = await this.find(volumeId, call)
      if (volume && volume.status !== 'deleting') throw error
    }
  }

  async faultOf(volumeId: string, call: Call): Promise<string | undefined> {
    const query = { resource_uuid: volumeId }
    const request = { operation: 'message_list', method: 'GET', path: '/messages', query } as const
    const messages = await this.#cinder.ask(request, call, body => body.list('messages').map(toMessage))
    const ofVolume = messages.filter(message => message.resourceId === volumeId)
    return ofVolume.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0]?.text
  }

  async quota(call: Call): Promise<Quota> {
    const path = `/os-quota-sets/${this.#cinder.projectId}`
    const request = { operation: 'quota_show', method: 'GET', path, query: { usage: 'true' } } as const
    try {
      return await this.#cinder.ask(request, call, body => toQuota(body.object('quota_set')))
    } catch (error) {
      if (!isCloudError(error, 'forbidden')) throw error
    }
    const limits = { operation: 'limits_show', method: 'GET', path: '/limits' } as const
    return await this.#cinder.ask(limits, call, body => toQuotaOfLimits(body.object('limits').object('absolute')))
  }

  /** An admin is shown private types only where he asks for both kinds; everybody else sees his own in any case. */
  async types(call: Call): Promise<readonly string[]> {
    const request = { operation: 'type_list', method: 'GET', path: '/types', query: { is_public: 'None' } } as const
    return await this.#cinder.ask(request, call, body => body.list('volume_types').map(type => type.text('name')))
  }

  /** Below that microversion the condition would be refused; the client compares in any case. */
  async #timeCondition(since: Date, call: Call): Promise<string | undefined> {
    if ((await this.#cinder.minor(call)) < TIME_FILTER_MINOR) return undefined
    return `gte:${since.toISOString().slice(0, 19)}`
  }
}

const isIn = ({ projectId }: Cinder, volume: Volume): boolean => volume.projectId === projectId

async function findInProject(cinder: Cinder, volumeId: string, call: Call): Promise<Volume | undefined> {
  const request = { operation: 'volume_show', method: 'GET', path: pathOf(volumeId) } as const
  try {
    const volume = await cinder.ask(request, call, body => toVolume(body.object('volume'), cinder))
    return isIn(cinder, volume) ? volume : undefined
  } catch (error) {
    if (isCloudError(error, 'not_found')) return undefined
    throw error
  }
}

/**
 * Call before a change by a volume's id. Throws what Cinder itself answers a member: another project's volume is not there. Free
 * for a token that Cinder keeps to its project.
 */
export async function requireInProject(cinder: Cinder, volumeId: string, call: Call): Promise<void> {
  if (cinder.isConfined || (await findInProject(cinder, volumeId, call))) return
  throw new CloudError('not_found', `Cinder: volume ${volumeId} is not in project ${cinder.projectId}.`, {
    status: 404
  })
}

const orderOf = ({ id }: Volume): string => id

const pathOf = (volumeId: string): string => `/volumes/${encodeURIComponent(volumeId)}`

/** Cinder's own filters may ignore case, and its times have whole seconds. */
function isMatch(volume: Volume, { name, status, metadata = {}, createdSince }: VolumeFilter): boolean {
  return (
    (name === undefined || volume.name === name) &&
    (status === undefined || volume.status === status) &&
    (createdSince === undefined || volume.createdAt.getTime() >= Math.floor(createdSince.getTime() / 1000) * 1000) &&
    Object.entries(metadata).every(([key, value]) => volume.metadata[key] === value)
  )
}

/** The answer to a creation lacks the project, which is the token's. */
const toNewVolume = (body: Fields, cinder: Cinder): Volume => ({
  ...toVolume(body, cinder),
  projectId: cinder.projectId
})

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
    projectId: body.optionalText('os-vol-tenant-attr:tenant_id') ?? (isConfined ? projectId : ''),
    metadata: Object.fromEntries(metadata.keys().map(key => [key, metadata.text(key)])),
    attached: body.list('attachments').length > 0,
    bootable: body.optionalText('bootable') !== 'false', // A text, in every release.
    encrypted: body.flag('encrypted'),
    createdAt: body.time('created_at')
  }
}

function toMessage(body: Fields): { resourceId: string | undefined; text: string; createdAt: Date } {
  return {
    resourceId: body.optionalText('resource_uuid'),
    text: body.text('user_message'),
    createdAt: body.time('created_at')
  }
}

function toQuota(body: Fields): Quota {
  const names = body.keys().filter(name => /^(volumes|gigabytes|per_volume_gigabytes)(_|$)/.test(name))
  const rooms = names.map(name => {
    const resource = body.object(name)
    return [name, roomOf(resource.number('limit'), resource.number('in_use') + resource.number('reserved'))] as const
  })
  return quotaOf(rooms)
}

function toQuotaOfLimits(body: Fields): Quota {
  return quotaOf([
    ['volumes', roomOf(body.number('maxTotalVolumes'), body.number('totalVolumesUsed'))],
    ['gigabytes', roomOf(body.number('maxTotalVolumeGigabytes'), body.number('totalGigabytesUsed'))]
  ])
}

const roomOf = (limit: number, used: number): number | undefined => (limit < 0 ? undefined : limit - used)

function quotaOf(rooms: readonly (readonly [string, number | undefined])[]): Quota {
  return new Map(rooms.flatMap(([name, room]) => (room === undefined ? [] : [[name, room] as const])))
}
