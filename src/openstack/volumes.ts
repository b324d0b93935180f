import { CloudError } from '../pool/errors.ts'
import type { Call, Quota, Volume, VolumeFilter, Volumes, VolumeWish } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import { quotaOf } from './quotas.ts'
import { isIn, toNewVolume, toVolume } from './volume-body.ts'
import { volumePages } from './volume-pages.ts'

/** The first microversion at which messages are asked for by what they are about. */
const MESSAGES_MINOR = 5

export class CinderVolumes implements Volumes {
  readonly #cinder: Cinder

  constructor(cinder: Cinder) {
    this.#cinder = cinder
  }

  find(volumeId: string, call: Call): Promise<Volume | undefined> {
    return findInProject(this.#cinder, volumeId, call)
  }

  pages(filter: VolumeFilter, call: Call): AsyncIterable<readonly Volume[]> {
    return volumePages(this.#cinder, filter, call)
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

  /** Below that microversion, and where an operator has closed it, there is nothing to be asked: a fault has no reason then. */
  async faultOf(volumeId: string, call: Call): Promise<string | undefined> {
    if ((await this.#cinder.endpoint(call)).minor < MESSAGES_MINOR) return undefined
    const query = { resource_uuid: volumeId }
    const request = { operation: 'message_list', method: 'GET', path: '/messages', query, mayBeMissing: true } as const
    try {
      const messages = await this.#cinder.ask(request, call, body => body.list('messages').map(toMessage))
      const ofVolume = messages.filter(message => message.resourceId === volumeId)
      return ofVolume.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0]?.text
    } catch (error) {
      if (isCloudError(error, 'not_found', 'forbidden', 'bad_request')) return undefined
      throw error
    }
  }

  quota(call: Call): Promise<Quota> {
    return quotaOf(this.#cinder, call)
  }

  /** An admin is shown private types only where he asks for both kinds; everybody else sees his own in any case. */
  async types(call: Call): Promise<readonly string[]> {
    const request = { operation: 'type_list', method: 'GET', path: '/types', query: { is_public: 'None' } } as const
    return await this.#cinder.ask(request, call, body => body.list('volume_types').map(type => type.text('name')))
  }
}

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

const pathOf = (volumeId: string): string => `/volumes/${encodeURIComponent(volumeId)}`

function toMessage(body: Fields): { resourceId: string | undefined; text: string; createdAt: Date } {
  return {
    resourceId: body.optionalText('resource_uuid'),
    text: body.text('user_message'),
    createdAt: body.time('created_at')
  }
}
