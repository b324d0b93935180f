import type { Claims } from '../pool/claim-store.ts'
import type { History, Spares } from '../pool/stores.ts'
import { arrivalsOf } from './arrivals.ts'
import { claimGroupsOf } from './claim-groups.ts'
import { claimDisksOf, claimLeasesOf, claimRecordsOf } from './claims.ts'
import type { Database } from './connection/database.ts'
import { departuresOf } from './departures.ts'
import { binsOf } from './history.ts'
import { imagesOf } from './images.ts'
import { leadTimesOf } from './lead-times.ts'
import { orphansOf } from './orphans.ts'
import { poolsOf } from './pools.ts'
import { refusalsOf } from './refusals.ts'
import { reservationsOf } from './reservations.ts'
import { spareRecordsOf } from './spares.ts'
import { stockOf } from './stock.ts'
import { ticksOf } from './ticks.ts'

/** Everything that operations need of one database. */
export const storesOf = (db: Database) => ({
  spares: {
    ...spareRecordsOf(db),
    ...arrivalsOf(db),
    ...reservationsOf(db),
    ...departuresOf(db),
    ...stockOf(db)
  } satisfies Spares,
  claims: { ...claimGroupsOf(db), ...claimLeasesOf(db), ...claimDisksOf(db), ...claimRecordsOf(db) } satisfies Claims,
  images: imagesOf(db),
  pools: poolsOf(db),
  orphans: orphansOf(db),
  history: { ...binsOf(db), ...leadTimesOf(db), ...refusalsOf(db) } satisfies History,
  ticks: ticksOf(db)
})
