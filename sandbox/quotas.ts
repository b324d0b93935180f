import type { Cloud } from './cloud.ts'
import { type Caller, isAdmin, type VolumeType } from './model.ts'
import { badRequest, invalidInput, notFound, policyRefusal, Refusal } from './refusal.ts'

const DEFAULTS: Record<string, number> = {
  volumes: 1000,
  snapshots: 1000,
  gigabytes: 100_000,
  per_volume_gigabytes: -1,
  backups: 10,
  backup_gigabytes: 1000,
  groups: 10
}

/** Every resource that has a limit, those of each volume type too. */
export const resources = (cloud: Cloud): string[] => [
  ...Object.keys(DEFAULTS),
  ...[...cloud.types.values()].flatMap(({ name }) => [`volumes_${name}`, `gigabytes_${name}`, `snapshots_${name}`])
]

/** -1: no limit. */
export const limitOf = (cloud: Cloud, projectId: string, resource: string): number =>
  cloud.quotas.get(`${projectId} ${resource}`) ?? DEFAULTS[resource] ?? -1

export function setQuota(cloud: Cloud, projectId: string, resource: string, limit: number): void {
  cloud.quotas.set(`${projectId} ${resource}`, limit)
}

/** An administrator's change, checked as a whole before anything is set. */
export function updateQuotas(cloud: Cloud, caller: Caller, projectId: string, limits: Record<string, unknown>): void {
  if (!isAdmin(caller)) throw policyRefusal('volume_extension:quotas:update')
  const known = resources(cloud)
  const wanted = Object.entries(limits).filter(([name]) => name !== 'tenant_id' && name !== 'force')
  const bad = wanted.map(([name]) => name).filter(name => !known.includes(name))
  if (bad.length > 0) throw invalidInput(`Bad key(s) in quota set: ${bad.join(', ')}`)
  const parsed = wanted.map(([name, limit]): [string, number] => [name, Number(limit)])
  for (const [key, limit] of parsed) {
    if (!Number.isInteger(limit) || limit < -1) throw invalidInput(`${key} must be an integer, -1 or more.`)
    const usage = cloud.usage.of(projectId, key)
    if (limit !== -1 && key !== 'per_volume_gigabytes' && limit < usage) {
      throw badRequest(
        `Quota ${key} limit must be equal or greater than existing resources. ` +
          `Current usage is ${usage} and the requested limit is ${limit}.`
      )
    }
  }
  for (const [key, limit] of parsed) {
    setQuota(cloud, projectId, key, limit)
    cloud.record(caller, { change: 'quota.set', from: projectId, to: { [key]: limit } })
  }
}

/** What a project is about to get: gigabytes first, since Cinder complains of them first. */
export type Demand = Readonly<Record<'gigabytes', number> & Partial<Record<'volumes' | 'snapshots', number>>>

/** Refuses what the project's limits do not allow. `prefixed` is for the two calls that lead with the exception's name. */
export function checkQuota(cloud: Cloud, caller: Caller, type: VolumeType, demand: Demand, prefixed = true): void {
  const struck = caller.strike === 'over_quota'
  for (const [kind, amount] of Object.entries(demand)) {
    for (const resource of [kind, `${kind}_${type.name}`]) {
      const used = cloud.usage.of(caller.projectId, resource)
      const limit = struck ? used : limitOf(cloud, caller.projectId, resource)
      if (limit === -1 || used + amount <= limit) continue
      const isSize = kind === 'gigabytes'
      const size = `${prefixed ? 'VolumeSizeExceedsAvailableQuota: ' : ''}${sizeMessage(resource, amount, limit, used)}`
      throw new Refusal(413, isSize ? size : countMessage(kind, resource, limit))
    }
  }
}

const sizeMessage = (resource: string, amount: number, limit: number, used: number): string =>
  `Requested volume or snapshot exceeds allowed ${resource} quota. ` +
  `Requested ${amount}G, quota is ${limit}G and ${used}G has been consumed.`

const countMessage = (kind: string, resource: string, limit: number): string =>
  `${kind === 'volumes' ? 'Volume' : 'Snapshot'}LimitExceeded: ` +
  `Maximum number of ${kind} allowed (${limit}) exceeded for quota '${resource}'.`

/** One volume may be no larger than this, whatever the project has left. */
export function checkVolumeSize(cloud: Cloud, caller: Caller, sizeGib: number): void {
  const limit = limitOf(cloud, caller.projectId, 'per_volume_gigabytes')
  if (limit === -1 || sizeGib <= limit) return
  throw new Refusal(
    413,
    `VolumeSizeExceedsLimit: Requested volume size ${sizeGib}G is larger than maximum allowed limit ${limit}G.`
  )
}

export const mayUseType = (caller: Caller, type: VolumeType): boolean =>
  type.isPublic || isAdmin(caller) || type.projectIds.has(caller.projectId)

/** The quota looks the type up with the caller's eyes: one that is hidden from it does not exist. */
export function checkTypeVisible(caller: Caller, type: VolumeType): void {
  if (!mayUseType(caller, type)) throw notFound('Volume type', type.id)
}
