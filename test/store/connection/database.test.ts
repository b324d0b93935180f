import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'vitest'
import { PoolError } from '../../../src/pool/errors.ts'
import { type Database, openDatabase, query, runScript, transaction } from '../../../src/store/connection/database.ts'
import { isUniqueViolation } from '../../../src/store/connection/database-errors.ts'
import { aDatabase } from '../../support/database.ts'

const one = async (db: Database, sql: string, bindings: object = {}): Promise<unknown> => {
  const [row] = await query<{ value: unknown }>(db, sql, bindings)
  return row?.value
}

const isUnavailable = (detail: RegExp) => (error: unknown) => {
  assert.ok(error instanceof PoolError, String(error))
  assert.equal(error.code, 'database_unavailable')
  assert.match(error.message, detail)
  assert.ok(error.cause instanceof Error)
  return true
}

/** Where something listens that is no PostgreSQL. */
async function aPort(t: TestContext, answer: (socket: Socket) => unknown): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}))
    answer(socket)
  })
  t.onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await once(server.close(), 'close')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

describe('a query', () => {
  it('binds names, wherever and however often they stand', async t => {
    const db = await aDatabase(t)
    const sql = "select :b::text || :a || :b || ':a' || \":c\" as value from (select 'c' as \":c\") x -- :d isn't one"
    assert.equal(await one(db, sql, { a: 'a', b: 'b' }), 'bab:ac')
  })

  it('refuses a name without a value, but takes undefined for null', async t => {
    const db = await aDatabase(t)
    await assert.rejects(one(db, 'select :a::text as value'), /No value for :a/)
    assert.equal(await one(db, 'select :a::text as value', { a: undefined }), null)
  })

  it.for([
    ['int8', 'select count(*) as value from generate_series(1, 3)', 3],
    ['numeric', 'select sum(x) / 2 as value from generate_series(1::bigint, 2) x', 1.5],
    ['jsonb', 'select \'{"a": [1]}\'::jsonb as value', { a: [1] }],
    ['timestamptz', "select '2026-01-01T00:00:00Z'::timestamptz as value", new Date('2026-01-01T00:00:00Z')],
    ['text[]', "select array['a', 'b'] as value", ['a', 'b']],
    ['null', 'select null::bigint as value', null]
  ] as const)('reads %s', async ([, sql, expected], t) => {
    assert.deepEqual(await one(await aDatabase(t), sql), expected)
  })

  it.for([
    ['an array', 'select 2 = any(:given::int[]) as value', [1, 2], true],
    ['an object, as jsonb', "select :given::jsonb ->> 'a' as value", { a: 'b' }, 'b'],
    ['a time', 'select :given::timestamptz as value', new Date(1), new Date(1)]
  ] as const)('sends %s', async ([, sql, given, expected], t) => {
    assert.deepEqual(await one(await aDatabase(t), sql, { given }), expected)
  })

  it('is prepared once a connection, under a name', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1 })
    for (const a of [1, 2, 3]) assert.equal(await one(db, 'select :a::int as value', { a }), a)
    const sql = "select count(*) as value from pg_prepared_statements where statement like 'select $1::int as value'"
    assert.equal(await one(db, sql), 1)
  })

  it('goes on unnamed when a pooler loses its prepared statements', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1 })
    assert.equal(await one(db, 'select 1 as value'), 1)
    await runScript(db, 'deallocate all') // As if the next query reached another server connection.
    assert.equal(await one(db, 'select 1 as value'), 1)
    await runScript(db, 'deallocate all')
    assert.equal(await one(db, 'select count(*) as value from pg_prepared_statements'), 0)
  })

  it('is prepared anew after a migration changed what it returns', async t => {
    const db = await aDatabase(t)
    await runScript(db, 'create table things (a int); insert into things values (1)')
    assert.deepEqual(await query(db, 'select * from things'), [{ a: 1 }])
    await runScript(db, 'alter table things add b int')
    assert.deepEqual(await query(db, 'select * from things'), [{ a: 1, b: null }])
  })

  it('gives its connection back after an error', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1 })
    for (let times = 0; times < 3; times++) await assert.rejects(query(db, 'select 1 / 0'), /division by zero/)
    assert.equal(await one(db, 'select 1 as value'), 1)
  })

  it('leaves a violated constraint to its caller', async t => {
    const db = await aDatabase(t)
    await runScript(db, 'create table things (id int primary key); insert into things values (1)')
    await assert.rejects(query(db, 'insert into things values (1)'), isUniqueViolation)
  })
})

