import type { Config } from './config/schema.ts'
import type { Settings } from './operations/deps.ts'

/** What operations need to know of a configuration. */
export const settingsOf = (config: Config): Settings => ({
  deployment: config.deployment,
  targets: config.pools.map(({ size, max_age_hours, ...pool }) => ({
    ...pool,
    sizeGib: size,
    maxAgeHours: max_age_hours
  })),
  limits: {
    creatingMax: config.limits.creating_max,
    creatingMaxPerSnapshot: config.limits.creating_max_per_snapshot,
    budgetGib: config.limits.budget_gib
  },
  surplusSeconds: config.limits.surplus_seconds,
  creatingMaxPerProject: config.limits.creating_max_per_project,
  snapshotName: new RegExp(config.images.snapshot_name),
  imagesSource: config.images.source,
  purgeOnSync: config.images.purge_on_sync,
  systemCategories: config.claims.system_categories,
  checkExisting: config.claims.check_existing,
  handover: config.claims.handover,
  prearm: config.claims.prearm,
  keepDays: config.claims.keep_days,
  cloudTimeoutSeconds: config.openstack.timeout_seconds
})
