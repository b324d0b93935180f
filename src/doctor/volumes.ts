import type { Project, Volume } from '../pool/ports.ts'
import { DEPLOYMENT_KEY } from '../pool/spare.ts'
import type { Site } from './check.ts'
import { type Outcome, ok, plural, warning } from './finding.ts'

/** The volumes in the pool's project that carry this deployment's metadata. */
export async function listOurs({ settings, call }: Site, pool: Project): Promise<Volume[]> {
  const ours: Volume[] = []
  const filter = { metadata: { [DEPLOYMENT_KEY]: settings.deployment } }
  for await (const page of pool.volumes.pages(filter, call)) ours.push(...page)
  return ours
}

/** `spares`: how many the database knows. Undefined: it could not be read. */
export function judgeVolumes(deployment: string, ours: readonly Volume[], spares: number | undefined): Outcome {
  const counts = new Map<string, number>()
  for (const { status } of ours) counts.set(status, (counts.get(status) ?? 0) + 1)
  const statuses = [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
  const found = `${plural(ours.length, 'volume')} of deployment "${deployment}"${statuses && `: ${statuses}`}`
  if (spares === 0 && ours.length > 0) {
    const advice =
      'if another service uses this project, give this one a deployment name of its own; if not, do nothing'
    return warning(`${found}; the database knows none, so reconcile will adopt or delete them`, advice)
  }
  if (counts.has('error_deleting')) {
    const advice = 'the service cannot delete error_deleting: have an administrator of the cloud force-delete them'
    return warning(found, advice)
  }
  if (![...counts.keys()].some(status => status.startsWith('error'))) return ok(found)
  return warning(found, 'see why Cinder failed; the service deletes these itself')
}
