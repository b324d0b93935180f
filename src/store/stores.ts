import type { Claims } from '../pool/claim-store.ts'
import type { History, Spares } from '../pool/stores.ts'
import { arrivalsOf } from './arrivals.ts'
import { claimGroupsOf } from './claim-groups.ts'
import { claimDisksOf, claimLeasesOf, claimRecordsOf } from './claims.ts'
import type { Database } from './connection/database.ts'
import { departuresOf } from './departures.ts'
import * as history from './history.ts'
import { imagesOf } from './images.ts'
import * as leadTimes from './lead-times.ts'
import { orphansOf } from './orphans.ts'
import { poolsOf } from './pools.ts'
import { refusalsOf } from './refusals.ts'
import { reservationsOf } from './reservations.ts'
import { spareRecordsOf } from './spares.ts'
import { request, requestFor, stock } from './stock.ts'
import { ticksOf } from './ticks.ts'

/** Everything that operations need of one database. */
export const storesOf = (db: Database) => ({
  spares: {
    ...spareRecordsOf(db),
    ...arrivalsOf(db),
    ...reservationsOf(db),
    ...departuresOf(db),
    stock: () => stock(db),
    request: (...args) => request(db, ...args),
    requestFor: (...args) => requestFor(db, ...args)
  } satisfies Spares,
  claims: { ...claimGroupsOf(db), ...claimLeasesOf(db), ...claimDisksOf(db), ...claimRecordsOf(db) } satisfies Claims,
  images: imagesOf(db),
  pools: poolsOf(db),
  orphans: orphansOf(db),
  history: {
    ...refusalsOf(db),
    read: (...args) => history.read(db, ...args),
    record: (...args) => history.record(db, ...args),
    noteLevels: (...args) => history.noteLevels(db, ...args),
    thin: (...args) => history.thin(db, ...args),
    longestLeadTimes: (...args) => leadTimes.longestLeadTimes(db, ...args),
    prune: (...args) => leadTimes.prune(db, ...args)
  } satisfies History,
  ticks: ticksOf(db)
})
