import type { Volumes } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import { isCloudError } from './failures.ts'
import type { Fields } from './fields.ts'
import { quotaOf } from './quotas.ts'
import { findInProject, pathOf, requireInProject, toNewVolume } from './volume-body.ts'
import { volumePages } from './volume-pages.ts'

/** The first microversion at which messages can be asked for by the resource that they are about. */
const MESSAGES_MINOR = 5

export const volumesOf = (cinder: Cinder): Volumes => ({
  find: (volumeId, call) => findInProject(cinder, volumeId, call),
  pages: (filter, call) => volumePages(cinder, filter, call),
  quota: call => quotaOf(cinder, call),

  /** Without its type, Train and Ussuri make a volume of the default one (bug 1879578). */
  async create({ name, snapshotId, sizeGib, volumeType, metadata = {} }, call) {
    const type = volumeType === '' ? {} : { volume_type: volumeType }
    const body = { volume: { name, snapshot_id: snapshotId, size: sizeGib, ...type, metadata } }
    const request = { operation: 'volume_create', method: 'POST', path: '/volumes', body } as const
    return await cinder.ask(request, call, answer => toNewVolume(answer.object('volume'), cinder))
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
    try {
      const messages = await cinder.ask(request, call, body => body.list('messages').map(toMessage))
      const ofVolume = messages.filter(message => message.resourceId === volumeId)
      return ofVolume.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0]?.text
    } catch (error) {
      if (isCloudError(error, 'not_found', 'forbidden', 'bad_request')) return undefined
      throw error
    }
  },

  /** An admin sees private types only when he asks for both kinds. Everybody else sees his own in any case. */
  async types(call) {
    const request = { operation: 'type_list', path: '/types', query: { is_public: 'None' } }
    return await cinder.ask(request, call, body => body.list('volume_types').map(type => type.text('name')))
  }
})

function toMessage(body: Fields): { resourceId: string | undefined; text: string; createdAt: Date } {
  return {
    resourceId: body.optionalText('resource_uuid'),
    text: body.text('user_message'),
    createdAt: body.time('created_at')
  }
}
