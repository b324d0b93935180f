import type { Call, Project, Volume } from '../pool/ports.ts'
import { DEPLOYMENT_KEY, SPARE_ID_KEY, type Spare } from '../pool/spare.ts'
import type { Ready } from '../pool/stores.ts'
import { verdictOnCreating } from '../pool/verdict.ts'
import { arm, arms, disarm } from './arm.ts'
import { collect, concurrently } from './concurrently.ts'
import { giveUp } from './create-disk.ts'
import { deleteRetired } from './delete-retired.ts'
import type { Deps } from './deps.ts'
import { noteAvailable } from './note-available.ts'
import { settleClaim } from './settle-claims.ts'

export interface CheckResult {
  readonly checked: number
  readonly available: number
  readonly dropped: number
}

/** What one look found out. */
interface Findings {
  readonly ready: Ready[]
  dropped: number
}

/** Looks at all volumes on their way with one listing: into stock with what is finished, out with what failed. */
export async function checkState(deps: Deps, call: Call): Promise<CheckResult> {
  const spares = await deps.spares.onTheirWay()
  const findings: Findings = { ready: [], dropped: 0 }
  let available: Spare[] = []
  if (spares.length > 0) {
    const pool = await deps.cloud.pool(call)
    const volumes = await volumesSince(deps, pool, spares, call)
    await concurrently(spares, 4, spare => checkOne(deps, pool, spare, volumes, findings, call))
    available = await noteAvailable(deps, findings.ready)
  }
  await deleteRetired(deps, call)
  for (const { claimId } of available) if (claimId) await settleClaim(deps, claimId, call)
  if (available.length + findings.dropped > 0) deps.wake('replenish')
  return { checked: spares.length, available: available.length, dropped: findings.dropped }
}

/** Clocks of two machines, and a request that was long on its way. */
const CLOCK_MARGIN_MS = 300_000

/** All our volumes no older than the oldest spare on its way: finished or not, they are in this one listing. */
async function volumesSince(deps: Deps, pool: Project, spares: readonly Spare[], call: Call): Promise<Volume[]> {
  const oldest = Math.min(...spares.map(({ createdAt }) => createdAt.getTime()))
  const createdSince = new Date(oldest - CLOCK_MARGIN_MS)
  const metadata = { [DEPLOYMENT_KEY]: deps.settings.deployment }
  return await collect(pool.volumes.pages({ metadata, createdSince }, call))
}

async function checkOne(
  deps: Deps,
  pool: Project,
  spare: Spare,
  volumes: readonly Volume[],
  findings: Findings,
  call: Call
): Promise<void> {
  const known = spare.volumeId ? spare : await findLost(deps, spare, volumes)
  if (!known?.volumeId) {
    if (!known) findings.dropped += 1
    return
  }
  if (known.status === 'retiring') return // Found just now: it will be deleted.
  const { volumeId } = known
  const volume = volumes.find(({ id }) => id === volumeId) ?? (await pool.volumes.find(volumeId, call))
  const verdict = verdictOnCreating(volume)
  switch (verdict) {
    case 'keep':
      return
    case 'rearm':
      await disarm(pool, volumeId, call)
      findings.ready.push(await readyOne(deps, pool, known, volumeId, call))
      return
    case 'stock':
      findings.ready.push(await readyOne(deps, pool, known, volumeId, call))
      return
    case 'retire':
    case 'drop':
      await giveUp(deps, pool, known, volume, call)
      findings.dropped += 1
  }
}

/** A disk made for a claim is not armed: its claim knows how to hand it over. */
async function readyOne(deps: Deps, pool: Project, spare: Spare, volumeId: string, call: Call): Promise<Ready> {
  const transfer = arms(deps) && spare.status === 'creating' ? await arm(deps, pool, spare, volumeId, call) : undefined
  return { id: spare.id, transfer }
}

/** After the longest call, Cinder may still be at it: a create can wait for its message queue. */
const LOST_AFTER_SECONDS = 120

/**
 * A spare whose volume is not known, because the answer to its creation never came: found by its id in the metadata,
 * it goes on; not found for long enough, Cinder never made it, and the row goes (undefined).
 */
async function findLost(deps: Deps, spare: Spare, volumes: readonly Volume[]): Promise<Spare | undefined> {
  const now = deps.clock.now()
  const volume = volumes.find(({ metadata }) => metadata[SPARE_ID_KEY] === spare.id)
  if (volume) {
    deps.log.warn({ spare_id: spare.id, volume_id: volume.id }, 'volume found whose creation had no answer')
    deps.observer.repaired('found_volume', 1)
    return (await deps.spares.noteVolume(spare.id, volume.id, now)) ?? spare
  }
  const ageSeconds = (now.getTime() - spare.createdAt.getTime()) / 1000
  if (ageSeconds < deps.settings.cloudTimeoutSeconds + LOST_AFTER_SECONDS) return spare
  if (!(await deps.spares.drop(spare.id, spare.status))) return spare
  deps.log.warn({ spare_id: spare.id }, 'creation dropped that Cinder never carried out')
  deps.observer.repaired('dropped_creation', 1)
  return undefined
}
