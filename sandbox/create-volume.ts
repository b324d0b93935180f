import type { Cloud } from './cloud.ts'
import { type Caller, type Snapshot, UNTYPED, type Volume, type VolumeType } from './model.ts'
import { checkQuota, checkTypeVisible, checkVolumeSize, mayUseType } from './quotas.ts'
import { badRequest, invalidInput, MALFORMED, notFound, Refusal } from './refusal.ts'
import { findSnapshot } from './snapshots.ts'
import { changeVolume, findVolume } from './volume-record.ts'
import { removeVolume } from './volume-removal.ts'
import type { Making } from './volume-service.ts'

const MESSAGES_MAX = 10_000

export interface VolumeWish {
  readonly name: string | null
  readonly description: string | null
  readonly sizeGib: number | null
  readonly type: string | null
  readonly snapshotId: string | null
  readonly sourceVolumeId: string | null
  readonly availabilityZone: string | null
  readonly metadata: Record<string, string>
}

export function createVolume(cloud: Cloud, caller: Caller, wish: VolumeWish): Volume {
  const asked = wish.type === null ? undefined : typeNamed(cloud, caller, wish.type)
  const snapshot = wish.snapshotId === null ? undefined : findSnapshot(cloud, caller, wish.snapshotId)
  const origin = wish.sourceVolumeId === null ? undefined : findVolume(cloud, caller, wish.sourceVolumeId)
  const source = snapshot ?? origin
  const type = typeOfNew(cloud, asked, snapshot, origin)
  checkTypeVisible(caller, type)
  const sizeGib = wish.sizeGib ?? source?.sizeGib
  if (sizeGib === undefined) throw badRequest(MALFORMED)
  if (source) checkSource(source, snapshot !== undefined, asked === undefined ? source.type : type, sizeGib)
  const availabilityZone = wish.availabilityZone ?? 'nova'
  if (availabilityZone !== 'nova') throw badRequest(`Availability zone '${availabilityZone}' is invalid.`)
  checkVolumeSize(cloud, caller, sizeGib)
  checkQuota(cloud, caller, type, { gigabytes: sizeGib, volumes: 1 })
  const volume: Volume = {
    ...wish,
    id: cloud.random.uuid(),
    projectId: caller.projectId,
    userId: caller.userId,
    status: 'creating',
    sizeGib,
    extendingToGib: null,
    dataGib: source?.dataGib ?? 0,
    type,
    availabilityZone,
    bootable: (snapshot ? cloud.volumes.get(snapshot.volumeId) : origin)?.bootable ?? false,
    attachments: [],
    createdAt: cloud.now(),
    updatedAt: null
  }
  cloud.volumes.add(volume)
  cloud.record(caller, { change: 'volume.created', volume_id: volume.id, snapshot_id: snapshot?.id, to: volume.name })
  make(cloud, caller, volume, snapshot)
  return volume
}

function checkSource(source: Volume | Snapshot, isSnapshot: boolean, type: VolumeType, sizeGib: number): void {
  const kind = isSnapshot ? 'snapshot' : 'volume'
  const states = isSnapshot ? "'available'" : "'available or in-use'"
  const advice = isSnapshot
    ? 'recommend omitting the type argument'
    : 'either match source volume, or omit type argument'
  if (type !== source.type) {
    throw invalidInput(`Invalid volume_type provided: ${type.id} (requested type is not compatible; ${advice}).`)
  }
  if (source.status !== 'available' && (isSnapshot || source.status !== 'in-use')) {
    throw badRequest(`Invalid ${kind}: Originating ${kind} status must be one of ${states} values`)
  }
  if (sizeGib >= source.sizeGib) return
  throw invalidInput(
    `Volume size '${sizeGib}'GB cannot be smaller than the ${kind} size ${source.sizeGib}GB. ` +
      `They must be >= original ${kind} size.`
  )
}

