import { setTimeout as pause } from 'node:timers/promises'
import { newId, systemClock } from '../../../src/clock.ts'
import type { ClaimRequest } from '../../../src/pool/claim.ts'
import type { Image } from '../../../src/pool/image.ts'
import { type Database, query, warmUp } from '../../../src/store/connection/database.ts'
import { storesOf } from '../../../src/store/stores.ts'
import type { Lifetime } from '../../lifetime.ts'
import { medianOf } from '../../openstack/figures.ts'
import { type Findings, shown, type Table } from '../findings.ts'
import { START_IS_OVER_MS, startPaused, WITHOUT_RECONCILE } from '../paused-service.ts'
import { type Stage, say } from '../stage.ts'

type Stores = ReturnType<typeof storesOf>

const CONNECTIONS = 8
const STOCK = 1_000
const BATCH = 500
const PROBES = 500
const LOOKS = 10
const POOL = { os: 'bloat', type: 'ssd' }
/** Smaller tables are not shown. */
const SHOWN_MIB = 1
/** The other ticks would look for volumes, and there are none. */
const CONFIG = { ticks: { ...WITHOUT_RECONCILE, check_state: '0 0 0 1 1 *' } }

interface TableState {
  readonly name: string
  readonly tableMib: number
  readonly indexMib: number
  readonly live: number
  readonly dead: number
  readonly autovacuums: number
}

interface Look {
  readonly claims: number
  readonly openMs: number
  readonly tables: readonly TableState[]
  readonly indexes: Readonly<Record<string, number>>
}

/**
 * Many claims by the store's own statements, the cloud and HTTP left out: every one adds a row of claims and takes one from
 * the stock, which is made anew at the same rate. What stays behind in the tables, and what a claim's first statement then
 * costs. Autovacuum is as PostgreSQL comes with it, and a service keeps house with its replenish tick. Nothing waits for the
 * disk, which makes neither more dead rows nor fewer and takes less than half of the time.
 */
export async function measureBloat(t: Lifetime, stage: Stage): Promise<Findings> {
  const { quick, claims = quick ? 2_000 : 1_000_000 } = stage.options
  const database = await stage.openNew(t, 'bloat', {
    connectionsMax: CONNECTIONS,
    defaults: { synchronous_commit: 'off' }
  })
  const { db } = database
  const service = await startPaused(t, stage, { name: 'bloat', database, pools: [POOL] }, { config: CONFIG })
  await pause(START_IS_OVER_MS)
  await warmUp(db, CONNECTIONS)
  const stores = storesOf(db)
  const image = await addImage(stores)
  await produce(stores, image, STOCK)
  await work(stores, image, BATCH) // So that every statement is prepared on every connection.
  const looks = [await look(db, stores, image, 0)]
  const startedAt = performance.now()
  for (let done = 0; done < claims; done += BATCH) {
    await Promise.all([work(stores, image, BATCH), service.call('POST', '/pool/replenish')])
    const due = Math.floor(((done + BATCH) * LOOKS) / claims) > Math.floor((done * LOOKS) / claims)
    if (due) looks.push(await look(db, stores, image, done + BATCH))
  }
  const [first, last] = [looks[0], looks.at(-1)]
  if (!first || !last) throw new Error('nothing was measured')
  const mibOf = (one: Look, table: string): number =>
    one.tables
      .filter(({ name }) => name === table)
      .reduce((sum, { tableMib, indexMib }) => sum + tableMib + indexMib, 0)
  const perSecond = (1_000 * claims) / (performance.now() - startedAt)
  return {
    figures: [
      { name: `a claim's first statement, after ${claims} claims / before`, values: [last.openMs / first.openMs] },
      {
        name: `backup_volumes with its indexes and ${STOCK} spares, after`,
        unit: 'MiB',
        values: [mibOf(last, 'backup_volumes')]
      },
      { name: 'claims with its indexes, after', unit: 'MiB', values: [mibOf(last, 'claims')] },
      { name: 'claims a second, by the statements alone', values: [perSecond] }
    ],
    tables: [growthTable(looks), indexTable(first, last)],
    readings: looks
  }
}

async function addImage(stores: Stores): Promise<Image> {
  const at = systemClock.now()
  const image: Image = {
    ...POOL,
    id: newId(),
    snapshotId: newId(),
    replicaSnapshotIds: [],
    goneSnapshotIds: [],
    volumeId: newId(),
    volumeType: 'ceph-ssd',
    sizeGib: 20,
    version: '20261101',
    createdAt: at,
    updatedAt: at
  }
  await stores.images.add([image])
  return image
}

/** Spares come at the rate at which they are claimed, and at the same time. */
async function work(stores: Stores, image: Image, count: number): Promise<void> {
  await Promise.all([produce(stores, image, count), inParallel(count, CONNECTIONS / 2, () => claimOne(stores))])
}

