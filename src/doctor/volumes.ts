import type { Project, Volume } from '../pool/ports.ts'
import { transferPaging } from '../pool/release.ts'
import { DEPLOYMENT_KEY } from '../pool/spare.ts'
import type { Site } from './check.ts'
import { type Outcome, ok, plural, warning } from './finding.ts'
import type { CinderFacts } from './release.ts'

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

/** Spares in transfers: as many as the targets want, those that wait, and those of them that the list leaves out. */
type TransferFacts = Readonly<Record<'wanted' | 'waiting' | 'unlisted', number>>

export async function readTransfers(
  site: Site,
  pool: Project,
  cinder: CinderFacts,
  ours: readonly Volume[]
): Promise<TransferFacts> {
  const { targets, handover, prearm } = site.settings
  const wanted = handover === 'transfer' && prearm ? targets.reduce((sum, { target }) => sum + target, 0) : 0
  const waiting = ours.filter(isWaiting)
  const facts = { wanted, waiting: waiting.length, unlisted: 0 }
  if (waiting.length === 0 || pagingOf(cinder) === 'in_order') return facts
  const listed = new Set<string>()
  for await (const page of pool.transfers.pages(site.call)) for (const { volumeId } of page) listed.add(volumeId)
  const missing = waiting.filter(({ id }) => !listed.has(id))
  if (missing.length === 0) return facts
  // A claim may have taken some since we saw them.
  const now = new Set((await listOurs(site, pool)).filter(isWaiting).map(({ id }) => id))
  return { ...facts, unlisted: missing.filter(({ id }) => now.has(id)).length }
}

const isWaiting = ({ status }: Volume): boolean => status === 'awaiting-transfer'

const pagingOf = ({ release, askedMinor = 0 }: CinderFacts) => transferPaging(release, askedMinor)

/** Cinder's default of `osapi_max_limit`, which its API does not tell. */
const PAGE_MAX = 1000

export function judgeTransferList(cinder: CinderFacts, { wanted, waiting, unlisted }: TransferFacts): Outcome {
  if (wanted === 0 && waiting === 0) return ok('no spare waits in a transfer')
  const paging = pagingOf(cinder)
  if (paging === 'in_order') return ok('read page by page, in order')
  const isByOffset = paging === 'by_offset'
  const how = isByOffset
    ? 'read by offsets, in no order'
    : `with 3.${cinder.askedMinor} it ends with its first page, osapi_max_limit transfers (${PAGE_MAX} unless cinder.conf says otherwise)`
  const most = Math.max(wanted, waiting)
  const raise = `have osapi_max_limit in cinder.conf raised above ${most}`
  const advice = isByOffset ? raise : `take openstack.volume_api_version out, or ${raise}`
  const costs = 'reconcile asks for each missing spare alone, which is slow'
  if (unlisted > 0) {
    const missing = `${unlisted} of ${plural(waiting, 'armed spare')} ${unlisted === 1 ? 'is' : 'are'} missing from it`
    return warning(`${how}; ${missing}: ${costs}`, advice)
  }
  if (isByOffset || most <= PAGE_MAX) return ok(how)
  return warning(`${how}, and the targets want ${wanted}: ${costs}`, advice)
}
