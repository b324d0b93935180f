import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { countOf } from '../../src/pool/replenishment.ts'
import {
  type Database,
  openDatabase,
  query,
  runScript,
  transaction,
  warmUp
} from '../../src/store/connection/database.ts'
import { MIGRATIONS_FOLDER, migrate, migrationState } from '../../src/store/migrate.ts'
import { storesOf } from '../../src/store/stores.ts'
import { aDatabase, aDatabaseAddress } from '../support/database.ts'
import { aProcess } from '../support/process.ts'
import { DEBIAN } from '../support/samples.ts'
import { until } from '../support/until.ts'

const FILES = {
  '0001-things.sql': '-- Things.\ncreate table things (id int);\ncreate index on things (id);\n',
  '0002-one-thing.sql': "-- The first: ':not a binding'.\ninsert into things values (1);\n"
}
const NAMES = ['0001-things', '0002-one-thing']

async function aFolder(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
  t.onTestFinished(() => rm(folder, { recursive: true }))
  await write(folder, files)
  return folder
}

async function write(folder: string, files: Record<string, string>): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [name, sql] of Object.entries(files)) await writeFile(join(folder, name), sql)
}

/** Without our own tables. */
async function aDatabaseAt(t: TestContext): Promise<{ db: Database; url: string }> {
  const address = await aDatabaseAddress(t)
  const db = openDatabase({ url: address.url, connectionsMin: 3 })
  t.onTestFinished(() => db.destroy())
  await runScript(db, 'drop schema public cascade; create schema public')
  await warmUp(db, 3)
  return { db, url: address.url }
}

const anEmptyDatabase = async (t: TestContext): Promise<Database> => (await aDatabaseAt(t)).db

const pendingMigrations = async (db: Database, folder?: string): Promise<string[]> =>
  (await migrationState(db, folder)).pending

const things = (db: Database): Promise<{ id: number }[]> => query(db, 'select id from things')

/** Who waits for a lock in this database: other tests wait for theirs in others, on the same server. */
const WAITING = `select from pg_locks join pg_database on pg_database.oid = pg_locks.database
                  where not granted and datname = current_database()`

