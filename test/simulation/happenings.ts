import type { FaultRule } from '../../sandbox/faults.ts'
import { attachVolume, createVolume, deleteVolume, restartVolumeService, updateVolume } from '../../sandbox/volumes.ts'
import type { TickName } from '../../src/operations/deps.ts'
import type { ClaimRequest } from '../../src/pool/claim.ts'
import { PURGES } from '../../src/pool/stores.ts'
import { query } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import type { Replica } from './replica.ts'
import { POOLS } from './setting.ts'
import type { World } from './world.ts'

/** All that a cloud and a network do to those who use them. */
export const FAULTS: readonly FaultRule[] = [
  { kind: 'status', status: 500, probability: 0.3 },
  { kind: 'status', status: 503, probability: 0.3 },
  { kind: 'status', status: 504, acts: true, probability: 0.3 },
  { kind: 'reset_before', probability: 0.3 },
  { kind: 'reset_after', probability: 0.3 },
  { kind: 'hang', probability: 0.1 },
  { kind: 'hang', acts: true, probability: 0.1 },
  { kind: 'delay', ms: 5_000, probability: 0.5 },
  // Longer than a call may take: what nobody waits for any more happens all the same. Of a rename that is not promised.
  { kind: 'delay', ms: 90_000, operation: 'volume_list', probability: 0.2 },
  { kind: 'delay', ms: 90_000, operation: 'volume_create', probability: 0.3 },
  { kind: 'delay', ms: 90_000, operation: 'volume_delete', probability: 0.3 },
  { kind: 'delay', ms: 90_000, operation: 'transfer_create', probability: 0.3 },
  { kind: 'delay', ms: 90_000, operation: 'transfer_accept', probability: 0.3 },
  { kind: 'revoke_tokens', count: 1 },
  { kind: 'over_quota', probability: 0.3 },
  { kind: 'error_volume', operation: 'volume_create', probability: 0.5 },
  { kind: 'error_volume', operation: 'volume_extend', probability: 0.5 },
  { kind: 'stuck_creating', count: 1 },
  { kind: 'vanish', probability: 0.3 },
  { kind: 'busy_delete', probability: 0.5 },
  { kind: 'reset_after', operation: 'transfer_accept', probability: 0.7 },
  { kind: 'status', status: 500, operation: 'transfer_accept', probability: 0.7 },
  { kind: 'reset_after', operation: 'volume_create', probability: 0.7 }
]

const HOSTS = [1, 2, 3, 4, 5, 6, 7, 8]

type Happening = (world: World) => unknown

/** With how often each happens. */
export const HAPPENINGS: readonly (readonly [number, string, Happening])[] = [
  [30, 'time passes', world => void world.clock.wakeNext(pick(world, [100, 1_000, 5_000, 30_000]))],
  [12, 'a claim', world => claim(world, newRequest(world))],
  [
    6,
    'a claim again',
    world => claim(world, world.requests.length > 0 ? pick(world, world.requests) : newRequest(world))
  ],
  [8, 'replenish', world => tick(world, 'replenish')],
  [10, 'check_state', world => tick(world, 'check_state')],
  [5, 'reconcile', world => tick(world, 'reconcile')],
  [3, 'a replica is killed', killReplica],
  [2, "a replica's clock jumps", jumpClock],
  [1, "the database's clock jumps", world => world.databaseClock.jump(pick(world, [-20, -8, -2, 2, 8, 20]))],
  [4, 'a fault begins', world => world.cloud.addFault(pick(world, FAULTS))],
  [4, 'all faults end', world => void world.cloud.faults.remove()],
  [1, 'cinder-volume restarts', world => restartVolumeService(world.cloud)],
  [1, 'a volume of the pool is lost', loseVolume],
  [1, 'a row is lost', loseRow],
  [2, 'a tenant deletes its disk', deleteDisk],
  [2, 'a tenant makes a volume itself', makeByHand],
  [1, 'an operator lays hands on a spare', layHands],
  [1, 'an operator retires a spare', retireOne],
  [1, 'an operator pauses', world => setPaused(world, true)],
  [2, 'an operator resumes', world => setPaused(world, false)],
  [1, 'a new image', newImage],
  [1, 'a sync', sync]
]
/** Each as often as it weighs. */
const LOTS = HAPPENINGS.flatMap(([weight, name, what]) => Array.from({ length: weight }, () => [name, what] as const))

/** One thing that chance chooses; gives its name. */
export async function happen(world: World): Promise<string> {
  const [name, what] = pick(world, LOTS)
  await what(world)
  return name
}

function pick<T>({ random }: World, from: readonly T[]): T {
  if (from.length === 0) throw new Error('there is nothing to pick from')
  return from[Math.floor(random.fraction() * from.length)] as T
}

