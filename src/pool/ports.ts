import type { Release } from './release.ts'

/** What operations need from outside. `openstack` implements the cloud; tests choose the clock and the ids. */

/** The one place that reads the time or waits. */
export interface Clock {
  /** For what is recorded, or compared with records. The clock may be set, forward or back, at any time. */
  now(): Date
  /** For measuring intervals: it only goes forward, and steadily. */
  monotonicMs(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** A signal that is aborted with a TimeoutError after `ms` milliseconds. */
  timeout(ms: number): AbortSignal
  /** A cheap `timeout`: nothing is left of it once it is taken back. */
  limit(ms: number, onLimit: (reason: Error) => void): TakeBack
  /** Acts again and again, with `ms` milliseconds between. */
  every(ms: number, act: () => Promise<void>): TakeBack
}

/** Nothing is begun after this call. */
export type TakeBack = () => void

/** Claims go before ticks. */
export type Priority = 'claim' | 'background'

/** Calls of ticks to one service of the cloud at the same time. More wait. */
export const BACKGROUND_CALLS_MAX = 32

/** The request that a call to the cloud is made for, and until when. */
export interface Call {
  /** `req-<uuid>`, sent to Keystone and Cinder as `X-Openstack-Request-Id`. */
  readonly requestId: string
  readonly signal?: AbortSignal
  /** Absent: `claim`, so that nothing holds up work for all who wait, such as a login. */
  readonly priority?: Priority
}

// ---- The cloud ------------------------------------------------------------------------------------------------------

/** The service's way into the cloud: one user, a token for each project that it works in. */
export interface Cloud {
  /** The service's own project, which holds the spares. Keystone refusing its user there is a CloudError `login_refused`. */
  poolProject(call: Call): Promise<Project>
  /** The service's user in another project. Keystone refusing it there is a CloudError `project_refused`. */
  project(projectId: string, call: Call): Promise<Project>
  /** A caller's own token, used as it is, in the project that it is scoped to. */
  withToken(identity: Identity): Project
  /** Who a token belongs to; undefined when Keystone does not know it, or it is not scoped to a project. */
  identify(token: string, call: Call): Promise<Identity | undefined>
  /** Which Cinder this is. Asked once, and again if it refuses the microversion that it spoke before. */
  release(call: Call): Promise<Release>
}

/** What only an operator asks of the cloud. */
export interface CloudFacts {
  /** The microversion that Cinder is asked for, such as `3.60`; `2.0` if it offers only /v2. */
  microversion(call: Call): Promise<string>
  /** The projects in which the service's user has a role. */
  projects(call: Call): Promise<readonly { id: string; name: string }[]>
  /** Keystone's clock, to a second. */
  keystoneTime(call: Call): Promise<Date>
}

/** What Keystone says of a token. */
export interface Identity {
  readonly token: string
  readonly userId: string
  readonly projectId: string
  /** Keystone's role names. */
  readonly roles: readonly string[]
  readonly expiresAt: Date
}

/**
 * One project of the cloud, seen with one token. It reads and changes what is in that project and nothing else, even with an
 * admin's token, to which Cinder opens every project.
 */
export interface Project {
  readonly id: string
  /** The token's roles there, by Keystone's names. */
  readonly roles: readonly string[]
  /** Cinder keeps the token to this project. If not, we look whose volume it is before each change. */
  readonly isConfined: boolean
  readonly volumes: Volumes
  readonly transfers: Transfers
  readonly snapshots: Snapshots
}

/** A volume as Cinder shows it. */
export interface Volume {
  readonly id: string
  readonly name: string
  /** Cinder's status, one of many: `creating`, `available`, `awaiting-transfer`, `in-use`, `error`, … */
  readonly status: string
  readonly sizeGib: number
  readonly volumeType: string
  readonly snapshotId: string | undefined
  readonly projectId: string
  readonly metadata: Readonly<Record<string, string>>
  readonly attached: boolean
  /** Known once it is finished. */
  readonly bootable: boolean
  readonly encrypted: boolean
  readonly createdAt: Date
}

/** All conditions must hold; none: every volume of the project. */
export interface VolumeFilter {
  /** Exact, with case: Cinder's own filter may ignore case, so the client compares again. */
  readonly name?: string
  readonly status?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly createdSince?: Date
}

export interface VolumeWish {
  readonly name: string
  readonly snapshotId: string
  readonly sizeGib: number
  /** That of the snapshot's source volume. Empty: the source has none, and none is asked for. */
  readonly volumeType: string
  readonly metadata?: Readonly<Record<string, string>>
}

export interface Volumes {
  /** Undefined: there is no such volume in this project. */
  find(volumeId: string, call: Call): Promise<Volume | undefined>
  /** Every volume that matches, a page of at most 1,000 at a time, in order of their ids. */
  pages(filter: VolumeFilter, call: Call): AsyncIterable<readonly Volume[]>
  /** The client never repeats it. After an unclear failure look for the metadata first. */
  create(wish: VolumeWish, call: Call): Promise<Volume>
  /** Sets the name and replaces all metadata. Allowed while a transfer is waiting. */
  update(volumeId: string, change: { name: string; metadata?: Record<string, string> }, call: Call): Promise<void>
  extend(volumeId: string, sizeGib: number, call: Call): Promise<void>
  /** Success if it is gone already. It is gone only when `find` says so. */
  delete(volumeId: string, call: Call): Promise<void>
  /** Cinder's own reason for a volume in `error`, if it tells one. */
  faultOf(volumeId: string, call: Call): Promise<string | undefined>
  quota(call: Call): Promise<Quota>
  /** The names of the volume types that this token may use. */
  types(call: Call): Promise<readonly string[]>
}

/**
 * How much more of each resource the project may have: `volumes`, `gigabytes`, `volumes_<type>`, `gigabytes_<type>`; and the most
 * for one volume, `per_volume_gigabytes`. Negative if it has more than its limit. A missing name has no limit.
 */
export type Quota = ReadonlyMap<string, number>

/** A transfer without its key, as listed. */
export interface Transfer {
  readonly id: string
  readonly volumeId: string
  readonly name: string
}

/** Cinder tells the key once, when it makes the transfer. */
export interface ArmedTransfer extends Transfer {
  readonly authKey: string
}

export interface Transfers {
  /** Without snapshots. The client never repeats it: a second one is refused while the first one waits. */
  create(volumeId: string, name: string, call: Call): Promise<ArmedTransfer>
  /** The volume goes to the project and user of this token. The client does not repeat it. */
  accept(transferId: string, authKey: string, call: Call): Promise<void>
  /** False: it was gone already, which is success too. */
  delete(transferId: string, call: Call): Promise<boolean>
  /** Undefined: it does not wait in this project. One request, whatever the release and the size of the stock. */
  find(transferId: string, call: Call): Promise<Transfer | undefined>
  /** Of a volume: one, unless somebody has reset its status meanwhile. Up to Rocky this reads the whole list. */
  ofVolume(volumeId: string, call: Call): Promise<readonly Transfer[]>
  /** All of this project, a page of at most 1,000 at a time, in order of their volumes' ids. */
  pages(call: Call): AsyncIterable<readonly Transfer[]>
}

/** A snapshot as Cinder shows it. Its volume type is its source volume's. */
export interface Snapshot {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly sizeGib: number
  /** The source volume. */
  readonly volumeId: string
  readonly createdAt: Date
}

export interface Snapshots {
  /** All snapshots of the project, whatever their status, the oldest first. */
  list(call: Call): Promise<readonly Snapshot[]>
  /** Undefined: there is no such snapshot in this project. */
  find(snapshotId: string, call: Call): Promise<Snapshot | undefined>
}

/** Encrypts the keys of transfers for storage. */
export interface Keyring {
  seal(text: string): string
  /** Undefined: it was sealed with another secret. */
  open(sealed: string): string | undefined
}

// ---- The operator ---------------------------------------------------------------------------------------------------

/** Structured log lines: fields first, then a constant message in the past tense. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
