import { CloudError } from '../pool/errors.ts'
import type { Call, Quota } from '../pool/ports.ts'
import type { Cinder } from './cinder.ts'
import type { Fields } from './fields.ts'

/**
 * The limits tell less, but Cinder tells them where it does not tell quotas: where the policy forbids it, or where its quota driver
 * cannot ask Keystone.
 */
export async function quotaOf(cinder: Cinder, call: Call): Promise<Quota> {
  const path = `/os-quota-sets/${cinder.projectId}`
  try {
    const request = { operation: 'quota_show', path, query: { usage: 'true' } }
    return await cinder.ask(request, call, body => toQuota(body.object('quota_set')))
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
  const limits = { operation: 'limits_show', path: '/limits' }
  return await cinder.ask(limits, call, body => toQuotaOfLimits(body.object('limits').object('absolute')))
}

/** Of this one question. A bad token, or a cloud that is away, concerns all questions. */
const isRefusal = (error: unknown): boolean =>
  error instanceof CloudError &&
  (error.status ?? 0) >= 400 &&
  !['unauthenticated', 'login_refused', 'project_refused', 'unavailable'].includes(error.code)

function toQuota(body: Fields): Quota {
  const names = body.keys().filter(name => /^(volumes|gigabytes|per_volume_gigabytes)(_|$)/.test(name))
  const rooms = names.flatMap(name => {
    const resource = body.object(name)
    return roomOf(name, resource.number('limit'), resource.number('in_use') + resource.number('reserved'))
  })
  return new Map(rooms)
}

/** Where a policy hides the usage, nobody knows how much room there is. */
function toQuotaOfLimits(body: Fields): Quota {
  const resources = [
    ['volumes', 'maxTotalVolumes', 'totalVolumesUsed'],
    ['gigabytes', 'maxTotalVolumeGigabytes', 'totalGigabytesUsed']
  ] as const
  const known = resources.filter(([, limit, used]) => body.has(limit) && body.has(used))
  return new Map(known.flatMap(([name, limit, used]) => roomOf(name, body.number(limit), body.number(used))))
}

/** None: there is no limit. */
const roomOf = (name: string, limit: number, used: number): [string, number][] =>
  limit < 0 ? [] : [[name, limit - used]]
