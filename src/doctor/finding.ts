const CHECKS = {
  configuration: ['file', 'login', 'secret', 'pools', 'timeout'],
  database: ['connection', 'migrations', 'clock'],
  login: ['keystone', 'roles', 'clock'],
  cloud: ['release', 'flatten', 'double-accept', 'encryption', 'default-type', 'transfer-list'],
  pools: ['snapshots', 'unused-snapshot', 'image', 'quota', 'budget', 'volumes'],
  'hand-over': ['reach', 'project']
} as const
export type Group = keyof typeof CHECKS
export type CheckId = { [G in Group]: `${G}.${(typeof CHECKS)[G][number]}` }[Group]

export const GROUPS = Object.keys(CHECKS) as Group[]
/** Every check, in the order in which they are printed. The ids are public: docs/operations.md explains each. */
export const CHECK_IDS = GROUPS.flatMap(group => CHECKS[group].map(name => `${group}.${name}` as CheckId))
export const groupOf = (id: CheckId): Group => id.slice(0, id.indexOf('.')) as Group

/** Which check, and for which pool, project or snapshot if it runs once for each. */
export interface Check {
  readonly id: CheckId
  readonly os?: string
  readonly type?: string
  readonly projectId?: string
  readonly snapshotId?: string
}

export interface Outcome {
  readonly result: 'ok' | 'warning' | 'failed' | 'skipped'
  readonly found: string
  /** What to do about it. Empty: nothing. */
  readonly advice: string
}

/** One line of `spare-pool doctor`. */
export interface Finding extends Check, Outcome {}

export const ok = (found: string, advice = ''): Outcome => ({ result: 'ok', found, advice })
export const warning = (found: string, advice: string): Outcome => ({ result: 'warning', found, advice })
export const failed = (found: string, advice: string): Outcome => ({ result: 'failed', found, advice })
export const skipped = (found: string): Outcome => ({ result: 'skipped', found, advice: '' })

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** A list, short enough for a line. */
export const few = (names: readonly string[], max = 10): string =>
  names.slice(0, max).join(', ') + (names.length > max ? ` and ${names.length - max} more` : '')