/** As replenish and check_state write them. */
async function produce({ spares }: Stores, image: Image, count: number): Promise<void> {
  const { snapshotId, sizeGib } = image
  const creations = Array.from({ length: count }, () => ({ ...POOL, image, snapshotId, sizeGib }))
  const requested = await spares.request(() => creations, newId, systemClock.now())
  const ids = requested.map(({ id }) => id)
  await inParallel(count, CONNECTIONS / 2, () => spares.noteVolume(ids.pop() ?? '', newId(), systemClock.now()))
  const sealedKey = 'k'.repeat(60) // As long as a sealed one.
  const at = systemClock.now()
  const finished = requested.map(({ id }) => ({ id, toArm: true }))
  await spares.noteFinished(finished, at, at)
  const toArm = finished.map(({ id }) => id)
  await inParallel(count, CONNECTIONS / 2, () =>
    spares.noteArmed(toArm.pop() ?? '', { id: newId(), sealedKey }, systemClock.now())
  )
}

/** Milliseconds of its first statement. */
async function claimOne({ claims }: Stores): Promise<number> {
  const [id, holder] = [newId(), newId()]
  const until = new Date(systemClock.now().getTime() + 10_000)
  const sentAt = performance.now()
  const opening = await claims.open(requestOf(id), id, { holder, until }, systemClock.now())
  const ms = performance.now() - sentAt
  const spare = opening?.spare
  if (!spare?.volumeId) throw new Error('there was no spare for a claim')
  const { volumeId, volumeType, sizeGib, snapshotId, imageVersion } = spare
  const disk = { ...POOL, volumeId, volumeType, sizeGib, snapshotId, imageVersion, spareAgeSeconds: 1 }
  await claims.settle({ claimId: id, holder }, { source: 'pool', missReason: undefined, disk }, systemClock.now())
  return ms
}

const requestOf = (id: string): ClaimRequest => ({
  ...POOL,
  hostname: `host-${id}`,
  category: 'sys',
  name: `host-${id}_sys`,
  sizeGib: undefined,
  projectId: 'bench',
  onEmpty: 'fail',
  waitSeconds: 0,
  idempotencyKey: undefined,
  caller: undefined
})

async function inParallel(count: number, workers: number, act: () => Promise<unknown>): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await act()
    }
  }
  await Promise.all(Array.from({ length: workers }, worker))
}

/** The statement's cost is that of one claim after another, with nothing beside it. */
async function look(db: Database, stores: Stores, image: Image, claims: number): Promise<Look> {
  const openMs: number[] = []
  for (let probe = 0; probe < PROBES; probe += 1) openMs.push(await claimOne(stores))
  await produce(stores, image, PROBES)
  const tables = await query<TableState & Record<string, unknown>>(
    db,
    `select relname as name, pg_table_size(relid) / 1048576.0 as "tableMib", pg_indexes_size(relid) / 1048576.0 as "indexMib",
            n_live_tup as live, n_dead_tup as dead, autovacuum_count as autovacuums
       from pg_stat_user_tables order by relname`
  )
  const indexes = await query<{ name: string; mib: number }>(
    db,
    `select indexrelname as name, pg_relation_size(indexrelid) / 1048576.0 as mib
       from pg_stat_user_indexes order by relname, indexrelname`
  )
  say(`bloat: ${claims} claims, ${medianOf(openMs).toFixed(2)} ms for the first statement`)
  return {
    claims,
    openMs: medianOf(openMs),
    tables,
    indexes: Object.fromEntries(indexes.map(({ name, mib }) => [name, mib]))
  }
}

function growthTable(looks: readonly Look[]): Table {
  const names = (looks.at(-1)?.tables ?? [])
    .filter(({ tableMib, indexMib }) => tableMib + indexMib >= SHOWN_MIB)
    .map(({ name }) => name)
  const rows = looks.map(({ claims, openMs, tables }) => [
    String(claims),
    openMs.toFixed(2),
    ...tables
      .filter(({ name }) => names.includes(name))
      .flatMap(({ tableMib, indexMib, dead, autovacuums }) => [
        `${tableMib.toFixed(1)} + ${indexMib.toFixed(1)}`,
        `${dead} / ${autovacuums}`
      ])
  ])
  const perTable = names.flatMap(name => [`${name}, MiB + indexes`, 'dead rows / autovacuums'])
  return { title: 'Tables in a long run', titles: ['claims', 'first statement, ms', ...perTable], rows }
}

function indexTable(first: Look, last: Look): Table {
  const grown = Object.entries(last.indexes).filter(([, mib]) => mib >= SHOWN_MIB)
  return {
    title: 'Indexes, MiB',
    titles: ['index', 'before', 'after'],
    rows: grown.map(([name, mib]) => [name, shown(first.indexes[name] ?? 0), shown(mib)])
  }
}
