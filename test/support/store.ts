/** The queries on a database that a test file has for itself, emptied before each of its tests. */
import assert from 'node:assert/strict'
import { beforeEach } from 'vitest'
import { newId } from '../../src/clock.ts'
import type { Claim, ClaimRequest, Lease } from '../../src/pool/claim.ts'
import type { ClaimLease, Opening } from '../../src/pool/claim-store.ts'
import type { Image } from '../../src/pool/image.ts'
import type { Creation } from '../../src/pool/replenishment.ts'
import type { Spare } from '../../src/pool/spare.ts'
import { query } from '../../src/store/connection/database.ts'
import { storesOf } from '../../src/store/stores.ts'
import { aDatabase } from './database.ts'
import { aCreation, anImage, aRequest, aSpare, given, NOON, noon } from './samples.ts'
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

  const open = (differs: Partial<ClaimRequest> = {}, at: Date = NOON): Promise<Opening | undefined> => {
    const lease = { holder: HOLDER, until: new Date(at.getTime() + 10_000) }
    return storesOf(db).claims.open(aRequest(differs), newId(), lease, at)
  }

  const opened = async (differs: Partial<ClaimRequest> = {}, at: Date = NOON): Promise<Opening> => {
    const opening = await open(differs, at)
    assert.ok(opening)
    return opening
  }

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
    open,

    /** The same, where nothing is in its way. */
    opened,

    /** Asked for to fill the stock, and being made in Cinder. */
    making: async (at: Date = NOON, differs: Partial<Creation> = {}): Promise<Spare> => {
      const [spare] = await spares.request(() => [{ ...aCreation(), ...differs }], newId, at)
      const made = await spares.noteVolume(spare?.id ?? '', `volume-of-${spare?.id}`, at)
      assert.ok(made)
      return made
    },

    /** Takes a claim over, watching its lease where it has lapsed. Undefined: somebody works on it, or it is settled. */
    takeOver: async (id: string, lease: Lease, at: Date): Promise<Claim | undefined> => {
      let found = await claims.resume(id, lease, at)
      if (found && 'lapsed' in found) found = await claims.resume(id, lease, at, found.lapsed)
      return found && 'claim' in found ? found.claim : undefined
    },

    /** A claim that was given a volume from stock. */
    settled: async (differs: Partial<ClaimRequest> = {}, at: Date = NOON, seconds = 0): Promise<Claim> => {
      const { claim, spare } = await opened(differs, at)
      const disk = given(spare?.volumeId ?? `made-for-${claim.id}`)
      assert.ok(await claims.settle(held(claim.id), disk, new Date(at.getTime() + seconds * 1000)))
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

    /** Ten thousand spares in stock, and as many open claims of other pools' names. */
    fill: async (): Promise<void> => {
      await rows(`insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, volume_id, name,
                                              status, allocated, created_at, updated_at, available_at)
                  select gen_random_uuid(), 'debian12', 'ssd', 'snapshot', '1', 'ceph-ssd', 20, 'v' || n, 's' || n,
                         'available', false, now(), now(), now() from generate_series(1, 10000) n`)
      await rows(`insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, created_at,
                                      updated_at)
                  select gen_random_uuid(), '', 'full', 'n' || n, 'h', 'sys', 'debian12', 'ssd', 'open', now(), now()
                    from generate_series(1, 10000) n`)
      await rows('analyze')
    },

    /** How PostgreSQL carries out the statement that `act` prepares, as it is kept for the connection's life. */
    planOf: async (pattern: string, act: () => Promise<unknown>): Promise<string> => {
      await act()
      const looks = await rivals(connections, () =>
        rows<{ statement: string }>('select statement from pg_prepared_statements where statement like :pattern', {
          pattern
        })
      )
      const text = looks.flat()[0]?.statement
      assert.ok(text)
      const plan = await db.transaction(async tx => {
        await query(tx, 'set local plan_cache_mode = force_generic_plan')
        await query(tx, `prepare many as ${text}`)
        const values = Array.from(new Set(text.match(/\$\d+/g)), () => 'null').join()
        const lines = await query<{ 'QUERY PLAN': string }>(tx, `explain execute many(${values})`)
        await query(tx, 'deallocate many')
        return lines
      })
      return plan.map(row => row['QUERY PLAN']).join('\n')
    },

    statusOf: async (id: string): Promise<string | undefined> =>
      (await rows<{ status: string }>('select status from backup_volumes where id = :id', { id }))[0]?.status
  }
}

/** So many at once, and what became of each. */
export const rivals = <T>(count: number, act: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => act(n)))
