import type { SeededCloud } from '../../sandbox/seed.ts'

/**
 * What the service's user is, as a setting of the suites: a member wherever it works; an admin in the pool's project, to whom Cinder
 * shows every project's volumes; or an admin everywhere, who makes the disks of misses in the tenants' own projects.
 */
export const SERVICE_ROLES = ['member', 'admin', 'admin everywhere'] as const
export type ServiceRole = (typeof SERVICE_ROLES)[number]

/** Before it logs in. */
export function giveServiceRole(cloud: SeededCloud, role: ServiceRole): void {
  const user = [...cloud.users.values()].find(({ name }) => name === 'pool-svc')
  for (const { id, name } of cloud.projects.values()) {
    const isAdmin = role === 'admin everywhere' || (role === 'admin' && name === 'pool')
    if (isAdmin) user?.roles.set(id, new Set([...(user.roles.get(id) ?? []), 'admin']))
  }
}
