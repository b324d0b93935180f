import type { FaultKind } from './faults.ts'

/** What a cloud holds. Times are milliseconds since 1970, sizes GiB; `null` is what Cinder itself shows as null. */

export interface Project {
  readonly id: string
  readonly name: string
}

export interface User {
  readonly id: string
  readonly name: string
  readonly password: string
  /** Project id to role names, as assigned; what they imply is added in a token. */
  readonly roles: Map<string, Set<string>>
}

export interface ApplicationCredential {
  readonly id: string
  readonly name: string
  readonly secret: string
  readonly userId: string
  readonly projectId: string
}

export interface Token {
  readonly id: string
  readonly user: User
  readonly project: Project | undefined
  readonly roles: readonly string[]
  readonly methods: readonly string[]
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface VolumeType {
  readonly id: string
  readonly name: string
  isPublic: boolean
  /** Volumes of it are encrypted. */
  encrypted: boolean
  /** Who may use it while it is private. */
  readonly projectIds: Set<string>
}

/** Of volumes without a type. It is in no list of types. */
export const UNTYPED: VolumeType = { id: '', name: '', isPublic: true, encrypted: false, projectIds: new Set() }

export interface Attachment {
  readonly id: string
  readonly serverId: string | null
  readonly hostName: string | null
  readonly device: string
  readonly attachedAt: number
}

export interface Volume {
  readonly id: string
  readonly projectId: string
  readonly userId: string
  readonly name: string | null
  readonly description: string | null
  readonly status: string
  readonly sizeGib: number
  /** Set while an extend is on its way; the quota counts it already. */
  readonly extendingToGib: number | null
  /** How much of it is written: what a flatten copies. */
  readonly dataGib: number
  readonly type: VolumeType
  readonly snapshotId: string | null
  readonly sourceVolumeId: string | null
  readonly availabilityZone: string
  readonly bootable: boolean
  readonly metadata: Readonly<Record<string, string>>
  readonly attachments: readonly Attachment[]
  readonly createdAt: number
  readonly updatedAt: number | null
}

export interface Snapshot {
  readonly id: string
  projectId: string
  userId: string
  name: string | null
  description: string | null
  status: string
  readonly volumeId: string
  readonly type: VolumeType
  readonly sizeGib: number
  readonly dataGib: number
  metadata: Record<string, string>
  readonly createdAt: number
  updatedAt: number | null
  /** Creates from a snapshot run one at a time: when the last one that waits will be done. */
  busyUntil: number
}

export interface Transfer {
  readonly id: string
  readonly volumeId: string
  readonly name: string | null
  readonly authKey: string
  readonly sourceProjectId: string
  readonly noSnapshots: boolean
  readonly createdAt: number
}

/** Why an asynchronous step failed, for `GET /messages`. */
export interface Message {
  readonly id: string
  readonly projectId: string
  readonly resourceId: string
  readonly requestId: string
  readonly eventId: string
  readonly text: string
  readonly createdAt: number
}

/** On whose behalf something happens, and under which request. */
export interface Caller {
  readonly userId: string
  readonly projectId: string
  readonly roles: readonly string[]
  readonly requestId: string
  readonly globalRequestId?: string | undefined
  /** A fault that the cloud's own work meets, drawn for this call. */
  readonly strike?: FaultKind | undefined
}

export const isAdmin = (caller: Caller): boolean => caller.roles.includes('admin')