describe('a transaction', () => {
  it('is kept when its work ends, and undone when it throws', async t => {
    const db = await aDatabase(t)
    await runScript(db, 'create table things (id int)')
    assert.equal(await transaction(db, async tx => one(tx, 'insert into things values (1) returning id as value')), 1)
    const failing = transaction(db, async tx => {
      await query(tx, 'insert into things values (2)')
      throw new Error('no')
    })
    await assert.rejects(failing, /^Error: no$/)
    assert.deepEqual(await query(db, 'select id from things'), [{ id: 1 }])
  })

  it('fails when its work hides that a statement failed', async t => {
    const db = await aDatabase(t)
    const hiding = transaction(db, async tx => {
      await query(tx, 'select 1 / 0').catch(() => [])
      return 'done'
    })
    await assert.rejects(hiding, /division by zero/)
  })

  it('joins the one that it is called in', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1 })
    const id = (tx: Database) => one(tx, 'select txid_current() as value')
    const [outer, inner] = await transaction(db, async tx => [await id(tx), await transaction(tx, id)])
    assert.equal(inner, outer)
  })

  it('is repeated when the database gave it up for another', async t => {
    const db = await aDatabase(t, { connections: 2 })
    await runScript(db, 'create table things (id int primary key, n int); insert into things values (1, 0), (2, 0)')
    let meetings = 0
    let meet = () => {}
    const met = new Promise<void>(resolve => {
      meet = resolve
    })
    const crossing = (first: number, second: number) =>
      transaction(db, async tx => {
        await query(tx, 'update things set n = n + 1 where id = :first', { first })
        meetings += 1
        if (meetings === 2) meet()
        await met
        await query(tx, 'update things set n = n + 1 where id = :second', { second })
      })
    await Promise.all([crossing(1, 2), crossing(2, 1)])
    assert.ok(meetings > 2) // They may meet once more.
    assert.deepEqual(await query(db, 'select n from things'), [{ n: 2 }, { n: 2 }])
  })
})

describe('a database that cannot serve', () => {
  it('is unavailable when nothing listens', async () => {
    const db = openDatabase({ url: 'postgres://pool:secret@127.0.0.1:1/pool' })
    await assert.rejects(query(db, 'select 1'), error => {
      assert.doesNotMatch(String(error), /secret|127\.0\.0\.1/)
      return isUnavailable(/does not answer.*\(ECONNREFUSED\)/)(error)
    })
    await assert.rejects(
      transaction(db, tx => query(tx, 'select 1')),
      isUnavailable(/does not answer/)
    )
    await db.destroy()
  })

  it.for([
    ['says nothing', () => {}, /in time|too long/],
    ['speaks no TLS', (socket: Socket) => socket.on('data', () => socket.write('N')), /refused.* sslmode/],
    ['hangs up', (socket: Socket) => socket.destroy(), /was lost|does not answer/]
  ] as const)('is unavailable when what listens %s', async ([, answer, detail], t) => {
    const url = `postgres://pool@127.0.0.1:${await aPort(t, answer)}/pool?sslmode=require`
    const db = openDatabase({ url, acquireTimeoutSeconds: 0.5 })
    t.onTestFinished(() => db.destroy())
    await assert.rejects(query(db, 'select 1'), isUnavailable(detail))
    await assert.rejects(
      transaction(db, tx => query(tx, 'select 1')),
      isUnavailable(detail)
    )
  })

  it('is unavailable when every connection stays busy', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1, acquireTimeoutSeconds: 0.5 })
    await transaction(db, async () => {
      await assert.rejects(query(db, 'select 1'), isUnavailable(/busy for too long/))
    })
  })

  it('is unavailable when a statement takes too long, and the connection serves on', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1, statementTimeoutSeconds: 1 })
    await assert.rejects(query(db, 'select pg_sleep(60)'), isUnavailable(/took too long \(57014\)/))
    assert.equal(await one(db, 'select 1 as value'), 1)
  })

  it('is unavailable to the query whose connection is cut, and serves the next', async t => {
    const db = await aDatabase(t, { connections: 1, connectionsMax: 1 })
    await assert.rejects(
      query(db, 'select pg_terminate_backend(pg_backend_pid())'),
      isUnavailable(/\(57P01\)|was lost/)
    )
    assert.equal(await one(db, 'select 1 as value'), 1)
    const cut = transaction(db, tx => query(tx, 'select pg_terminate_backend(pg_backend_pid())'))
    await assert.rejects(cut, isUnavailable(/\(57P01\)|was lost/))
    assert.equal(await one(db, 'select 1 as value'), 1)
  })

  it('is unavailable while its tables are missing', async t => {
    const db = await aDatabase(t)
    await assert.rejects(query(db, 'select * from nothing'), isUnavailable(/spare-pool migrate/))
  })

  it('is asked again over new connections when a standby has taken the place of the primary', async t => {
    const db = await aDatabase(t, { connections: 2 })
    await runScript(db, 'create table things (id int)')
    await Promise.all([1, 2].map(() => query(db, 'set session characteristics as transaction read only')))
    await query(db, 'insert into things values (1)')
    assert.equal(await one(db, 'select count(*) as value from things'), 1)
  })
})
