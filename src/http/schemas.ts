import { type Static, type TProperties, type TSchema, Type } from 'typebox'
import { oneOf } from '../config/one-of.ts'
import { CLAIM_SOURCES, CLAIM_STATUSES, MISS_REASONS } from '../pool/claim.ts'
import { POOL_CONDITIONS } from '../pool/condition.ts'
import { POOL_ERROR_CODES } from '../pool/errors.ts'
import { HELD_BACK_BY } from '../pool/replenishment.ts'
import { SPARE_STATUSES } from '../pool/spare.ts'
import { PURGES } from '../pool/stores.ts'

/** These fields and no others. */
export const record = <T extends TProperties>(fields: T) => Type.Object(fields, { additionalProperties: false })
/** The same, with a name that other schemas refer to. */
const named = <T extends TProperties>($id: string, fields: T) =>
  Type.Object(fields, { additionalProperties: false, $id })
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const Text = Type.String()
export const Count = Type.Integer({ minimum: 0 })
const Uuid = Type.String({ format: 'uuid' })
const Time = Type.String({ format: 'date-time' })
const Gib = Type.Integer({ minimum: 1, description: 'GiB' })
/**
 * What may become a name in Cinder. Cinder on MySQL keeps three bytes a character: nothing beyond U+FFFF, and no half of
 * such a character. No control characters: PostgreSQL takes no NUL.
 */
const WORD = '^[\\u0020-\\u007e\\u00a0-\\ud7ff\\ue000-\\uffff]+$'
export const VISIBLE = '^[\\x21-\\x7e]+$'
export const WINDOW = '^[1-9][0-9]{0,5}[smhd]$'
/** What each pattern asks for, in words. */
export const PATTERNS: Readonly<Record<string, string>> = {
  [WORD]: "must have no control characters, and none beyond U+FFFF: Cinder's database may not keep them",
  [VISIBLE]: 'must have visible ASCII characters only, and no blanks',
  [WINDOW]: 'must be a number and its unit, s, m, h or d: 24h'
}
export const Word = Type.String({ minLength: 1, maxLength: 255, pattern: WORD })

export const ClaimBody = named('ClaimRequest', {
  hostname: Word,
  category: Type.Optional({ ...Word, default: 'sys' }),
  os: Word,
  type: { ...Word, description: 'The disk class, compared without case' },
  size: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 65_536, description: 'GiB; larger than a spare extends it, smaller does not' })
  ),
  project_id: Type.Optional(Word),
  on_empty: Type.Optional(oneOf(['create', 'fail'])),
  wait_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 60, default: 0 }))
})
export type ClaimBody = Static<typeof ClaimBody>

const pool = { os: Text, type: Text }
const times = { created_at: Time, updated_at: Time }
const disk = {
  volume_type: orNull(Text),
  size: orNull(Gib),
  snapshot_id: orNull(Text),
  image_version: orNull(Text),
  miss_reason: orNull(oneOf(MISS_REASONS)),
  spare_age_seconds: orNull(Count)
}
const KnownAs = orNull({ ...Text, description: 'From our records; null: an existing volume that we did not make' })

export const ClaimView = named('Claim', {
  claim_id: Uuid,
  volume_id: Text,
  name: Text,
  project_id: Text,
  source: oneOf(CLAIM_SOURCES),
  status: Type.String({ description: "The volume's status in Cinder" }),
  os: KnownAs,
  type: KnownAs,
  ...disk
})
export type ClaimView = Static<typeof ClaimView>

const Wanted = { ...Text, description: 'As the caller asked for it' }

export const ClaimRecord = named('ClaimRecord', {
  claim_id: Uuid,
  idempotency_key: orNull(Text),
  volume_id: orNull(Text),
  name: Text,
  hostname: Text,
  category: Text,
  project_id: Text,
  source: orNull(oneOf(CLAIM_SOURCES)),
  status: oneOf(CLAIM_STATUSES),
  os: Wanted,
  type: Wanted,
  ...disk,
  ...times
})
export type ClaimRecord = Static<typeof ClaimRecord>

