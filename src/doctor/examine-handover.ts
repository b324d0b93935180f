import { attempt } from '../operations/attempt.ts'
import { CloudError } from '../pool/errors.ts'
import type { Call, Project } from '../pool/ports.ts'
import type { Release } from '../pool/release.ts'
import { judgeRoles } from './examination.ts'
import type { Examined } from './examined.ts'
import { type Check, type Finding, failed, few, ok, warning } from './finding.ts'

const CHECK = 'hand-over.reach'

/** Where disks come from. `release` undefined: Cinder could not be asked. */
interface Source {
  readonly pool: Project
  readonly release: Release | undefined
}

/** Whether a transfer could be accepted, as far as that shows without making one: by who may log in where, and as what. */
export async function examineHandover(examined: Examined, source: Source, call: Call): Promise<Finding[]> {
  const { settings, callersAccept } = examined
  if (settings.handover === 'rename') {
    const advice = settings.prearm ? 'claims.prearm has no effect with it' : ''
    return [ok(CHECK, "a claim only renames: pool and callers share the pool's project", advice)]
  }
  const how = settings.prearm ? 'each transfer is made ahead of time' : 'a claim makes its transfer itself'
  const projects = []
  for (const projectId of examined.projectIds) projects.push(await examineProject(examined, source, projectId, call))
  if (projects.length > 0) return [ok(CHECK, how), ...projects]
  return [await examineReach(callersAccept, how, () => examined.cloud.projects(call), source.pool)]
}

/** Without a project to try: which ones the service's user reaches by itself. */
async function examineReach(
  callersAccept: boolean,
  how: string,
  list: () => Promise<readonly { id: string; name: string }[]>,
  pool: Project
): Promise<Finding> {
  const projects = await attempt(list)
  const others = projects instanceof Error ? [] : projects.filter(({ id }) => id !== pool.id)
  const callers = callersAccept ? "; elsewhere callers' own Keystone tokens accept" : ''
  const advice = 'try a project with --project-id'
  if (others.length > 0) {
    const names = few(others.map(({ id, name }) => `${name} (${id})`))
    return ok(CHECK, `${how}; the service's user has roles in ${names}${callers}`, advice)
  }
  const reaches =
    projects instanceof Error ? `Keystone does not say where else its user may go: ${projects.message}` : ''
  const found = `${how}; ${reaches || "the service's user has no role outside the pool's project"}`
  if (callersAccept) return ok(CHECK, `${found}${callers}`, advice)
  const remedy = "give the service's user the role member in the projects that disks go to, or use access.mode keystone"
  return warning(CHECK, `${found}, and callers bring no Keystone token`, remedy)
}

async function examineProject(
  examined: Examined,
  { pool, release }: Source,
  projectId: string,
  call: Call
): Promise<Finding> {
  const check: Check = { id: 'hand-over.project', projectId }
  if (projectId === pool.id) return ok(check, "the pool's own: a claim only renames there")
  const project = await attempt(() => examined.cloud.project(projectId, call))
  if (project instanceof Error) {
    const isRefused = project instanceof CloudError && project.code === 'project_refused'
    const callers = examined.callersAccept ? ', or have callers claim with tokens of that project' : ''
    const advice = isRefused
      ? `give the service's user the role member there (openstack role add --user … --project ${projectId} member)${callers}`
      : 'see that Keystone can be reached'
    return failed(check, `the service's user cannot log in there: ${project.message}`, advice)
  }
  const roles = judgeRoles(check, project.roles, `project ${projectId}`, release)
  if (roles.verdict !== 'ok') return roles
  const quota = await attempt(() => project.volumes.quota(call))
  if (quota instanceof Error)
    return warning(check, `${roles.found}; its quota cannot be read: ${quota.message}`, 'see why')
  const full = ['volumes', 'gigabytes'].filter(name => (quota.get(name) ?? 1) < 1)
  if (full.length === 0) return ok(check, `${roles.found}; its quota has room`)
  return warning(check, `${roles.found}; its quota of ${full.join(' and ')} is used up`, 'raise it, or no disk gets in')
}
