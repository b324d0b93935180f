import { Cloud, type CloudOptions } from './cloud.ts'
import { type Caller, type Project, type Snapshot, UNTYPED, type User, type Volume, type VolumeType } from './model.ts'
import { setQuota } from './quotas.ts'
import { Random } from './random.ts'

/** A volume with an operating system on it, and its snapshot. */
export interface Golden {
  readonly name: string
  /** A volume type's name; one that is not there is made. Null: it has none, where a release allows that. */
  readonly type?: string | null
  readonly sizeGib?: number
  /** How much of it is written: decides how long a copy takes. */
  readonly dataGib?: number
  readonly bootable?: boolean
  readonly projectId?: string
}

export const PASSWORD = 'sandbox'

/** How somebody logs in to the pool's project, as a configuration's `openstack.auth` has it; by default the service. */
export const poolLogin = (authUrl: string, username = 'pool-svc') => ({
  auth_url: authUrl,
  username,
  password: PASSWORD,
  project_name: 'pool',
  user_domain_name: 'Default',
  project_domain_name: 'Default'
})

const GOLDEN: readonly Golden[] = [
  { name: 'debian12_ssd_20261101', type: 'ceph-ssd', sizeGib: 20, dataGib: 1.2 },
  { name: 'debian12_sas_20261101', type: 'ceph-sas', sizeGib: 20, dataGib: 1.2 },
  { name: 'windows2022_ssd_20261101', type: 'ceph-ssd', sizeGib: 40, dataGib: 2.6 }
]

/** A cloud with projects, users, volume types and golden snapshots in it, as the README lists them. */
export class SeededCloud extends Cloud {
  /** A golden volume with its snapshot, as an operator would upload one. */
  readonly addSnapshot: (golden: Golden) => Snapshot

  constructor(options: CloudOptions) {
    super(options)
    this.addSnapshot = seed(this)
    if (options.run !== undefined) this.random = new Random(options.seed ?? 1, `ids of ${options.run}`)
  }
}

/** Fills a new cloud; returns what adds one more golden snapshot to it. */
function seed(cloud: Cloud): (golden: Golden) => Snapshot {
  const pool = addProject(cloud, 'pool')
  const tenants = [addProject(cloud, 'tenant-a'), addProject(cloud, 'tenant-b')]
  for (const resource of ['volumes', 'gigabytes', 'snapshots']) setQuota(cloud, pool.id, resource, -1)
  const { memberRole } = cloud.variant
  const service = addUser(cloud, 'pool-svc', [pool, ...tenants], memberRole)
  for (const tenant of tenants) addUser(cloud, `${tenant.name}-user`, [tenant], memberRole)
  const admin = addUser(cloud, 'admin', [pool, ...tenants], 'admin')
  const owner = { userId: service.id, projectId: pool.id }
  const credential = { id: cloud.random.hex(32), name: 'pool', secret: PASSWORD, ...owner }
  cloud.applicationCredentials.set(credential.id, credential)
  addType(cloud, 'ceph-ssd')
  addType(cloud, 'ceph-sas')
  const by: Caller = { userId: admin.id, projectId: pool.id, roles: ['admin'], requestId: `req-${cloud.random.uuid()}` }
  const add = (golden: Golden): Snapshot => addGolden(cloud, golden, by)
  for (const golden of GOLDEN) add(golden)
  return add
}

export function addProject(cloud: Cloud, name: string): Project {
  const project = { id: cloud.random.hex(32), name }
  cloud.projects.set(project.id, project)
  return project
}

function addUser(cloud: Cloud, name: string, projects: readonly Project[], role: string): User {
  const roles = new Map(projects.map(project => [project.id, new Set([role])]))
  const user = { id: cloud.random.hex(32), name, password: PASSWORD, roles }
  cloud.users.set(user.id, user)
  return user
}

export function addType(cloud: Cloud, name: string, isPublic = true, encrypted = false): VolumeType {
  const type = { id: cloud.random.uuid(), name, isPublic, encrypted, projectIds: new Set<string>() }
  cloud.types.set(type.id, type)
  return type
}

function typeOfGolden(cloud: Cloud, name: string | null): VolumeType {
  if (name !== null) return [...cloud.types.values()].find(type => type.name === name) ?? addType(cloud, name)
  if (cloud.traits.hasNullTypes) return UNTYPED
  throw new RangeError(`type: null: no cloud of release ${cloud.release} has such volumes`)
}

function addGolden(cloud: Cloud, golden: Golden, by: Caller): Snapshot {
  const { name, type: typeName = 'ceph-ssd', sizeGib = 20, dataGib = 1.2, bootable = true } = golden
  const { projectId = by.projectId } = golden
  const type = typeOfGolden(cloud, typeName)
  const createdAt = cloud.now()
  const shared = { projectId, userId: by.userId, status: 'available', sizeGib, dataGib, type, metadata: {}, createdAt }
  const volume: Volume = {
    ...shared,
    id: cloud.random.uuid(),
    name: `golden-${name}`,
    description: null,
    bootable,
    extendingToGib: null,
    snapshotId: null,
    sourceVolumeId: null,
    availabilityZone: 'nova',
    attachments: [],
    updatedAt: createdAt
  }
  const snapshot: Snapshot = {
    ...shared,
    id: cloud.random.uuid(),
    name,
    description: 'system disk',
    volumeId: volume.id,
    updatedAt: createdAt,
    busyUntil: 0
  }
  cloud.volumes.add(volume)
  cloud.snapshots.set(snapshot.id, snapshot)
  cloud.usage.count('snapshots', snapshot, 1)
  cloud.record(by, { change: 'volume.created', volume_id: volume.id, to: volume.name })
  cloud.record(by, { change: 'snapshot.created', snapshot_id: snapshot.id, volume_id: volume.id, to: name })
  return snapshot
}