/** One that runs; where both are dead, one is started. */
function aReplica(world: World): Replica {
  if (world.replicas.length === 0 || (world.replicas.length < 2 && world.random.fraction() < 0.3)) world.startReplica()
  return pick(world, world.replicas)
}

const claim = (world: World, request: ClaimRequest): void => world.claim(aReplica(world), request)
const tick = (world: World, name: TickName): void => world.tick(aReplica(world), name)

function newRequest(world: World): ClaimRequest {
  const { os, type } = pick(world, [...POOLS, { os: 'debian12', type: 'ssd' }, { os: 'windows2022', type: 'sas' }])
  const hostname = `web-${pick(world, HOSTS)}`
  const project = pick(world, ['tenant-a', 'tenant-a', 'tenant-b', 'tenant-b', 'pool'])
  const isOwn = project === 'tenant-a' && world.random.fraction() < 0.5
  const request: ClaimRequest = {
    os,
    type,
    hostname,
    category: 'sys',
    name: `${hostname}_sys`,
    sizeGib: pick(world, [undefined, undefined, undefined, 10, 60]),
    projectId: world.project(project),
    onEmpty: pick(world, ['create', 'create', 'fail']),
    waitSeconds: pick(world, [0, 0, 5]),
    idempotencyKey: pick(world, [undefined, undefined, `key of ${hostname}`]),
    caller: isOwn ? world.identity : undefined
  }
  world.requests.push(request)
  return request
}

async function killReplica(world: World): Promise<void> {
  if (world.replicas.length > 0) await world.killReplica(pick(world, world.replicas))
}

/** Up to an hour, either way. */
function jumpClock(world: World): void {
  if (world.replicas.length > 0)
    pick(world, world.replicas).clock.jump(pick(world, [-3600, -600, -90, -10, 10, 90, 600, 3600]))
}

/** By a fault of the storage: Cinder itself knows it no more. */
function loseVolume(world: World): void {
  const volumes = world.disks('pool').filter(({ name }) => name?.startsWith('spare-'))
  if (volumes.length === 0) return
  const volume = pick(world, volumes)
  for (const transfer of world.cloud.transfers.ofVolume(volume.id)) world.cloud.transfers.remove(transfer)
  world.cloud.volumes.remove(volume)
}

/** As a database does that was restored from a backup. */
async function loseRow(world: World): Promise<void> {
  const known = world.watch.tables.spares.filter(({ status }) => status === 'available' || status === 'creating')
  if (known.length > 0)
    await query(world.db, 'delete from backup_volumes where id = :id', { id: pick(world, known).id })
}

/** Of a name that a claim may come for, or may be under way to. It boots, or is blank. */
function makeByHand(world: World): void {
  const caller = { ...world.admin, projectId: world.project('tenant-a') }
  const { id } = createVolume(world.cloud, caller, {
    name: `web-${pick(world, HOSTS)}_sys`,
    description: null,
    sizeGib: 1,
    type: null,
    snapshotId: null,
    sourceVolumeId: null,
    availabilityZone: null,
    metadata: {}
  })
  updateVolume(world.cloud, caller, id, { bootable: world.random.fraction() < 0.8 })
}

function deleteDisk(world: World): void {
  const disks = [...world.disks('tenant-a'), ...world.disks('tenant-b')].filter(({ status }) => status === 'available')
  if (disks.length > 0) deleteVolume(world.cloud, world.admin, pick(world, disks).id)
}

/** Attaches it, or gives it another name. Not while the service is at it: between its look and its deed nobody can help. */
function layHands(world: World): void {
  const spares = world.disks('pool').filter(({ id, name }) => name?.startsWith('spare-') && !world.foreign.has(id))
  if (spares.length === 0 || !world.scheduler.isIdle) return
  const volume = pick(world, spares)
  world.foreign.add(volume.id)
  if (volume.status === 'available') {
    attachVolume(world.cloud, world.admin, volume.id, { serverId: null, hostName: 'host', device: '/dev/vdb' })
  } else updateVolume(world.cloud, world.admin, volume.id, { name: 'by-hand' })
}

async function retireOne(world: World): Promise<void> {
  const spares = world.watch.tables.spares.filter(({ status }) => status === 'available')
  if (spares.length === 0) return
  await storesOf(world.db).spares.retire(pick(world, spares).id, 'available', world.clock.now())
}

async function setPaused(world: World, paused: boolean): Promise<void> {
  await storesOf(world.db).pools.setPaused(pick(world, POOLS), paused)
}

function newImage(world: World): void {
  const { os, type } = pick(world, POOLS)
  const version = 20261102 + world.cloud.snapshots.size
  world.cloud.addSnapshot({
    name: `${os}_${type}_${version}`,
    type: `ceph-${type}`,
    sizeGib: os === 'debian12' ? 20 : 40
  })
}

function sync(world: World): void {
  world.sync(aReplica(world), { purge: pick(world, PURGES), dryRun: false, allowEmpty: false })
}
