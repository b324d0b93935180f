import assert from 'node:assert/strict'
import { Client } from 'pg'
import { beforeAll, describe, it, type TestContext } from 'vitest'
import { openDatabase, query, runScript, transaction } from '../../src/store/connection/database.ts'
import { aDatabaseAddress } from '../support/database.ts'
import { aPooler, isMissing, PROGRAM, tracksStatements } from '../support/pgbouncer.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const { CI } = process.env
const mayBeMissing = CI === undefined || CI === ''
const WHY_SKIPPED = isMissing && mayBeMissing ? `, skipped: there is no ${PROGRAM} (set PGBOUNCER to another)` : ''
if (WHY_SKIPPED) process.stdout.write(`The pooler${WHY_SKIPPED}.\n`)

/** It forgets which connection has which statements prepared, or, from 1.21 on, prepares them where they are missing. */
const FORGETFUL = {}
const TRACKING = { max_prepared_statements: '100' }
const KINDS = isMissing || !tracksStatements() ? [FORGETFUL] : [{ max_prepared_statements: '0' }, TRACKING]

const SPARES = 20
/** More than there are spares for. */
const HOSTS = Array.from({ length: 25 }, (_, n) => `host-${n}`)

/** Two replicas with fifteen connections each, for which the pooler has three. */
async function twoReplicas(t: TestContext, settings: object): Promise<[TestService, TestService]> {
  const { database } = await aDatabaseAddress(t)
  const url = await aPooler(t, database, { default_pool_size: '3', max_client_conn: '100', ...settings })
  const config = { database: { url }, pools: [{ ...DEBIAN, target: SPARES }] }
  const one = await aService(t, { config })
  return [one, await aService(t, { beside: one, filled: false })]
}

/** All at once, while the time runs no faster than for one of them. */
async function atOnce(one: TestService, requests: readonly (() => Promise<Answer>)[]): Promise<Answer[]> {
  return await one.clock.during(Promise.all(requests.map(async send => await send())))
}

type Answer = Awaited<ReturnType<TestService['service']['app']['inject']>>

const claimOn = (replica: TestService, hostname: string) => (): Promise<Answer> =>
  replica.service.app.inject({
    method: 'POST',
    url: '/pool/claim',
    payload: { hostname, ...DEBIAN, project_id: replica.project('tenant-a'), on_empty: 'fail' }
  })

const tickOn =
  ({ service }: TestService, tick: string) =>
  (): Promise<Answer> =>
    service.app.inject({ method: 'POST', url: `/pool/${tick}` })

