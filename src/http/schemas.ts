import { type Static, type TSchema, Type } from 'typebox'
import { oneOf } from '../config/one-of.ts'
import { CLAIM_SOURCES, CLAIM_STATUSES, MISS_REASONS } from '../pool/claim.ts'
import { POOL_CONDITIONS } from '../pool/condition.ts'
import { POOL_ERROR_CODES } from '../pool/errors.ts'
import { HELD_BACK_BY } from '../pool/replenishment.ts'
import { SPARE_STATUSES } from '../pool/spare.ts'
import { PURGES } from '../pool/stores.ts'

const strict = { additionalProperties: false } as const
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const Text = Type.String()
const Count = Type.Integer({ minimum: 0 })
const Left = Type.Integer({
  minimum: 0,
  description: 'Volumes, transfers or claims that failed by themselves: the next run tries again'
})
const Time = Type.String({ format: 'date-time' })
const Gib = Type.Integer({ minimum: 1, description: 'GiB' })
/**
 * What becomes a name in Cinder, whose MySQL keeps three bytes a character: nothing beyond U+FFFF, and no half of such a
 * character. No control characters either; PostgreSQL takes no NUL.
 */
const WORD = '^[\\u0020-\\u007e\\u00a0-\\ud7ff\\ue000-\\uffff]+$'
const VISIBLE = '^[\\x21-\\x7e]+$'
const WINDOW = '^[1-9][0-9]{0,5}[smhd]$'
/** The same in words, for whoever sent something else. */
export const PATTERNS: Readonly<Record<string, string>> = {
  [WORD]: "must have no control characters, and none beyond U+FFFF: Cinder's database may not keep them",
  [VISIBLE]: 'must have visible ASCII characters only, and no blanks',
  [WINDOW]: 'must be a number and its unit, s, m, h or d: 24h'
}
const Word = Type.String({ minLength: 1, maxLength: 255, pattern: WORD })

export const ClaimBody = Type.Object(
  {
    hostname: Word,
    category: Type.Optional({ ...Word, default: 'sys' }),
    os: Word,
    type: { ...Word, description: 'The disk class, without regard to case' },
    size: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 65_536,
        description: 'GiB; larger than a spare extends it, smaller does not'
      })
    ),
    project_id: Type.Optional(Word),
    on_empty: Type.Optional(oneOf(['create', 'fail'])),
    wait_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 60, default: 0 }))
  },
  { ...strict, $id: 'ClaimRequest' }
)
export type ClaimBody = Static<typeof ClaimBody>

const OURS = 'As our records know the disk; null: a volume that was there, and is none of ours'
const disk = {
  volume_type: orNull(Text),
  size: orNull(Gib),
  snapshot_id: orNull(Text),
  image_version: orNull(Text),
  miss_reason: orNull(oneOf(MISS_REASONS)),
  spare_age_seconds: orNull(Count)
}

export const ClaimView = Type.Object(
  {
    claim_id: Type.String({ format: 'uuid' }),
    volume_id: Text,
    name: Text,
    project_id: Text,
    source: oneOf(CLAIM_SOURCES),
    status: Type.String({ description: "The volume's status in Cinder" }),
    os: orNull({ ...Text, description: OURS }),
    type: orNull({ ...Text, description: OURS }),
    ...disk
  },
  { ...strict, $id: 'Claim' }
)
export type ClaimView = Static<typeof ClaimView>

export const ClaimRecord = Type.Object(
  {
    claim_id: Type.String({ format: 'uuid' }),
    idempotency_key: orNull(Text),
    volume_id: orNull(Text),
    name: Text,
    hostname: Text,
    category: Text,
    project_id: Text,
    source: orNull(oneOf(CLAIM_SOURCES)),
    status: oneOf(CLAIM_STATUSES),
    os: { ...Text, description: 'As it was asked for' },
    type: { ...Text, description: 'As it was asked for' },
    ...disk,
    created_at: Time,
    updated_at: Time
  },
  { ...strict, $id: 'ClaimRecord' }
)
export type ClaimRecord = Static<typeof ClaimRecord>

