import { PoolError } from './errors.ts'
import type { Identity, Volume } from './ports.ts'
import type { PoolName } from './spare.ts'

/** How a claim got its disk. */
export const CLAIM_SOURCES = ['existing', 'pool', 'created'] as const
export type ClaimSource = (typeof CLAIM_SOURCES)[number]

/** Why a claim was not served from stock. */
export const MISS_REASONS = ['empty', 'stale', 'no_pool', 'handover_failed'] as const
export type MissReason = (typeof MISS_REASONS)[number]

/**
 * A claim's statuses. `open`: under way, or its outcome in Cinder is not known yet. `creating`: a disk is being made for
 * it. `available`: it has its disk. `gone`: that disk is gone in Cinder, so the name is free for a new claim.
 */
export const CLAIM_STATUSES = ['open', 'creating', 'available', 'gone'] as const
export type ClaimStatus = (typeof CLAIM_STATUSES)[number]

/** What a claim keeps of its request as it was. */
interface AskedFor extends PoolName {
  readonly hostname: string
  readonly category: string
  readonly name: string
  readonly projectId: string
  readonly idempotencyKey: string | undefined
}

/** What a caller asks for. */
export interface ClaimRequest extends AskedFor {
  /** Undefined: as large as the spare, or as the pool's or image's size. */
  readonly sizeGib: number | undefined
  readonly onEmpty: 'create' | 'fail'
  readonly waitSeconds: number
  /** The caller's own Keystone token, where it came with one. */
  readonly caller: Identity | undefined
}

/** One request for a system disk, and the record of what it was given. */
export interface Claim extends AskedFor {
  readonly id: string
  readonly fingerprint: string
  readonly wantedSizeGib: number | undefined
  readonly status: ClaimStatus
  readonly source: ClaimSource | undefined
  readonly missReason: MissReason | undefined
  readonly disk: Disk | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Who works on a claim, and until when at the latest. */
export interface Lease {
  readonly holder: string
  readonly until: Date
}

/** What a disk was made as. Undefined: this service did not make it, so it does not know. */
export interface Origin {
  readonly os: string | undefined
  readonly type: string | undefined
  readonly imageVersion: string | undefined
}

/** The disk that a claim was given. */
export interface Disk extends Origin {
  readonly volumeId: string
  readonly volumeType: string
  readonly sizeGib: number
  readonly snapshotId: string | undefined
  readonly spareAgeSeconds: number | undefined
}

/** A claim and what Cinder says of its volume now. */
export interface ClaimResult {
  readonly claim: Claim
  readonly volumeStatus: string
  /** False: the disk is not in the project yet, or not ready there. */
  readonly usable: boolean
}

/** What makes two requests the same claim under one idempotency key; how long the caller waits does not. */
export const fingerprintOf = (request: ClaimRequest): string =>
  JSON.stringify([
    request.projectId,
    request.name,
    request.hostname,
    request.category,
    request.os,
    request.type,
    request.sizeGib ?? null,
    request.onEmpty
  ])

/** A claim as it is first recorded. */
export const newClaim = (request: ClaimRequest, id: string, at: Date): Claim => ({
  id,
  idempotencyKey: request.idempotencyKey,
  fingerprint: fingerprintOf(request),
  projectId: request.projectId,
  name: request.name,
  hostname: request.hostname,
  category: request.category,
  os: request.os,
  type: request.type,
  wantedSizeGib: request.sizeGib,
  status: 'open',
  source: undefined,
  missReason: undefined,
  disk: undefined,
  createdAt: at,
  updatedAt: at
})

/**
 * What Cinder takes off both ends of a name: Python's str.strip(), so whatever str.isspace() holds for (CPython's
 * `_PyUnicode_IsWhitespace`). trim() takes U+FEFF off as well, and U+001C to U+001F and U+0085 not.
 */
const BLANK = '[\\u0009-\\u000d\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+'
const AROUND = new RegExp(`^${BLANK}|${BLANK}$`, 'g')

/** Cinder's own limit. */
const NAME_CHARACTERS_MAX = 255

/** The words that `claims.volume_name` may be made of. */
export type NameParts = Pick<ClaimRequest, 'hostname' | 'category' | 'os' | 'type'>

/** Fills `claims.volume_name`, `{hostname}_{category}`, to the name that Cinder will show: trimmed as Cinder does it. */
export function volumeName(template: string, parts: NameParts): string {
  const values: Readonly<Record<string, string>> = { ...parts }
  const name = template.replaceAll(/\{(\w+)\}/g, (_, key: string) => values[key] ?? '').replaceAll(AROUND, '')
  const length = lengthOf(name)
  if (length >= 1 && length <= NAME_CHARACTERS_MAX) return name
  const { hostname, ...others } = parts
  const longer = Object.entries(others).filter(
    ([key, value]) => template.includes(`{${key}}`) && lengthOf(value) > lengthOf(hostname)
  )
  const fields = [['hostname', hostname] as const, ...longer].map(
    ([key, value]) => `"${key}" (${lengthOf(value)} characters)`
  )
  throw new PoolError(
    'invalid_request',
    `${fields.join(' and ')} would make a volume's name of ${length} characters, filled into claims.volume_name ` +
      `"${template}" and without the blanks around it. Cinder takes 1 to ${NAME_CHARACTERS_MAX}.`
  )
}

const lengthOf = (text: string): number => Array.from(text).length

/** Whether a repeat asks for another disk than its claim's. An existing disk may be of any image. */
export const differsFrom = ({ os, type, source }: Claim, request: PoolName): boolean =>
  source !== 'existing' && !(os === request.os && type === request.type)

/** What an existing volume's status means to a claim for its name: the order is the one in which several are preferred. */
export const USABILITIES = ['available', 'in_use', 'on_its_way', 'unusable'] as const
export type Usability = (typeof USABILITIES)[number]

const ON_ITS_WAY = ['creating', 'downloading', 'extending']

export function usabilityOf(volumeStatus: string): Usability {
  if (volumeStatus === 'available') return 'available'
  if (ON_ITS_WAY.includes(volumeStatus)) return 'on_its_way'
  if (volumeStatus.startsWith('error') || ['deleting', 'awaiting-transfer'].includes(volumeStatus)) return 'unusable'
  return 'in_use' // `in-use` itself, and what comes and goes around it: attaching, detaching, backing-up, retyping, …
}

/** For a volume that somebody else made. It is a system disk only if it boots, which Cinder tells once it is finished. */
export function usabilityOfExisting({ status, bootable }: Pick<Volume, 'status' | 'bootable'>): Usability {
  const usability = usabilityOf(status)
  return bootable || usability === 'on_its_way' ? usability : 'unusable'
}

/** The best of several volumes with one name: an available one, else one in use, else one on its way; the oldest first. */
export function preferredVolume(volumes: readonly Volume[]): Volume | undefined {
  const rank = (volume: Volume): number => USABILITIES.indexOf(usabilityOfExisting(volume))
  const age = (volume: Volume): number => volume.createdAt.getTime()
  return volumes.toSorted((a, b) => rank(a) - rank(b) || age(a) - age(b) || (a.id < b.id ? -1 : 1))[0]
}
