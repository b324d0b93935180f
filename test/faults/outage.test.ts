import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import type { StatsView } from '../../src/http/schemas.ts'
import { type Database, openDatabase, query, runScript, transaction } from '../../src/store/connection/database.ts'
import { aDoor, aServer, aStandbyOf, type Door, type OwnServer } from '../support/own-postgres.ts'
import { type Answer, aService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

/** So that what is found in the project does not hide a claim that was lost. */
const TRUSTING = { check_existing: 'claims' }

const aServiceBehind = (t: TestContext, door: Door, config: object = {}, ticking = false): Promise<TestService> =>
  aService(t, { ticking, config: { database: { url: door.url }, claims: TRUSTING, ...config } })

function opened(t: TestContext, url: string): Database {
  const db = openDatabase({ url, connectionsMax: 1 })
  t.onTestFinished(() => db.destroy())
  return db
}

function assertUnavailable({ status, body, headers }: Answer<{ code?: string }>): void {
  assert.deepEqual(
    [status, body.code, headers['retry-after']],
    [503, 'database_unavailable', '1'],
    JSON.stringify(body)
  )
  assert.match(String(headers['content-type']), /^application\/problem\+json/)
}

const isReady = async (service: TestService): Promise<boolean> => (await service.call('GET', '/readyz')).status === 200

/** All that needs the database is unavailable, and the process lives. */
async function assertOut(service: TestService, ticks = ['replenish', 'check', 'reconcile']): Promise<void> {
  assertUnavailable(await service.claim({ hostname: 'during' }))
  for (const tick of ticks) assertUnavailable(await service.call('POST', `/pool/${tick}`))
  assert.equal(await isReady(service), false)
  assert.equal((await service.call('GET', '/healthz')).status, 200)
}

/** It goes on as if nothing had been: each claim has one disk, and the stock is full. */
async function assertBack(service: TestService, hostnames: readonly string[]): Promise<void> {
  await until(() => isReady(service))
  const given = new Map<string, string>()
  for (const hostname of hostnames) {
    const { status, body } = await service.claim({ hostname })
    assert.deepEqual([status, body.source], [200, 'pool'], JSON.stringify(body))
    given.set(`${hostname}_sys`, body.volume_id)
  }
  await service.fill()
  const volumes = service.volumes('tenant-a').map(({ id, name }) => [name ?? '', id] as const)
  assert.deepEqual(new Map(volumes), given)
  assert.equal(volumes.length, given.size)
  assert.deepEqual([(await service.spares()).length, service.volumes('pool').length], [5, 5])
}

/**
 * Holds up whoever settles a claim, until its server stops. Not by the lock itself: as all connections end, whoever waits
 * for it could get it and go on.
 */
const HOLD_UP = `
  create function hold_up() returns trigger language plpgsql as
    $$ begin if not pg_try_advisory_xact_lock(1) then perform pg_sleep(60); end if; return new; end $$;
  create trigger hold_up before update on claims for each row when (new.status = 'available') execute function hold_up();
  select pg_advisory_lock(1)`

const isHeldUp = async (db: Database): Promise<boolean> =>
  (await query(db, "select from pg_stat_activity where wait_event = 'PgSleep'")).length > 0

/** A claim whose disk Cinder has moved, and that waits in the database to be settled; gives its answer when it comes. */
async function aClaimHeldUp(t: TestContext, service: TestService, server: OwnServer, hostname: string) {
  const keeper = opened(t, server.url)
  await runScript(keeper, HOLD_UP)
  const answer = service.claim({ hostname })
  await until(() => isHeldUp(keeper))
  assert.equal(service.volumes('tenant-a').filter(({ name }) => name === `${hostname}_sys`).length, 1)
  return { answer }
}

describe('while PostgreSQL is restarted', () => {
  it('all is unavailable, and goes on by itself afterwards, a claim in the middle with its one disk', async t => {
    const [server, door] = [await aServer(t), await aDoor(t)]
    await server.start()
    door.lead(server)
    const service = await aServiceBehind(t, door)
    assert.equal((await service.claim({ hostname: 'before' })).status, 200)
    const { answer } = await aClaimHeldUp(t, service, server, 'broken')
    await server.stop()
    assertUnavailable(await answer)
    await assertOut(service)
    await server.start()
    door.lead(server)
    await assertBack(service, ['before', 'broken', 'during'])
  })

  it('its ticks run by themselves again, not only when the leases of those that broke off have run out', async t => {
    const [server, door] = [await aServer(t), await aDoor(t)]
    await server.start()
    door.lead(server)
    const everySecond = '* * * * * *'
    const ticks = { replenish: everySecond, check_state: everySecond, reconcile: everySecond }
    const service = await aServiceBehind(t, door, { ticks }, true)
    const rival = opened(t, server.url)
    const breaking = transaction(rival, async tx => {
      await query(tx, 'lock table backup_volumes in access exclusive mode') // Each of them stands still there.
      await until(async () => (await query(tx, 'select from ticks where holder is not null')).length === 3)
      await server.stop()
    })
    await assert.rejects(breaking)
    const before = service.clock.now()
    service.clock.pass(1)
    await server.start()
    await until(async () => {
      const answer = await service.call<StatsView>('GET', '/pool/stats')
      const runs = answer.status === 200 ? Object.values(answer.body.ticks) : []
      return runs.length === 3 && runs.every(({ last_ok_at }) => last_ok_at !== null && new Date(last_ok_at) > before)
    })
  })
})

describe('when another server becomes the primary', () => {
  it('all is unavailable until it is, and goes on by itself, also for who is connected to the former one', async t => {
    const synchronous = { synchronous_standby_names: '*', synchronous_commit: 'remote_apply' }
    const [primary, door] = [await aServer(t, synchronous), await aDoor(t)]
    await primary.start()
    await primary.stop()
    const standby = await aStandbyOf(t, primary)
    door.lead(primary)
    const service = await aServiceBehind(t, door)
    assert.equal((await service.claim({ hostname: 'before' })).status, 200)
    const { answer } = await aClaimHeldUp(t, service, primary, 'broken')
    await demote(opened(t, primary.url))
    door.lead(standby) // For new connections; those to the former primary are not cut.
    assertUnavailable(await answer)
    await assertOut(service, ['replenish', 'reconcile']) // A check with nothing on its way only reads.
    await query(opened(t, standby.url), 'select pg_promote()')
    await assertBack(service, ['before', 'broken', 'during'])
  })
})

/** Still there, but read-only, and without whoever was in the middle of something. */
async function demote(admin: Database): Promise<void> {
  await runScript(admin, 'alter system set default_transaction_read_only = on')
  await runScript(
    admin,
    `select pg_reload_conf();
     select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted`
  )
}