export const SpareView = named('Spare', {
  id: Uuid,
  volume_id: orNull(Text),
  name: Text,
  ...pool,
  volume_type: Text,
  snapshot_id: Text,
  image_version: Text,
  size: Gib,
  status: oneOf(SPARE_STATUSES),
  allocated: Type.Boolean(),
  armed: Type.Boolean({ description: 'Its transfer is ready: a claim only has to accept it' }),
  kept: Type.Boolean({ description: 'A sync kept it although its image is no longer current' }),
  claim_id: orNull(Uuid),
  ...times,
  available_at: orNull(Time)
})
export type SpareView = Static<typeof SpareView>

export const ImageView = named('Image', {
  ...pool,
  snapshot_id: Text,
  replica_snapshot_ids: Type.Array(Text),
  version: Text,
  volume_type: Text,
  size: Gib,
  ...times
})
export type ImageView = Static<typeof ImageView>

export const SyncBody = named('SyncRequest', {
  purge: Type.Optional(oneOf(PURGES)),
  dry_run: Type.Optional(Type.Boolean({ description: 'Only show what would happen; default false' })),
  allow_empty: Type.Optional(Type.Boolean({ description: 'Go on although no snapshot matches; default false' }))
})
export type SyncBody = Static<typeof SyncBody>

export const ImageChange = record({
  ...pool,
  snapshot_id: Text,
  version: Text,
  volume_type: Text,
  size: Gib,
  change: oneOf(['added', 'changed', 'unchanged', 'removed'])
})

export const SyncView = named('SyncResult', {
  images: Type.Array(ImageChange),
  ignored: Type.Array(record({ snapshot_id: Text, name: Text, reason: Text })),
  retired: Count,
  dry_run: Type.Boolean()
})
export type SyncView = Static<typeof SyncView>

const Seconds = (...names: string[]) => orNull(record(Object.fromEntries(names.map(name => [name, Type.Number()]))))

export const PoolStatsView = record({
  ...pool,
  condition: oneOf(POOL_CONDITIONS),
  target: Count,
  spares: record(Object.fromEntries(SPARE_STATUSES.map(status => [status, Count]))),
  stale_spares: Count,
  oldest_spare_seconds: orNull(Count),
  paused: Type.Boolean(),
  image: orNull(record({ snapshot_id: Text, version: Text, newer_in_cinder: orNull(Text) })),
  claims: record({
    hits: Count,
    misses: Type.Record(Type.String(), Count),
    existing: Count,
    hit_rate: orNull(Type.Number({ minimum: 0, maximum: 1 }))
  }),
  lead_time_seconds: Seconds('p50', 'p95'),
  claim_seconds: Seconds('p50', 'p99'),
  last_error: orNull(Text)
})

export const TickView = record({
  last_run_at: orNull(Time),
  last_ok_at: orNull(Time),
  seconds: orNull(Type.Number()),
  last_error: orNull(Text)
})

export const StatsView = named('Stats', {
  pools: Type.Array(PoolStatsView),
  ticks: Type.Record(Type.String(), TickView),
  cloud: record({ reachable: Type.Boolean(), last_error: orNull(Text) }),
  orphans: Count
})
export type StatsView = Static<typeof StatsView>

export const PlanView = named('Plan', {
  ...pool,
  target: Count,
  held: Count,
  in_flight: Count,
  missing: Count,
  create: Count,
  held_back_by: orNull(oneOf(HELD_BACK_BY)),
  reason: Text
})
export type PlanView = Static<typeof PlanView>

const problem = {
  type: Text,
  title: Text,
  status: Type.Integer(),
  detail: Text,
  code: oneOf(POOL_ERROR_CODES),
  request_id: Text
}
export const Problem = Type.Object(problem, { $id: 'Problem', description: 'RFC 9457' })
export type Problem = Static<typeof Problem>

export const SHARED_SCHEMAS = [
  ClaimBody,
  ClaimView,
  ClaimRecord,
  SpareView,
  ImageView,
  SyncBody,
  SyncView,
  StatsView,
  PlanView,
  Problem
]

export const poolQuery = { os: Type.Optional(Word), type: Type.Optional(Word) }
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  marker: Type.Optional(Type.String({ format: 'uuid', description: 'next_marker of the page before' }))
}
export const aPage = (name: string, id: string) =>
  record({ [name]: Type.Array(Type.Ref(id)), next_marker: orNull(Text) })