describe('migrating', () => {
  it('runs what is new, in order, once', async t => {
    const db = await anEmptyDatabase(t)
    const folder = await aFolder(t, FILES)
    assert.deepEqual(await pendingMigrations(db, folder), NAMES)
    assert.deepEqual(await migrate(db, systemClock, folder), NAMES)
    assert.deepEqual(await migrate(db, systemClock, folder), [])
    await write(folder, { '0003-two.sql': 'insert into things values (2)' })
    assert.deepEqual(await pendingMigrations(db, folder), ['0003-two'])
    assert.deepEqual(await migrate(db, systemClock, folder), ['0003-two'])
    assert.deepEqual(await things(db), [{ id: 1 }, { id: 2 }])
  })

  it('has nothing to do in an empty folder', async t => {
    const db = await anEmptyDatabase(t)
    assert.deepEqual(await migrate(db, systemClock, await aFolder(t, {})), [])
  })

  it('lets replicas that start at once take turns', async t => {
    const db = await anEmptyDatabase(t)
    const folder = await aFolder(t, FILES)
    const applied = await Promise.all([1, 2, 3].map(() => migrate(db, systemClock, folder)))
    assert.deepEqual(applied.flat().toSorted(), NAMES)
    assert.deepEqual(await things(db), [{ id: 1 }])
  })

  it('keeps nothing of a migration that fails', async t => {
    const db = await anEmptyDatabase(t)
    const folder = await aFolder(t, { ...FILES, '0003-bad.sql': 'insert into things values (2); select 1 / 0' })
    await assert.rejects(migrate(db, systemClock, folder), /division by zero/)
    assert.deepEqual(await things(db), [{ id: 1 }])
    assert.deepEqual(await pendingMigrations(db, folder), ['0003-bad'])
    await write(folder, { '0003-bad.sql': 'insert into things values (2)' })
    assert.deepEqual(await migrate(db, systemClock, folder), ['0003-bad'])
  })

  it('leaves no lock and no half when its process is killed midway', async t => {
    const { db, url } = await aDatabaseAt(t)
    const slow = 'insert into things values (2); select pg_advisory_lock(1);'
    const folder = await aFolder(t, { ...FILES, '0003-slow.sql': slow })
    await transaction(db, async tx => {
      await query(tx, 'select pg_advisory_xact_lock(1)')
      const child = aProcess(t, 'migrate', [url, folder])
      await until(async () => (await query(tx, WAITING)).length === 1)
      child.kill('SIGKILL')
      await child.ended
      await until(async () => (await query(tx, WAITING)).length === 0)
    })
    assert.deepEqual(await things(db), [{ id: 1 }])
    assert.deepEqual(await migrate(db, systemClock, folder), ['0003-slow'])
    assert.deepEqual(await things(db), [{ id: 1 }, { id: 2 }])
  })

  it('refuses a migration that was changed after it ran', async t => {
    const db = await anEmptyDatabase(t)
    const folder = await aFolder(t, FILES)
    await migrate(db, systemClock, folder)
    await write(folder, { '0001-things.sql': FILES['0001-things.sql'].replaceAll('\n', '\r\n') })
    assert.deepEqual(await migrate(db, systemClock, folder), [], 'as a checkout on Windows has it')
    await write(folder, { '0001-things.sql': 'create table things (id bigint)' })
    await assert.rejects(migrate(db, systemClock, folder), /0001-things was changed after .* in a new migration/)
  })

  it('refuses a database that a newer version has migrated, which an older one running beside it is ready for', async t => {
    const db = await anEmptyDatabase(t)
    await migrate(db, systemClock, await aFolder(t, FILES))
    const older = await aFolder(t, { '0001-things.sql': FILES['0001-things.sql'] })
    await assert.rejects(migrate(db, systemClock, older), /0002-one-thing.* a newer version has run already/)
    assert.deepEqual(await pendingMigrations(db, older), [])
  })

  it('refuses a migration numbered before one that has run', async t => {
    const db = await anEmptyDatabase(t)
    const folder = await aFolder(t, FILES)
    await migrate(db, systemClock, folder)
    await write(folder, { '0001-before.sql': 'select 1' })
    await assert.rejects(migrate(db, systemClock, folder), /0001-before comes before/)
  })

  it('refuses a file that is not numbered', async t => {
    const db = await anEmptyDatabase(t)
    await assert.rejects(migrate(db, systemClock, await aFolder(t, { 'things.sql': '' })), /0001-spares\.sql/)
  })

  it('counts the spares, claims and volumes of a database that is older than its counts', async t => {
    const db = await anEmptyDatabase(t)
    const older = await aFolder(t, {})
    for (const name of ['0001-spares', '0002-longest-lead-times', '0003-arming'])
      await cp(join(MIGRATIONS_FOLDER, `${name}.sql`), join(older, `${name}.sql`))
    await migrate(db, systemClock, older)
    await runScript(
      db,
      `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, name, status, created_at, updated_at)
       select gen_random_uuid(), 'debian12', 'ssd', 's', '1', 'ceph-ssd', 20, '', 'requested', now(), now()
         from generate_series(1, 3);
       insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, source, volume_id, seconds,
                           created_at, updated_at)
       select gen_random_uuid(), '', 'p', n::text, 'h', 'sys', 'debian12', 'ssd', 'available', 'pool', n::text, 2, now(), now()
         from generate_series(1, 5) n;
       insert into lead_times values (gen_random_uuid(), 'debian12', 'ssd', 14, now())`
    )
    await migrate(db, systemClock)
    const { spares, history } = storesOf(db)
    const { holdings } = await spares.stock()
    assert.equal(countOf(holdings), 3)
    const [statistics] = await history.read(new Date(Date.now() - 86_400_000), [DEBIAN])
    assert.equal(statistics?.hits, 5)
    assert.equal(Math.round(statistics.leadTime?.p50 ?? 0), 14)
  })

  it('keeps the stock, the claims and the statistics of a database of the version before', async t => {
    const db = await anEmptyDatabase(t)
    const older = await aFolder(t, {})
    const names = (await readdir(MIGRATIONS_FOLDER)).filter(name => name < '0011')
    for (const name of names) await cp(join(MIGRATIONS_FOLDER, name), join(older, name))
    await migrate(db, systemClock, older)
    await runScript(
      db,
      `insert into backup_volumes (id, os, type, snapshot_id, image_version, volume_type, size, name, status, volume_id,
                                   created_at, updated_at, available_at)
       select gen_random_uuid(), 'debian12', 'ssd', 's', '1', 'ceph-ssd', 20, '', status, status || n, now(), now(), now()
         from unnest('{available,retiring,creating}'::text[]) status, generate_series(1, 3) n;
       insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, source, miss_reason,
                           volume_id, seconds, created_at, updated_at)
       select gen_random_uuid(), '', 'p', n || source, 'h', 'sys', 'debian12', 'ssd',
              case when n % 2 = 0 then 'gone' else 'available' end, source, case source when 'created' then 'stale' end,
              n || source, 2, now() - n * interval '1 day' - interval '1 hour', now()
         from unnest('{pool,created,existing}'::text[]) source, generate_series(0, 19) n;
       insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, created_at, updated_at)
       values (gen_random_uuid(), '', 'p', 'open', 'h', 'sys', 'debian12', 'ssd', 'open', now(), now());
       insert into lead_times
       select gen_random_uuid(), 'debian12', 'ssd', 14, now() - n * interval '1 day' from generate_series(0, 19) n;
       insert into timings select 'debian12', 'ssd', 'empty', bucket_of(0), now() - interval '1 second' from generate_series(1, 4);
       insert into timing_totals
       values ('debian12', 'ssd', 'stale', now() - interval '9 days', json_build_object(bucket_of(0), 2, 35, 7)),
              ('debian12', 'ssd', 'stale', now() - interval '8 days', json_build_object(bucket_of(0), 5, 35, 8))`
    )
    await migrate(db, systemClock)
    const { spares, claims, history } = storesOf(db)
    const { holdings } = await spares.stock()
    assert.deepEqual(Object.fromEntries(holdings.map(({ status, count }) => [status, count])), {
      available: 3,
      creating: 3,
      retiring: 3
    })
    assert.equal((await claims.list({ limit: 100 })).rows.length, 61)
    for (const [days, count, misses] of [
      [1, 1, { empty: 4, stale: 1 }],
      [8.5, 9, { empty: 4, stale: 9 + 3 }],
      [19.5, 20, { empty: 4, stale: 20 + 5 }]
    ] as const) {
      const [statistics] = await history.read(new Date(Date.now() - days * 86_400_000), [DEBIAN])
      assert.deepEqual(
        [statistics?.hits, statistics?.existing, statistics?.misses],
        [count, count, misses],
        `${days} days`
      )
      assert.deepEqual(
        [statistics?.claimSeconds?.p99, statistics?.leadTime?.p50].map(seconds => Math.round(seconds ?? 0)),
        [2, 14]
      )
    }
    await history.record(new Date())
    assert.equal((await history.read(new Date(Date.now() - 19.5 * 86_400_000), [DEBIAN]))[0]?.hits, 20)
  })

  it('tells claims of before what their disks are: ours as they were asked for, others as the claims that knew them', async t => {
    const db = await anEmptyDatabase(t)
    const older = await aFolder(t, {})
    const names = (await readdir(MIGRATIONS_FOLDER)).filter(name => name < '0010')
    for (const name of names) await cp(join(MIGRATIONS_FOLDER, name), join(older, name))
    await migrate(db, systemClock, older)
    await runScript(
      db,
      `insert into claims (id, fingerprint, project_id, name, hostname, category, os, type, status, source, volume_id, volume_type,
                           size, image_version, created_at, updated_at)
       select gen_random_uuid(), '', 'p', n, n, 'sys', os, 'ssd', status, source, volume, 'ceph-ssd', 20, version, now(), now()
         from (values ('a', 'debian12', 'gone', 'pool', 'one', '7'), ('b', 'windows', 'available', 'existing', 'one', null),
                      ('c', 'windows', 'available', 'existing', 'two', null), ('d', 'debian12', 'creating', 'created', 'three', '8'))
              claim (n, os, status, source, volume, version)`
    )
    await migrate(db, systemClock)
    for (const [name, ...known] of [
      ['b', 'debian12', 'ssd', '7'],
      ['c', undefined, undefined, undefined],
      ['d', 'debian12', 'ssd', '8']
    ]) {
      const disk = (await storesOf(db).claims.living('p', String(name)))?.disk
      assert.deepEqual([disk?.os, disk?.type, disk?.imageVersion], known, name)
    }
  })

  it('makes the tables of this service', async t => {
    const db = await aDatabase(t)
    assert.deepEqual(await pendingMigrations(db), [])
  })
})
