/** What there is: in the service, and in Cinder. */

/** In Cinder. */
export interface Volume {
  id: string
  project: string
  name: string
  status: 'creating' | 'available' | 'awaiting-transfer' | 'in-use' | 'error'
  gib: number
  readonly madeAt: number
  readonly bootable: boolean
}

export interface Spare {
  id: string
  readonly pool: string
  readonly version: number
  readonly volume: Volume
  /** As it was made. */
  readonly gib: number
  readonly since: number
  status: 'creating' | 'available' | 'reserved' | 'retiring'
  isFinished: boolean
  isKept: boolean
  claim: Claim | undefined
}

export interface Claim extends Named {
  id: string
  readonly request: Request
  readonly pool: string
  readonly since: number
  status: 'creating' | 'available' | 'gone'
  source: 'existing' | 'pool' | 'created'
  missReason: string | undefined
  volume: Volume | undefined
}

export interface Named {
  readonly project: string
  readonly name: string
}

export interface Request extends Named {
  readonly pool: string
  readonly onEmpty: 'create' | 'fail'
  /** Undefined: as it comes. */
  readonly gib: number | undefined
  readonly key: string | undefined
}

/** Of a claim: what it was given, or why not. */
export type Answer = { readonly status: 200 | 202; readonly claim: Claim } | { readonly code: string }

export interface Pool {
  readonly name: string
  /** Undefined: there is none, only its image. */
  target: number | undefined
  paused: boolean
  failures: number
  retryAt: number
  longestLeadTime: number
  newerInCinder: number | undefined
  /** Since when there is more in stock than its target. */
  surplusSince: number | undefined
  /** Refused claims that count, by their reasons. */
  refused: Record<string, number>
}

export const LIMITS = { creatingMax: 3, creatingMaxPerSnapshot: 2, creatingMaxPerProject: 2, budgetGib: 80 }
/** What one disk takes. */
export const GIB: Record<string, number> = { 'debian12 ssd': 20, 'debian12 sas': 20, 'windows2022 ssd': 40 }
/** As by default. */
export const SURPLUS_SECONDS = 600
export const FIRST_VERSION = 20261101

export const isSame = (a: Named, b: Named): boolean => a.project === b.project && a.name === b.name

export const oldestFirst = (a: Spare, b: Spare): number => a.since - b.since || byId(a, b)

export const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1)

export const newClaim = (request: Request, since: number): Claim => ({
  since,
  project: request.project,
  name: request.name,
  pool: request.pool,
  request,
  id: '',
  status: 'available',
  source: 'pool',
  missReason: undefined,
  volume: undefined
})

/** The claim's disk, as it is in Cinder. */
export function answerOf(claim: Claim): Answer {
  const { status, bootable } = claim.volume ?? { status: 'error', bootable: true }
  const isBlank = claim.source === 'existing' && !bootable
  if (status === 'error' || isBlank) return { code: 'existing_volume_unusable' }
  return { status: claim.status === 'creating' ? 202 : 200, claim }
}
