import type { Volume } from '../../sandbox/model.ts'
import type { SeededCloud } from '../../sandbox/seed.ts'
import type { SpareRow, Tables } from './tables.ts'

export interface Judged {
  readonly cloud: SeededCloud
  readonly tables: Tables
  readonly poolProjectId: string
  readonly targets: readonly { readonly os: string; readonly type: string; readonly target: number }[]
  /** Whether the stock waits in transfers. */
  readonly armed: boolean
  /** Volumes that somebody has laid hands on: they are none of ours. */
  readonly foreign: ReadonlySet<string>
}

/** What is not as it should be once everything has been mended, by the tables and the cloud. */
export function complaintsOf(it: Judged): string[] {
  const { spares, claims } = it.tables
  const known = new Set([...spares, ...claims].map(({ volume_id }) => volume_id))
  const inStock = spares.filter(({ status }) => status === 'available')
  return [
    ...it.targets
      .filter(({ os, type, target }) => inStock.filter(one => one.os === os && one.type === type).length < target)
      .map(({ os, type }) => `${os} on ${type} is not full`),
    ...spares.filter(one => !inStock.includes(one)).map(({ id, status }) => `rule 3: spare ${id} is ${status}`),
    ...inStock.filter(spare => !isAsItWas(it, spare)).map(({ id }) => `rule 7: spare ${id} is not as it was`),
    ...claims
      .filter(({ status }) => status === 'open' || status === 'creating')
      .map(({ name, status }) => `rule 7: claim ${name} is ${status}`),
    ...disksOf(it.cloud, it.poolProjectId)
      .filter(({ id }) => !known.has(id) && !it.foreign.has(id))
      .map(({ id, name, status }) => `rule 3: nobody knows volume ${id} "${name}" ${status}`)
  ]
}

/** In stock, a spare's volume bears its name and metadata, and waits in the one transfer whose key is known. */
function isAsItWas({ cloud, armed }: Judged, { id, name, volume_id, transfer_id }: SpareRow): boolean {
  const volume = cloud.volumes.get(volume_id ?? '')
  if (volume?.name !== name || volume.metadata['spare_id'] !== id) return false
  const transfers = cloud.transfers.ofVolume(volume.id)
  if (!armed) return volume.status === 'available' && transfers.length === 0 && transfer_id === null
  return volume.status === 'awaiting-transfer' && transfers.length === 1 && transfers[0]?.id === transfer_id
}

/** The volumes of a project that are made from a snapshot: not the golden ones. */
export const disksOf = (cloud: SeededCloud, projectId: string): Volume[] =>
  [...cloud.volumes.of(projectId)].filter(({ snapshotId }) => snapshotId !== null)
