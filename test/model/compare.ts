import assert from 'node:assert/strict'
import type { Volume as CloudVolume } from '../../sandbox/model.ts'
import type { ClaimRecord, SpareView, StatsView } from '../../src/http/schemas.ts'
import type { Model } from './model.ts'
import type { Real } from './real.ts'
import type { Pool, Spare } from './state.ts'

/** Everything that can be seen of the service and its cloud at one moment. */
interface Seen {
  readonly stats: StatsView
  readonly spares: readonly SpareView[]
  readonly claims: readonly ClaimRecord[]
  readonly volumes: readonly CloudVolume[]
  /** A project's name by its id. */
  readonly projectName: (id: string) => string
}

/** Holds the service and its cloud against the model: line by line, so that a difference can be read. */
export async function compare(model: Model, real: Real, replica: number): Promise<void> {
  const seen = await look(real, replica)
  learn(model, seen)
  assert.deepEqual(linesOfSeen(seen), linesOfModel(model))
}

async function look(real: Real, replica: number): Promise<Seen> {
  const service = real.replica(replica)
  const [stats, spares, claims] = await Promise.all([service.stats(), service.spares(), service.claims()])
  const projectName = (id: string): string => real.cloud.projects.get(id)?.name ?? id
  return { stats, spares, claims, volumes: real.volumes(), projectName }
}

/** What is new in the model takes the ids that the service has chosen. */
function learn({ spares, claims }: Model, seen: Seen): void {
  for (const { claim_id, project_id, name } of seen.claims) {
    if (claims.some(({ id }) => id === claim_id)) continue
    const project = seen.projectName(project_id)
    const claim = claims.find(one => one.id === '' && one.project === project && one.name === name)
    if (claim) claim.id = claim_id
  }
  for (const { id, volume_id, os, type, claim_id } of seen.spares) {
    if (spares.some(spare => spare.id === id)) continue
    const isIt = (one: Spare): boolean => one.pool === `${os} ${type}` && (one.claim?.id ?? null) === claim_id
    const spare = spares.find(one => one.id === '' && isIt(one))
    if (!spare) continue
    spare.id = id
    Object.assign(spare.volume, { id: volume_id ?? '', name: `spare-${id}` })
  }
}

// ---- The same words for both -------------------------------------------------------------------------------------------

const sentence = (words: readonly unknown[]): string => words.filter(word => word !== null && word !== '').join(' ')

function linesOfSeen({ stats, spares, claims, volumes, projectName }: Seen): string[] {
  const pools = stats.pools.map(pool =>
    sentence([
      `pool ${pool.os} ${pool.type} is ${pool.condition}${pool.paused ? ' and paused' : ''}: of ${pool.target}`,
      JSON.stringify({ ...pool.spares, stale: pool.stale_spares, oldest: pool.oldest_spare_seconds }),
      `image ${pool.image?.version ?? 'none'} newer ${pool.image?.newer_in_cinder ?? 'none'}`,
      JSON.stringify([pool.claims.hits, pool.claims.existing, sorted(pool.claims.misses)])
    ])
  )
  const rows = spares.map(one =>
    sentence([
      `spare ${one.id} ${one.os} ${one.type} ${one.image_version} ${one.status}`,
      one.kept ? 'kept' : '',
      one.claim_id ? `for ${one.claim_id}` : '',
      `volume ${one.volume_id}`
    ])
  )
  const records = claims.map(one =>
    sentence([
      `claim ${one.claim_id} ${projectName(one.project_id)} ${one.name} ${one.os} ${one.type}`,
      `${one.status} ${one.source} ${one.miss_reason} volume ${one.volume_id}`
    ])
  )
  const disks = volumes.map(
    one => `volume ${one.id} ${projectName(one.projectId)} ${one.name} ${one.status} ${one.sizeGib} GiB`
  )
  return [...pools, ...[...rows, ...records, ...disks].toSorted(), `orphans ${stats.orphans}`]
}

function linesOfModel(model: Model): string[] {
  const { spares, claims, volumes } = model
  const rows = spares.map(one =>
    sentence([
      `spare ${one.id} ${one.pool} ${one.version} ${one.status}`,
      one.isKept ? 'kept' : '',
      one.claim ? `for ${one.claim.id}` : '',
      `volume ${one.volume.id}`
    ])
  )
  const records = claims.map(one =>
    sentence([
      `claim ${one.id} ${one.project} ${one.name} ${one.pool}`,
      `${one.status} ${one.source} ${one.missReason ?? null} volume ${one.volume?.id ?? null}`
    ])
  )
  const disks = [...volumes].map(one => `volume ${one.id} ${one.project} ${one.name} ${one.status} ${one.gib} GiB`)
  const pools = model.pools
    .filter(({ name, target }) => target !== undefined || spares.some(({ pool }) => pool === name))
    .map(pool => lineOfPool(model, pool))
  return [...pools, ...[...rows, ...records, ...disks].toSorted(), 'orphans 0']
}

function lineOfPool(model: Model, pool: Pool): string {
  const ours = model.spares.filter(spare => spare.pool === pool.name)
  const inStock = ours.filter(({ status }) => status === 'available')
  const count = (wanted: string): number => ours.filter(({ status }) => status === wanted).length
  const claims = model.claims.filter(one => one.pool === pool.name && one.status !== 'creating')
  const from = (source: string): number => claims.filter(one => one.source === source).length
  const misses: Record<string, number> = { ...pool.refused }
  for (const { source, missReason = '' } of claims) {
    if (source === 'created') misses[missReason] = (misses[missReason] ?? 0) + 1
  }
  const oldest = inStock.length > 0 ? model.now - Math.min(...inStock.map(({ since }) => since)) : null
  const stale = inStock.filter(spare => !model.isCurrent(spare)).length
  const statuses = ['requested', 'creating', 'available', 'reserved', 'retiring']
  const counts = Object.fromEntries(statuses.map(status => [status, count(status)]))
  return sentence([
    `pool ${pool.name} is ${model.condition(pool)}${pool.paused ? ' and paused' : ''}: of ${pool.target ?? 0}`,
    JSON.stringify({ ...counts, stale, oldest }),
    `image ${model.images.get(pool.name) ?? 'none'} newer ${pool.newerInCinder ?? 'none'}`,
    JSON.stringify([from('pool'), from('existing'), sorted(misses)])
  ])
}

const sorted = (counts: Readonly<Record<string, number>>): unknown =>
  Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1))
