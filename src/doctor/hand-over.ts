import type { Config } from '../config/schema.ts'
import { CloudError } from '../pool/errors.ts'
import type { Project } from '../pool/ports.ts'
import type { Release } from '../pool/release.ts'
import { check, type Fact, ifKnown, type Site } from './check.ts'
import { type Finding, failed, few, type Outcome, ok, warning } from './finding.ts'
import { judgeRoles } from './roles.ts'

/** Whether a transfer could be accepted, as far as logins and roles tell: none is made. */
export async function examineHandover(
  site: Site,
  poolProject: Fact<Project>,
  release: Release | undefined,
  { mode, tokens }: Config['access'],
  given: readonly string[]
): Promise<Finding[]> {
  const { handover, prearm } = site.settings
  const callersAccept = mode === 'keystone'
  const ofTokens = mode === 'token' ? tokens.flatMap(({ project_id: id }) => id ?? []) : []
  const projectIds = handover === 'rename' ? [] : [...new Set([...given, ...ofTokens])]
  const reach = await check('hand-over.reach', async () => {
    const pool = await poolProject()
    if (handover === 'rename') {
      const found = "a claim only renames: pool and callers share the pool's project"
      return ok(found, prearm ? 'claims.prearm has no effect with it' : '')
    }
    const how = prearm ? 'each transfer is made ahead of time' : 'a claim makes its transfer itself'
    return projectIds.length > 0 ? ok(how) : await examineReach(site, pool, how, callersAccept)
  })
  const pool = await ifKnown(poolProject)
  if (!pool) return [reach]
  const findings = [reach]
  for (const projectId of projectIds) {
    const judge = () => examineProject(site, pool, release, projectId, callersAccept)
    findings.push(await check({ id: 'hand-over.project', projectId }, judge))
  }
  return findings
}

/** Without a project to try: which ones the service's user reaches. */
async function examineReach({ cloud, call }: Site, pool: Project, how: string, callersAccept: boolean) {
  const projects = await cloud.projects(call).catch((error: Error) => error)
  const others = projects instanceof Error ? [] : projects.filter(({ id }) => id !== pool.id)
  const names = few(others.map(({ id, name }) => `${name} (${id})`))
  const reach =
    projects instanceof Error
      ? `Keystone does not say where else its user may go: ${projects.message}`
      : `the service's user has ${names ? `roles in ${names}` : "no role outside the pool's project"}`
  const found = `${how}; ${reach}`
  if (callersAccept || others.length > 0) {
    const callers = callersAccept ? "; elsewhere callers' own Keystone tokens accept" : ''
    return ok(found + callers, 'try a project with --project-id')
  }
  const advice = "give the service's user the role member in the projects that disks go to, or use access.mode keystone"
  return warning(`${found}, and callers bring no Keystone token`, advice)
}

async function examineProject(
  { cloud, call }: Site,
  pool: Project,
  release: Release | undefined,
  projectId: string,
  callersAccept: boolean
): Promise<Outcome> {
  if (projectId === pool.id) return ok("the pool's own: a claim only renames there")
  const project = await cloud.project(projectId, call).catch((error: Error) => error)
  if (project instanceof Error) {
    const isRefused = project instanceof CloudError && project.code === 'project_refused'
    const advice = isRefused
      ? `give the service's user the role member there (openstack role add --user … --project ${projectId} member)` +
        (callersAccept ? ', or have callers claim with tokens of that project' : '')
      : 'see that Keystone can be reached'
    return failed(`the service's user cannot log in there: ${project.message}`, advice)
  }
  const roles = judgeRoles(project.roles, `project ${projectId}`, release)
  if (roles.result !== 'ok') return roles
  const quota = await project.volumes.quota(call).catch((error: Error) => error)
  if (quota instanceof Error) return warning(`${roles.found}; its quota cannot be read: ${quota.message}`, 'see why')
  const full = ['volumes', 'gigabytes'].filter(name => (quota.get(name) ?? 1) < 1)
  if (full.length === 0) return ok(`${roles.found}; its quota has room`)
  return warning(`${roles.found}; its quota of ${full.join(' and ')} is used up`, 'raise it, or no disk gets in')
}
