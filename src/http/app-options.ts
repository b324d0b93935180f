import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config/schema.ts'
import type { Levels, Metrics } from '../metrics.ts'
import type { Deps } from '../operations/deps.ts'
import type { CheckResult } from '../operations/ticks/check-state.ts'
import type { ReconcileResult } from '../operations/ticks/reconcile.ts'
import type { ReplenishResult } from '../operations/ticks/replenish.ts'
import type { Ticker } from '../ticker.ts'
import type { UnderWay } from './under-way.ts'
import type { CloudState } from './views.ts'

export interface Tickers {
  readonly replenish: Ticker<ReplenishResult>
  readonly check_state: Ticker<CheckResult>
  readonly reconcile: Ticker<ReconcileResult>
}

export interface AppOptions {
  readonly deps: Deps
  readonly config: Config
  readonly log: FastifyBaseLogger
  readonly metrics: Metrics
  readonly tickers: Tickers
  readonly underWay: UnderWay
  /** What `/metrics` shows of the database. Like `unready`, it is read on connections that claims do not use. */
  readonly levels: () => Promise<Levels>
  /** Why the database cannot serve requests now; undefined: it can. */
  readonly unready: () => Promise<string | undefined>
  readonly cloudState: () => CloudState
}
