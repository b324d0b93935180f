import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config/schema.ts'
import type { Levels, Metrics } from '../metrics.ts'
import type { Deps } from '../operations/deps.ts'
import type { CheckResult } from '../operations/ticks/check-state.ts'
import type { ReconcileResult } from '../operations/ticks/reconcile.ts'
import type { ReplenishResult } from '../operations/ticks/replenish.ts'
import type { UnderWay } from './under-way.ts'
import type { CloudState } from './views.ts'

/** Runs a tick now, or joins the run under way. */
export interface TickRuns {
  readonly replenish: () => Promise<ReplenishResult>
  readonly checkState: () => Promise<CheckResult>
  readonly reconcile: () => Promise<ReconcileResult>
}

export interface AppOptions {
  readonly deps: Deps
  readonly config: Config
  readonly version: string
  readonly log: FastifyBaseLogger
  readonly metrics: Metrics
  readonly tickRuns: TickRuns
  readonly underWay: UnderWay
  /** What `/metrics` shows of the database. As `unready`, it is read beside claims, on connections that they do not use. */
  readonly levels: Levels
  /** Why the database lets no request be served now; undefined: it does. */
  readonly unready: () => Promise<string | undefined>
  readonly cloudState: () => CloudState
}
