import { CloudError } from '../pool/errors.ts'
import type { Call, Quota } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import type { Fields } from './fields.ts'

/** The limits tell less, but they are told where quotas are not: by policy, or for a driver that asks Keystone in vain. */
export async function quotaOf(cinder: Cinder, call: Call): Promise<Quota> {
  const path = `/os-quota-sets/${cinder.projectId}`
  const request = { operation: 'quota_show', method: 'GET', path, query: { usage: 'true' } } as const
  try {
    return await cinder.ask(request, call, body => toQuota(body.object('quota_set')))
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
  const limits = { operation: 'limits_show', method: 'GET', path: '/limits' } as const
  return await cinder.ask(limits, call, body => toQuotaOfLimits(body.object('limits').object('absolute')))
}

/** Of this one question. A token that is not good, or a cloud that is away, concerns all. */
const isRefusal = (error: unknown): boolean =>
  error instanceof CloudError &&
  (error.status ?? 0) >= 400 &&
  !['unauthenticated', 'login_refused', 'project_refused', 'unavailable'].includes(error.code)

function toQuota(body: Fields): Quota {
  const names = body.keys().filter(name => /^(volumes|gigabytes|per_volume_gigabytes)(_|$)/.test(name))
  const rooms = names.map(name => {
    const resource = body.object(name)
    return [name, roomOf(resource.number('limit'), resource.number('in_use') + resource.number('reserved'))] as const
  })
  return quotaWith(rooms)
}

/** What is used is left out where a policy hides it: then nobody knows how much room there is. */
function toQuotaOfLimits(body: Fields): Quota {
  const resources = [
    ['volumes', 'maxTotalVolumes', 'totalVolumesUsed'],
    ['gigabytes', 'maxTotalVolumeGigabytes', 'totalGigabytesUsed']
  ] as const
  const known = resources.filter(([, limit, used]) => body.has(limit) && body.has(used))
  return quotaWith(known.map(([name, limit, used]) => [name, roomOf(body.number(limit), body.number(used))] as const))
}

const roomOf = (limit: number, used: number): number | undefined => (limit < 0 ? undefined : limit - used)

function quotaWith(rooms: readonly (readonly [string, number | undefined])[]): Quota {
  return new Map(rooms.flatMap(([name, room]) => (room === undefined ? [] : [[name, room] as const])))
}
