import { CloudError, PoolError } from '../../pool/errors.ts'
import type { Call, Identity, Project } from '../../pool/ports.ts'
import type { Deps } from '../deps.ts'
import { notAccessible } from './hand-over.ts'

/**
 * The project that a claim's disk goes to, seen with the caller's own token where it is scoped there (so that quota,
 * policy and owner are the caller's), else with the service's user. `caller` undefined: nobody's token but ours.
 */
export async function destinationOf(
  deps: Deps,
  projectId: string,
  caller: Identity | undefined,
  call: Call
): Promise<Project> {
  const pool = await deps.cloud.poolProject(call)
  if (projectId === pool.id) return pool
  if (deps.settings.handover === 'rename') {
    throw new PoolError(
      'project_not_accessible',
      `claims.handover is "rename": disks stay in the pool's project ${pool.id} and cannot go to ${projectId}.`
    )
  }
  if (caller?.projectId === projectId) return deps.cloud.withToken(caller)
  return await serviceIn(deps, projectId, call)
}

/** The service's user in a project. */
export async function serviceIn(deps: Deps, projectId: string, call: Call): Promise<Project> {
  try {
    return await deps.cloud.project(projectId, call)
  } catch (error) {
    if (!(error instanceof CloudError && error.code === 'project_refused')) throw error
    throw notAccessible(projectId, error.message)
  }
}
