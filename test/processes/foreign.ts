import type { SeededCloud } from '../../sandbox/seed.ts'
import { attachVolume, createVolume } from '../../sandbox/volumes.ts'
import { until } from '../support/until.ts'
import { DEPLOYMENT, type Stage } from './stage.ts'

/** Volumes that are none of the service's business, by id, and how they looked when they were finished. */
export type Foreign = ReadonlyMap<string, string>

/** All of a volume, as a text. */
export function looksOf({ volumes }: SeededCloud, id: string): string {
  const { type, ...volume } = { ...volumes.get(id) }
  return JSON.stringify({ ...volume, type: type?.name })
}

interface Disk {
  readonly project: string
  readonly name: string
  readonly metadata?: Record<string, string>
}

const ids = Array.from({ length: 5 }, (_, index) => `00000000-0000-4000-8000-00000000000${index}`)
const ours = (id = ''): Record<string, string> => ({ spare_pool: DEPLOYMENT, spare_id: id })
const ATTACHED = `spare-${ids[3]}`

/** What comes near to being ours: each lacks one thing. */
const NEAR: readonly Disk[] = [
  { project: 'pool', name: 'backup-of-something' },
  { project: 'pool', name: `spare-${ids[0]}` },
  { project: 'pool', name: `spare-${ids[1]}`, metadata: { spare_pool: 'another', spare_id: ids[1] ?? '' } },
  { project: 'pool', name: 'taken-by-hand', metadata: ours(ids[2]) },
  { project: 'pool', name: ATTACHED, metadata: ours(ids[3]) },
  { project: 'tenant-a', name: `spare-${ids[4]}`, metadata: ours(ids[4]) },
  { project: 'tenant-b', name: 'data-01' }
]

/** Made by an administrator; `existing` are system disks that tenants have already, so that a claim for them finds them. */
export async function makeForeign(stage: Stage, existing: readonly Disk[]): Promise<Foreign> {
  const { cloud, admin } = stage
  const [snapshot] = cloud.snapshots.values()
  const made = [...NEAR, ...existing].map(({ project, name, metadata = {} }) =>
    createVolume(
      cloud,
      { ...admin, projectId: stage.project(project) },
      {
        name,
        metadata,
        snapshotId: snapshot?.id ?? null,
        sizeGib: null,
        type: null,
        description: null,
        sourceVolumeId: null,
        availabilityZone: null
      }
    )
  )
  await until(() => made.every(({ status }) => status === 'available'))
  for (const { id, name } of made) {
    if (name === ATTACHED) attachVolume(cloud, admin, id, { serverId: null, hostName: 'host', device: '/dev/vdb' })
  }
  return new Map(made.map(({ id }) => [id, looksOf(cloud, id)]))
}