export const SpareView = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    volume_id: orNull(Text),
    name: Text,
    os: Text,
    type: Text,
    volume_type: Text,
    snapshot_id: Text,
    image_version: Text,
    size: Gib,
    status: oneOf(SPARE_STATUSES),
    allocated: Type.Boolean(),
    armed: Type.Boolean({ description: 'A transfer waits for its claim' }),
    kept: Type.Boolean({ description: 'Kept by a sync although its image is no longer current' }),
    claim_id: orNull(Type.String({ format: 'uuid' })),
    created_at: Time,
    updated_at: Time,
    available_at: orNull(Time)
  },
  { ...strict, $id: 'Spare' }
)
export type SpareView = Static<typeof SpareView>

export const ImageView = Type.Object(
  {
    os: Text,
    type: Text,
    snapshot_id: Text,
    replica_snapshot_ids: Type.Array(Text),
    version: Text,
    volume_type: Text,
    size: Gib,
    created_at: Time,
    updated_at: Time
  },
  { ...strict, $id: 'Image' }
)
export type ImageView = Static<typeof ImageView>

export const SyncBody = Type.Object(
  {
    purge: Type.Optional(oneOf(PURGES)),
    dry_run: Type.Optional(Type.Boolean({ description: 'Only show what would happen; default false' })),
    allow_empty: Type.Optional(Type.Boolean({ description: 'Go on although no snapshot matches; default false' }))
  },
  { ...strict, $id: 'SyncRequest' }
)

export const SyncView = Type.Object(
  {
    images: Type.Array(
      Type.Object(
        {
          os: Text,
          type: Text,
          snapshot_id: Text,
          version: Text,
          volume_type: Text,
          size: Gib,
          change: oneOf(['added', 'changed', 'unchanged', 'removed'])
        },
        strict
      )
    ),
    ignored: Type.Array(Type.Object({ snapshot_id: Text, name: Text, reason: Text }, strict)),
    retired: Count,
    dry_run: Type.Boolean()
  },
  { ...strict, $id: 'SyncResult' }
)
export type SyncView = Static<typeof SyncView>

const Seconds = (...names: string[]) =>
  orNull(Type.Object(Object.fromEntries(names.map(name => [name, Type.Number()])), strict))

export const StatsView = Type.Object(
  {
    pools: Type.Array(
      Type.Object(
        {
          os: Text,
          type: Text,
          condition: oneOf(POOL_CONDITIONS),
          target: Count,
          spares: Type.Object(Object.fromEntries(SPARE_STATUSES.map(status => [status, Count])), strict),
          stale_spares: Count,
          oldest_spare_seconds: orNull(Count),
          paused: Type.Boolean(),
          image: orNull(Type.Object({ snapshot_id: Text, version: Text, newer_in_cinder: orNull(Text) }, strict)),
          claims: Type.Object(
            {
              hits: Count,
              misses: Type.Record(Type.String(), Count),
              existing: Count,
              hit_rate: orNull(Type.Number({ minimum: 0, maximum: 1 }))
            },
            strict
          ),
          lead_time_seconds: Seconds('p50', 'p95'),
          claim_seconds: Seconds('p50', 'p99'),
          last_error: orNull(Text)
        },
        strict
      )
    ),
    ticks: Type.Record(
      Type.String(),
      Type.Object(
        {
          last_run_at: orNull(Time),
          last_ok_at: orNull(Time),
          seconds: orNull(Type.Number()),
          last_error: orNull(Text)
        },
        strict
      )
    ),
    cloud: Type.Object({ reachable: Type.Boolean(), last_error: orNull(Text) }, strict),
    orphans: Count
  },
  { ...strict, $id: 'Stats' }
)
export type StatsView = Static<typeof StatsView>

export const PlanView = Type.Object(
  {
    os: Text,
    type: Text,
    target: Count,
    held: Count,
    in_flight: Count,
    missing: Count,
    create: Count,
    held_back_by: orNull(oneOf(HELD_BACK_BY)),
    reason: Text
  },
  { ...strict, $id: 'Plan' }
)
export type PlanView = Static<typeof PlanView>

export const Problem = Type.Object(
  {
    type: Text,
    title: Text,
    status: Type.Integer(),
    detail: Text,
    code: oneOf(POOL_ERROR_CODES),
    request_id: Text
  },
  { $id: 'Problem', description: 'RFC 9457' }
)
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

export const PoolFilter = Type.Object({ os: Type.Optional(Word), type: Type.Optional(Word) }, strict)
export const Page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  marker: Type.Optional(Type.String({ format: 'uuid', description: 'next_marker of the page before' }))
}
export const next_marker = orNull(Text)
export { Count, Left, strict, Text, VISIBLE, WINDOW, Word }
