import type { Static, TObject, TProperties } from 'typebox'
import { TICK_NAMES } from '../operations/deps.ts'
import type { SyncResult } from '../operations/images/sync-images.ts'
import type { PoolStats, Stats } from '../operations/pools/show-stats.ts'
import type { Claim, ClaimResult } from '../pool/claim.ts'
import { reasonOf } from '../pool/condition.ts'
import type { Image } from '../pool/image.ts'
import type { PoolPlan } from '../pool/replenishment.ts'
import type { Spare } from '../pool/spare.ts'
import type { TickRecord } from '../pool/stores.ts'
import * as schemas from './schemas.ts'

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name

/** A value before it is shown. */
type Unshown<Value> = Value extends null
  ? undefined
  : Value extends string
    ? Value | Date
    : Value extends (infer Item)[]
      ? readonly Item[]
      : Value

/** What a view shows, by our names: all of its fields, so that drift does not compile. */
type FieldsOf<View> = { readonly [Name in keyof View & string as CamelCase<Name>]: Unshown<View[Name]> }

/**
 * Shows things by the schema of their view: `volume_id` is our `volumeId`, null our undefined, and a time a text. A field
 * that the schema does not name is not shown.
 */
function viewOf<Thing, Properties extends TProperties>(
  schema: TObject<Properties>,
  fieldsOf: (thing: Thing) => FieldsOf<Static<TObject<Properties>>>
): (thing: Thing) => Static<TObject<Properties>> {
  const names = Object.keys(schema.properties).map(
    name => [name, name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())] as const
  )
  return thing => {
    const fields: Readonly<Record<string, unknown>> = fieldsOf(thing)
    const view = names.map(([name, ours]) => {
      const value = fields[ours] ?? null
      return [name, value instanceof Date ? value.toISOString() : value]
    })
    return Object.fromEntries(view)
  }
}

const diskFields = ({ disk }: Claim) => ({
  volumeType: disk?.volumeType,
  size: disk?.sizeGib,
  snapshotId: disk?.snapshotId,
  imageVersion: disk?.imageVersion,
  spareAgeSeconds: disk?.spareAgeSeconds
})

export const toClaimView = viewOf(schemas.ClaimView, ({ claim, volumeStatus }: ClaimResult) => {
  const { disk, source } = claim
  if (!disk || !source) throw new Error(`claim ${claim.id} was answered without a disk`)
  const { volumeId, os, type } = disk
  return { ...claim, ...diskFields(claim), claimId: claim.id, volumeId, source, status: volumeStatus, os, type }
})

export const toClaimRecord = viewOf(schemas.ClaimRecord, (claim: Claim) => ({
  ...claim,
  ...diskFields(claim),
  claimId: claim.id,
  volumeId: claim.disk?.volumeId
}))

export const toSpareView = viewOf(schemas.SpareView, (spare: Spare) => ({
  ...spare,
  size: spare.sizeGib,
  allocated: spare.status === 'reserved',
  armed: spare.transfer !== undefined
}))

export const toImageView = viewOf(schemas.ImageView, (image: Image) => ({ ...image, size: image.sizeGib }))

const toChange = viewOf(schemas.ImageChange, ({ image, change }: SyncResult['images'][number]) => ({
  ...image,
  size: image.sizeGib,
  change
}))

export const toSyncView = viewOf(schemas.SyncView, (result: SyncResult) => ({
  ...result,
  images: result.images.map(toChange),
  ignored: result.ignored.map(({ snapshotId, name, reason }) => ({ snapshot_id: snapshotId, name, reason }))
}))

export const toPlanView = viewOf(schemas.PlanView, (plan: PoolPlan) => ({
  ...plan,
  create: plan.create.length,
  reason: reasonOf(plan)
}))

export interface CloudState {
  readonly reachable: boolean
  readonly lastError: string | undefined
}

const toTickView = viewOf(schemas.TickView, (tick: TickRecord) => tick)
const neverRun = { lastRunAt: undefined, lastOkAt: undefined, seconds: undefined, lastError: undefined }

const toPoolView = viewOf(schemas.PoolStatsView, (pool: PoolStats) => {
  const { image, newerInCinder, leadTime, claimSeconds, hits, misses, existing } = pool
  return {
    ...pool,
    image: image && { snapshot_id: image.snapshotId, version: image.version, newer_in_cinder: newerInCinder ?? null },
    claims: { hits, misses: { ...misses }, existing, hit_rate: hitRate(pool) },
    leadTimeSeconds: leadTime && { p50: rounded(leadTime.p50), p95: rounded(leadTime.p95) },
    claimSeconds: claimSeconds && { p50: rounded(claimSeconds.p50), p99: rounded(claimSeconds.p99) }
  }
})

const rounded = (seconds: number): number => Math.round(seconds * 1000) / 1000

/** Null before the first claim that a spare could have served. */
function hitRate({ hits, misses }: PoolStats): number | null {
  const asked = Object.values(misses).reduce((sum, count) => sum + count, hits)
  return asked === 0 ? null : rounded(hits / asked)
}

export const toStatsView = ({ pools, ticks, orphans }: Stats, cloud: CloudState): schemas.StatsView => ({
  pools: pools.map(toPoolView),
  ticks: Object.fromEntries(
    TICK_NAMES.map(name => [name, toTickView(ticks.find(tick => tick.name === name) ?? { name, ...neverRun })])
  ),
  cloud: { reachable: cloud.reachable, last_error: cloud.lastError ?? null },
  orphans
})
