/** Milliseconds until the answer to each operation: medians from a small cloud with Ceph, one machine. */
const ANSWERS = {
  token_issue: 194,
  token_validate: 12,
  token_revoke: 12,
  identity: 12,
  volume_create: 100,
  volume_show: 12,
  volume_list: 22,
  volume_update: 13,
  volume_metadata: 13,
  volume_extend: 34,
  volume_action: 12,
  volume_delete: 20,
  transfer_create: 15,
  transfer_accept: 92,
  transfer_show: 10,
  transfer_list: 10,
  transfer_delete: 10,
  snapshot_create: 60,
  snapshot_show: 8,
  snapshot_list: 8,
  snapshot_update: 12,
  snapshot_delete: 20,
  type_show: 10,
  quota_show: 36,
  quota_update: 36,
  message_list: 12
}
/** What clients can ask for, as delays and faults name it. */
export type Operation = keyof typeof ANSWERS
export const OPERATIONS: readonly string[] = Object.keys(ANSWERS)

/** Milliseconds for the work behind an answer. `…_per_gib` is for each GiB of data: a create flattens, a copy of it all. */
const WORK = {
  creating: 300,
  creating_per_gib: 2350,
  creating_empty: 250,
  extending: 134,
  deleting: 200,
  deleting_per_gib: 100,
  snapshotting: 900,
  /** Between the two writes of a PUT, where a release makes two. */
  renaming: 4
}

export type Delays = Readonly<Record<Operation | keyof typeof WORK, number>>
export type DelayChange = Partial<Delays> & { readonly preset?: DelayPreset | undefined }
export type DelayPreset = 'measured' | 'none'

const measured: Delays = { ...ANSWERS, ...WORK }
export const DELAY_NAMES: readonly string[] = Object.keys(measured)

const zero = <T extends Record<string, number>>(delays: T): T => {
  const zeros = { ...delays }
  for (const name in zeros) Object.assign(zeros, { [name]: 0 })
  return zeros
}
export const PRESETS: Record<DelayPreset, Delays> = { measured, none: zero(measured) }

/** The delays after a change such as `{ preset: 'none', creating: 3000 }`. */
export const changedDelays = (from: Delays, { preset, ...values }: DelayChange): Delays => ({
  ...(preset ? PRESETS[preset] : from),
  ...values
})