/** Whether the scheduler is asked decides what comes of it while cinder-volume is down: an error, or nothing. */
function make(cloud: Cloud, caller: Caller, volume: Volume, snapshot: Snapshot | undefined): void {
  const isScheduled = snapshot === undefined || cloud.traits.schedulesCopies
  if (isScheduled && cloud.volumeService.isDown) cloud.after(0, () => failCreate(cloud, caller, volume))
  else {
    cloud.volumeService.create(volume, makingOf(cloud, volume, snapshot), () => {
      if (caller.strike !== 'stuck_creating') finishCreate(cloud, caller, volume)
    })
  }
}

function makingOf({ delays, traits, variant }: Cloud, volume: Volume, snapshot: Snapshot | undefined): Making {
  if (!snapshot && volume.dataGib === 0) return { snapshot, ms: delays.creating_empty, blocks: false }
  const ms = delays.creating + delays.creating_per_gib * volume.dataGib
  return { snapshot, ms, blocks: snapshot !== undefined && traits.flattenBlocks && variant.flattens }
}

/** Writes `available` whatever the status has become meanwhile: Cinder does. */
function finishCreate(cloud: Cloud, by: Caller, volume: Volume): void {
  if (by.strike === 'error_volume') failCreate(cloud, by, volume)
  else if (by.strike === 'vanish') removeVolume(cloud, by, volume)
  else changeVolume(cloud, by, volume, { status: 'available' })
}

/** The scheduler has tried everything, and of what went wrong nothing is left. */
function failCreate(cloud: Cloud, by: Caller, volume: Volume): void {
  const reason = 'schedule allocate volume:Could not find any available weighted backend.'
  const { hasMessages, tellsReasons } = cloud.traits
  if (hasMessages) tell(cloud, by, volume, '001_003', tellsReasons ? reason : 'No storage could be allocated for it.')
  changeVolume(cloud, by, volume, { status: 'error' })
}

/**
 * cinder-volume starts anew. What it was making is in `error` for good; on older releases everything that is `creating`
 * goes into `error`, and what it is told of afterwards, or finishes, becomes `available` all the same.
 */
export function restartVolumeService(cloud: Cloud): void {
  const creating = [...cloud.volumes.of()].filter(({ status }) => status === 'creating')
  const failed = cloud.traits.restartFailsAll ? creating : cloud.volumeService.breakOff()
  const by: Caller = { userId: '', projectId: '', roles: ['admin'], requestId: `req-${cloud.random.uuid()}` }
  for (const volume of failed) changeVolume(cloud, by, volume, { status: 'error' })
  cloud.volumeService.start()
}

function tell(cloud: Cloud, by: Caller, volume: Volume, eventId: string, text: string): void {
  if (cloud.messages.length >= MESSAGES_MAX) cloud.messages = cloud.messages.slice(MESSAGES_MAX / 2)
  const { projectId, id: resourceId } = volume
  const event = { eventId: `VOLUME_VOLUME_${eventId}`, text, createdAt: cloud.now() }
  cloud.messages.push({ id: cloud.random.uuid(), projectId, resourceId, requestId: by.requestId, ...event })
}

function typeNamed(cloud: Cloud, caller: Caller, nameOrId: string): VolumeType {
  const type = cloud.types.get(nameOrId) ?? [...cloud.types.values()].find(({ name }) => name === nameOrId)
  if (!type || !mayUseType(caller, type)) throw notFound('Volume type with name', nameOrId)
  return type
}

/** Of a volume that is made; releases disagree about one from a snapshot. */
function typeOfNew(
  cloud: Cloud,
  asked: VolumeType | undefined,
  snapshot: Snapshot | undefined,
  origin: Volume | undefined
): VolumeType {
  const { typeFromSnapshot } = cloud.traits
  if (snapshot && typeFromSnapshot === 'always') return snapshot.type
  if (asked) return asked
  if (snapshot && typeFromSnapshot === 'never') return defaultType(cloud)
  return (snapshot ?? origin)?.type ?? defaultType(cloud)
}

function defaultType(cloud: Cloud): VolumeType {
  if (cloud.variant.nullTypes) return UNTYPED
  const [type] = cloud.types.values()
  if (!type) throw new Refusal(404, 'Volume type could not be found.')
  return type
}
