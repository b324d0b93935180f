export const GROUPS = ['configuration', 'database', 'login', 'cloud', 'pools', 'hand-over'] as const
export type Group = (typeof GROUPS)[number]

/** What `spare-pool doctor` looks at, by group, in the order in which it tells. The ids are public: docs/operations.md explains each. */
export const CHECK_IDS = [
  'configuration.file',
  'configuration.login',
  'configuration.secret',
  'configuration.pools',
  'configuration.timeout',
  'database.connection',
  'database.migrations',
  'database.clock',
  'login.keystone',
  'login.roles',
  'login.clock',
  'cloud.release',
  'cloud.flatten',
  'cloud.double-accept',
  'cloud.encryption',
  'cloud.default-type',
  'cloud.transfer-list',
  'pools.snapshots',
  'pools.unused-snapshot',
  'pools.image',
  'pools.quota',
  'pools.budget',
  'pools.volumes',
  'hand-over.reach',
  'hand-over.project'
] as const satisfies readonly `${Group}.${string}`[]
export type CheckId = (typeof CHECK_IDS)[number]

export const groupOf = (id: CheckId): Group => id.slice(0, id.indexOf('.')) as Group

export const VERDICTS = ['ok', 'warning', 'failed', 'skipped'] as const
export type Verdict = (typeof VERDICTS)[number]

/** Which check, and of what where there is one for each pool, project or snapshot. */
export interface Check {
  readonly id: CheckId
  readonly os?: string
  readonly type?: string
  readonly projectId?: string
  readonly snapshotId?: string
}

/** One line of `spare-pool doctor`. */
export interface Finding extends Check {
  readonly verdict: Verdict
  readonly found: string
  /** What to do about it; empty where nothing is to be done. */
  readonly advice: string
}

type Checked = CheckId | Check

const finding = (check: Checked, verdict: Verdict, found: string, advice: string): Finding => ({
  ...(typeof check === 'string' ? { id: check } : check),
  verdict,
  found,
  advice
})

export const ok = (check: Checked, found: string, advice = ''): Finding => finding(check, 'ok', found, advice)
export const warning = (check: Checked, found: string, advice: string): Finding =>
  finding(check, 'warning', found, advice)
export const failed = (check: Checked, found: string, advice: string): Finding =>
  finding(check, 'failed', found, advice)
export const skipped = (check: Checked, found: string): Finding => finding(check, 'skipped', found, '')

export const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

/** A list that is short enough for a line. */
export const few = (names: readonly string[], max = 10): string =>
  names.slice(0, max).join(', ') + (names.length > max ? ` and ${names.length - max} more` : '')
