import type { HeldBackBy, PoolPlan } from './replenishment.ts'

const REASONS: Record<HeldBackBy, string> = {
  paused: 'refilling is paused: POST /pool/resume starts it again',
  backing_off: 'creations failed: the next try comes by itself, or at once after POST /pool/resume',
  no_image: 'no image: no snapshot matches images.snapshot_name for this os and type, or POST /os/sync has not run',
  image_gone:
    'image gone: the snapshot that disks are made from was deleted in Cinder. Run `spare-pool sync` (POST /os/sync), which ' +
    'reads the snapshots again',
  creating_max: 'limits.creating_max is reached: as many volumes are being made as are allowed over all pools',
  creating_max_per_snapshot:
    'limits.creating_max_per_snapshot is reached: Cinder makes one volume of a snapshot at a time',
  budget: 'limits.budget_gib is reached by all that exists, what is being deleted too',
  quota: "the pool project's quota in Cinder leaves no room"
}

/** Until somebody does something about it. */
type Unfillable = 'paused' | 'no_image' | 'image_gone'

const isUnfillable = (heldBackBy: HeldBackBy | undefined): heldBackBy is Unfillable =>
  heldBackBy === 'paused' || heldBackBy === 'no_image' || heldBackBy === 'image_gone'

/** A plan in words. */
export function reasonOf({ heldBackBy, target, held, missing, create }: PoolPlan): string {
  if (isUnfillable(heldBackBy)) return REASONS[heldBackBy]
  if (held > target) return `${held - target} over the target: retired after limits.surplus_seconds, the oldest first`
  if (missing === 0) return 'nothing is missing'
  if (heldBackBy)
    return create.length > 0 ? `${create.length} of ${missing} now: ${REASONS[heldBackBy]}` : REASONS[heldBackBy]
  return `${create.length} missing`
}

export const POOL_CONDITIONS = ['full', 'filling', 'empty', 'paused', 'backing_off', 'no_image', 'image_gone'] as const
export type PoolCondition = (typeof POOL_CONDITIONS)[number]

/** One word for an operator. Full only when the whole target can be handed out now. */
export function conditionOf(plan: PoolPlan): PoolCondition {
  const { heldBackBy } = plan
  if (isUnfillable(heldBackBy)) return heldBackBy
  if (plan.held >= plan.target) return 'full'
  if (heldBackBy === 'backing_off') return heldBackBy
  return plan.held === 0 ? 'empty' : 'filling'
}
