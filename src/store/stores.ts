import type { Claims } from '../pool/claim-store.ts'
import type { History, Spares } from '../pool/stores.ts'
import { arrivalsOf } from './arrivals.ts'
import { claimGroupsOf } from './claim-groups.ts'
import { claimDisksOf, claimLeasesOf, claimRecordsOf } from './claims.ts'
import type { Database } from './connection/database.ts'
import { departuresOf } from './departures.ts'
import { foldCounts, foldTimings, recount } from './folding.ts'
import { imagesOf } from './images.ts'
import { need, retireAged, retireSurplus } from './levels.ts'
import { orphansOf } from './orphans.ts'
import { poolsOf } from './pools.ts'
import { refusalsOf } from './refusals.ts'
import { reservationsOf } from './reservations.ts'
import { spareRecordsOf } from './spares.ts'
import * as statistics from './statistics.ts'
import { request, requestFor, stock } from './stock.ts'
import { thin } from './thinning.ts'
import { ticksOf } from './ticks.ts'

/** Everything that operations need of one database. */
export const storesOf = (db: Database) => ({
  spares: {
    ...spareRecordsOf(db),
    ...arrivalsOf(db),
    ...reservationsOf(db),
    ...departuresOf(db),
    stock: () => stock(db),
    need: (...args) => need(db, ...args),
    retireSurplus: (...args) => retireSurplus(db, ...args),
    retireAged: (...args) => retireAged(db, ...args),
    request: (...args) => request(db, ...args),
    requestFor: (...args) => requestFor(db, ...args)
  } satisfies Spares,
  claims: { ...claimGroupsOf(db), ...claimLeasesOf(db), ...claimDisksOf(db), ...claimRecordsOf(db) } satisfies Claims,
  images: imagesOf(db),
  pools: poolsOf(db),
  orphans: orphansOf(db),
  history: {
    ...refusalsOf(db),
    read: (...args) => statistics.read(db, ...args),
    longestLeadTimes: (...args) => statistics.longestLeadTimes(db, ...args),
    prune: (...args) => statistics.prune(db, ...args),
    thin: (...args) => thin(db, ...args),
    foldCounts: () => foldCounts(db),
    foldTimings: (...args) => foldTimings(db, ...args),
    recount: () => recount(db)
  } satisfies History,
  ticks: ticksOf(db)
})
