/** What clients can ask for, as delays and faults name it. */
export const OPERATIONS = [
  'token_issue',
  'token_validate',
  'token_revoke',
  'identity',
  'volume_create',
  'volume_show',
  'volume_list',
  'volume_update',
  'volume_metadata',
  'volume_extend',
  'volume_action',
  'volume_delete',
  'transfer_create',
  'transfer_accept',
  'transfer_show',
  'transfer_list',
  'transfer_delete',
  'snapshot_create',
  'snapshot_show',
  'snapshot_list',
  'snapshot_update',
  'snapshot_delete',
  'type_show',
  'quota_show',
  'quota_update',
  'message_list'
] as const
export type Operation = (typeof OPERATIONS)[number]
export const isOperation = (name: string): name is Operation => OPERATIONS.some(operation => operation === name)

/** The work behind an answer, in milliseconds: `creating` and `deleting` have a part for each GiB of data. */
const WORK = [
  'creating',
  'creating_per_gib',
  'creating_empty',
  'extending',
  'deleting',
  'deleting_per_gib',
  'snapshotting'
] as const

/** Milliseconds until the answer to each operation, and for each piece of work. */
export type Delays = Record<Operation | (typeof WORK)[number], number>
export type DelayPreset = 'measured' | 'none'

const fill = (value: number): Delays =>
  Object.fromEntries([...OPERATIONS, ...WORK].map(name => [name, value])) as Delays

export const PRESETS: Record<DelayPreset, Delays> = {
  none: fill(0),
  /** Medians from a small cloud of one machine with Ceph. */
  measured: {
    ...fill(12),
    token_issue: 194,
    volume_create: 100,
    volume_list: 22,
    volume_extend: 34,
    volume_delete: 20,
    transfer_create: 15,
    transfer_accept: 92,
    transfer_delete: 10,
    quota_show: 36,
    creating: 300,
    creating_per_gib: 2350,
    creating_empty: 250,
    extending: 134,
    deleting: 200,
    deleting_per_gib: 100,
    snapshotting: 900
  }
}

/** The delays after a change such as `{ preset: 'none', creating: 3000 }`; a wrong name or value is named. */
export function changedDelays(from: Delays, change: Readonly<Record<string, unknown>>): Delays {
  const { preset, ...values } = change
  if (preset !== undefined && preset !== 'measured' && preset !== 'none') {
    throw new RangeError('preset: must be "measured" or "none"')
  }
  for (const [name, value] of Object.entries(values)) {
    if (!(name in from)) throw new RangeError(`${name}: no such delay; there are ${Object.keys(from).join(', ')}`)
    if (typeof value !== 'number' || !(value >= 0)) throw new RangeError(`${name}: must be milliseconds, 0 or more`)
  }
  return { ...(preset ? PRESETS[preset] : from), ...values }
}