describe.skipIf(WHY_SKIPPED)(`through pgbouncer in transaction mode${WHY_SKIPPED}`, () => {
  beforeAll(() => {
    assert.ok(!isMissing, `there is no ${PROGRAM}, and CI must not pass without it: apt-get install pgbouncer`)
  })

  it.for(KINDS)('two replicas keep to what always holds (%o)', async (settings, t) => {
    const replicas = await twoReplicas(t, settings)
    const [one] = replicas
    const ticks = ['replenish', 'check', 'reconcile'].flatMap(tick => replicas.map(replica => tickOn(replica, tick)))
    const claims = HOSTS.flatMap(hostname => replicas.map(replica => claimOn(replica, hostname)))
    const answers = await atOnce(one, [...ticks, ...claims, ...ticks])
    const given = new Map<string, string>()
    for (const answer of answers) {
      const body = answer.json<{ code?: string; name?: string; volume_id?: string }>()
      if (body.name && body.volume_id) {
        assert.ok([undefined, body.volume_id].includes(given.get(body.name)), `${body.name} was given two disks`)
        given.set(body.name, body.volume_id)
      } else assert.ok(answer.statusCode === 200 || body.code === 'pool_empty', answer.body)
    }
    assert.ok(given.size >= SPARES)
    for (const hostname of HOSTS) {
      const { body } = await one.claim({ hostname })
      assert.equal(body.volume_id, given.get(body.name) ?? body.volume_id)
      given.set(body.name, body.volume_id)
      await one.fill()
    }
    for (const replica of replicas) assert.equal((await replica.call('POST', '/pool/reconcile')).status, 200)
    const volumes = one.volumes('tenant-a').map(({ id, name }) => [name ?? '', id] as const)
    assert.deepEqual(new Map(volumes), given)
    assert.equal(volumes.length, HOSTS.length)
    assert.deepEqual([(await one.spares()).length, one.volumes('pool').length], [SPARES, SPARES])
    assert.equal((await one.sync({ purge: 'all' })).body.retired, SPARES)
  })

  /** All that a session has, but for what PostgreSQL adds when a function is run for the first time. */
  const settingsOf = async (client: Client): Promise<Map<string, string>> => {
    const sql = "select name, setting from pg_settings where name not like 'plpgsql.%'"
    const { rows } = await client.query<{ name: string; setting: string }>(sql)
    return new Map(rows.map(({ name, setting }) => [name, setting]))
  }

  it('nothing that is set reaches another client', async t => {
    const { database, socketDir, user } = await aDatabaseAddress(t)
    const url = await aPooler(t, database, { default_pool_size: '1' })
    const service = await aService(t, { config: { database: { url } }, connections: 3 })
    for (const tick of ['replenish', 'check', 'reconcile']) {
      assert.equal((await service.call('POST', `/pool/${tick}`)).status, 200)
    }
    assert.equal((await service.claim()).status, 200)
    // Asked with pg itself: what the service's own way of connecting sends is what is looked for.
    const [other, direct] = [new Client({ connectionString: url }), new Client({ host: socketDir, user, database })]
    for (const client of [other, direct]) {
      t.onTestFinished(() => client.end())
      await client.connect()
    }
    const [seen, expected] = await Promise.all([settingsOf(other), settingsOf(direct)])
    assert.deepEqual(
      [...seen].filter(([name, setting]) => expected.get(name) !== setting),
      []
    )
    assert.equal(seen.get('statement_timeout'), '0')
  })

  it('a transaction has its timeouts all the same', async t => {
    const { database } = await aDatabaseAddress(t)
    const url = await aPooler(t, database, { default_pool_size: '1' })
    const db = openDatabase({ url, statementTimeoutSeconds: 1, idleInTransactionTimeoutSeconds: 7 })
    t.onTestFinished(() => db.destroy())
    const shown = "select current_setting('idle_in_transaction_session_timeout') as idle"
    assert.deepEqual(await transaction(db, tx => query(tx, shown)), [{ idle: '7s' }])
    assert.deepEqual(await query(db, shown), [{ idle: '0' }])
    await assert.rejects(
      transaction(db, tx => query(tx, 'select pg_sleep(60)')),
      { message: /took too long \(57014\)/ }
    )
  })

  it("a statement by itself has those of the database's role", async t => {
    const { database, socketDir, user } = await aDatabaseAddress(t)
    const admin = openDatabase({ socketDir, user, database })
    t.onTestFinished(() => admin.destroy())
    await runScript(admin, `alter role ${user} in database ${database} set statement_timeout = '1s'`)
    const db = openDatabase({ url: await aPooler(t, database, { default_pool_size: '1' }) })
    t.onTestFinished(() => db.destroy())
    await assert.rejects(query(db, 'select pg_sleep(60)'), { message: /took too long \(57014\)/ })
  })

  it('options that it refuses are told as that', async t => {
    const { database } = await aDatabaseAddress(t)
    const url = await aPooler(t, database, { default_pool_size: '1' })
    const db = openDatabase({ url: `${url}&options=-c%20search_path%3Dpublic` })
    t.onTestFinished(() => db.destroy())
    await assert.rejects(query(db, 'select 1'), { message: /^The pooler before the database refuses `options`/ })
  })
})
