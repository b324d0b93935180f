import * as armingQueries from './arming.ts'
import * as arrivalQueries from './arrivals.ts'
import { claimGroups } from './claim-groups.ts'
import * as claimQueries from './claims.ts'
import { bind, type Database } from './connection/database.ts'
import * as historyQueries from './history.ts'
import * as imageQueries from './images.ts'
import * as leadTimeQueries from './lead-times.ts'
import * as leavingQueries from './leaving-spares.ts'
import * as orphanQueries from './orphans.ts'
import * as poolQueries from './pools.ts'
import * as refusalQueries from './refusals.ts'
import * as spareQueries from './spares.ts'
import * as stockQueries from './stock.ts'
import * as tickQueries from './ticks.ts'
import * as waitingQueries from './waiting.ts'

/** All queries of one database, as operations know them. */
export const storesOf = (db: Database) => ({
  // What brings spares into stock serves those who wait, too: so arrivals come after the statements that they are made of.
  spares: bind(db, {
    ...stockQueries,
    ...spareQueries,
    ...armingQueries,
    ...leavingQueries,
    ...waitingQueries,
    ...arrivalQueries
  }),
  claims: { ...bind(db, claimQueries), ...claimGroups(db) },
  images: bind(db, imageQueries),
  pools: bind(db, poolQueries),
  orphans: bind(db, orphanQueries),
  history: bind(db, { ...historyQueries, ...leadTimeQueries, ...refusalQueries }),
  ticks: bind(db, tickQueries)
})
