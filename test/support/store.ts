/** The queries on a database that a test file has for itself, emptied before each of its tests. */
import assert from 'node:assert/strict'
import { beforeEach } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { Claim, ClaimRequest, Lease } from '../../src/pool/claim.ts'
import type { ClaimLease } from '../../src/pool/claim-store.ts'
import type { Image } from '../../src/pool/image.ts'
import type { Spare } from '../../src/pool/spare.ts'
import { query } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import { aDatabase } from './database.ts'
import { aDisk, anImage, aRequest, aSpare, NOON, noon } from './samples.ts'
import { empty } from './tables.ts'
import { until } from './until.ts'

/** Who works on the claims that are opened here. */
export const HOLDER = newId()

export const held = (claimId: string = newId()): ClaimLease => ({ claimId, holder: HOLDER })

export type Store = Awaited<ReturnType<typeof aStore>>

type Act = (on: ReturnType<typeof storesOf>) => Promise<unknown>

const WAITING = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

/** Called at a file's top level. `connections`: as many as its races have rivals. */
export async function aStore(connections = 2) {
  const db = await aDatabase(undefined, { connections })
  const stores = storesOf(db)
  const { spares, claims, images } = stores
  const rows = <Row extends object>(sql: string, bindings: object = {}): Promise<Row[]> => query(db, sql, bindings)
  beforeEach(() => empty(db))
  return {
    db,
    ...stores,
    rows,

    /** One image, and so many spares of it, the first of them the oldest. */
    stock: async (count: number, image: Image = anImage()): Promise<Spare[]> => {
      await images.add([image])
      const { os, type, snapshotId } = image
      const all = Array.from({ length: count }, (_, n) => aSpare({ os, type, snapshotId, createdAt: noon(n - 1000) }))
      for (const spare of all) assert.ok(await spares.adopt(spare))
      return all
    },

    /** As a replica of its own has them: what rivals ask for by one of these goes to the database together. */
    replica: () => storesOf(db),

    /** Opens a claim, with a lease of ten seconds, each by a replica of its own. */
    open: (differs: Partial<ClaimRequest> = {}, at: Date = NOON) =>
      storesOf(db).claims.open(
        aRequest(differs),
        newId(),
        { holder: HOLDER, until: new Date(at.getTime() + 10_000) },
        at
      ),

    /** Takes a claim over, watching its lease where it has lapsed. Undefined: somebody works on it, or it is settled. */
    takeOver: async (id: string, lease: Lease, at: Date): Promise<Claim | undefined> => {
      let found = await claims.resume(id, lease, at)
      if (found && 'lapsed' in found) found = await claims.resume(id, lease, at, found.lapsed)
      return found && 'claim' in found ? found.claim : undefined
    },

    /** A claim that was given a volume from stock. */
    settled: async (differs: Partial<ClaimRequest> = {}, at: Date = NOON, seconds = 0): Promise<Claim> => {
      const opening = await claims.open(aRequest(differs), newId(), { holder: HOLDER, until: at }, at)
      assert.ok(opening)
      const { claim, spare } = opening
      const disk = aDisk(spare?.volumeId ?? `made-for-${claim.id}`)
      const given = { source: 'pool', missReason: undefined, disk } as const
      assert.ok(await claims.settle(held(claim.id), given, new Date(at.getTime() + seconds * 1000)))
      const settled = await claims.find(claim.id)
      assert.ok(settled)
      return settled
    },

    /** The second act begins before the first is committed: it waits for it, or does not see it. */
    overlapping: async (first: Act, second: Act): Promise<void> => {
      let hasEnded = false
      const later = await db.transaction(async tx => {
        await first(storesOf(tx))
        const acting = second(stores).finally(() => {
          hasEnded = true
        })
        await until(async () => hasEnded || (await rows(WAITING)).length > 0)
        return () => acting
      })
      await later()
    },

    statusOf: async (id: string): Promise<string | undefined> =>
      (await rows<{ status: string }>('select status from backup_volumes where id = :id', { id }))[0]?.status
  }
}

/** So many at once, and what became of each. */
export const rivals = <T>(count: number, act: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => act(n)))
