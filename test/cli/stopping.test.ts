import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, it, type TestContext } from 'vitest'
import type { FaultRule } from '../../sandbox/faults.ts'
import { systemClock } from '../../src/clock.ts'
import type { ClaimView, Problem, StatsView } from '../../src/http/schemas.ts'
import { openDatabase, query } from '../../src/store/connection/database.ts'
import { aConfigFile, type RunningCommand, startCommand } from '../support/command-line.ts'
import { lockTables } from '../support/database-faults.ts'
import { Gate } from '../support/gate.ts'
import { aPatient } from '../support/patient.ts'
import { until } from '../support/until.ts'

type Operation = NonNullable<FaultRule['operation']>

interface Running {
  readonly command: RunningCommand
  readonly databaseUrl: string
  readonly url: string
  /** Calls of that kind are held in the cloud from now on, until `release`. */
  readonly hold: (operation: Operation) => void
  /** Resolves when a call is held. */
  readonly isHeld: () => Promise<void>
  readonly release: () => void
  readonly get: (path: string) => Promise<Response>
  readonly claim: (hostname: string) => Promise<Response>
}

interface Options {
  readonly server?: object
  readonly hold?: Operation
}

/** A service as a process of its own, whose cloud takes as long as the test wants. */
async function aRunning(t: TestContext, { server = {}, hold }: Options = {}): Promise<Running> {
  const gate = new Gate()
  const patient = await aPatient(t, { ...systemClock, sleep: () => gate.passed })
  const { faults } = patient.cloud
  const holding = (operation: Operation): void => void faults.add({ operation, kind: 'delay', ms: 1 })
  if (hold) holding(hold)
  const document = patient.document({
    server: { port: 0, ...server },
    pools: [{ os: 'debian12', type: 'ssd', target: 2 }],
    ticks: { check_state: '* * * * * *' },
    access: { mode: 'none' }
  })
  const command = startCommand(t, ['serve', '--config', aConfigFile(t, document)])
  const [, url = ''] = await command.says(/"url":"([^"]+)".*"msg":"service started"/)
  return {
    command,
    databaseUrl: patient.databaseUrl,
    url,
    hold: holding,
    isHeld: () => until(() => faults.list().some(({ strikes }) => strikes > 0)),
    release: () => gate.open(),
    get: path => fetch(url + path),
    claim: hostname =>
      fetch(`${url}/pool/claim`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ hostname, os: 'debian12', type: 'ssd' })
      })
  }
}

/** With its stock full, a claim that Cinder does not answer, and the first signal given. */
async function stopDuringClaim(t: TestContext, options: Options = {}) {
  const running = await aRunning(t, options)
  await until(async () => {
    const { pools } = (await (await running.get('/pool/stats')).json()) as StatsView
    return pools[0]?.condition === 'full'
  })
  running.hold('volume_update')
  const claim = running.claim('web-01')
  claim.catch(() => undefined)
  await running.isHeld()
  running.command.kill('SIGTERM')
  await running.command.says(/"msg":"service stopping"/)
  return { ...running, underWay: claim }
}

/** A transaction that keeps a table to itself until the test ends. Ticks wait for it too: `by` is a part of the statement. */
async function lockTable(t: TestContext, url: string, table: string, by: string) {
  const { db, unlock } = await lockTables(url, table)
  t.onTestFinished(unlock)
  const waiting = `select from pg_locks join pg_stat_activity using (pid)
                    where relation = '${table}'::regclass and not granted and query like :by`
  return { isWaitedFor: () => until(async () => (await query(db, waiting, { by: `%${by}%` })).length > 0) }
}

describe('on SIGTERM', () => {
  it('a claim under way is finished, while readyz says no and nothing new is taken', async t => {
    const { command, url, release, underWay, get, claim } = await stopDuringClaim(t)
    const { hostname, port } = new URL(url)
    const slow = connect(Number(port), hostname).on('error', () => undefined) // It has sent half a request, and never more.
    slow.write('POST /pool/claim HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n')
    assert.deepEqual([(await get('/readyz')).status, (await get('/healthz')).status], [503, 200])
    for (const refused of [await claim('web-02'), await get('/pool/stats'), await get('/os')]) {
      assert.equal(refused.status, 503)
      assert.ok(Number(refused.headers.get('retry-after')) > 0)
      assert.equal(refused.headers.get('connection'), 'close')
      assert.match(((await refused.json()) as Problem).detail, /The service is stopping/)
    }
    release()
    const answer = await underWay
    assert.deepEqual([answer.status, ((await answer.json()) as ClaimView).source], [200, 'pool'])
    const { code, stdout } = await command.ended
    assert.equal(code, 0, stdout)
    assert.match(stdout, /"msg":"service stopped"/)
    await assert.rejects(get('/healthz'))
  })

  it('the tick under way is finished', async t => {
    const { command, databaseUrl, isHeld, release, get } = await aRunning(t, { hold: 'volume_create' })
    await isHeld()
    command.kill('SIGTERM')
    await command.says(/"msg":"service stopping"/)
    assert.equal((await get('/readyz')).status, 503)
    release()
    const { code, stdout } = await command.ended
    assert.equal(code, 0, stdout)
    assert.doesNotMatch(stdout, /tick failed|"level":"error"/)
    const db = openDatabase({ url: databaseUrl })
    t.onTestFinished(async () => await db.destroy())
    assert.deepEqual(await query(db, 'select status, volume_id is not null as known from backup_volumes'), [
      { status: 'creating', known: true },
      { status: 'creating', known: true }
    ])
  })

  it('work that takes more than half of the time is told to end, so that all ends in good order', async t => {
    const { command, underWay } = await stopDuringClaim(t, { server: { shutdown_seconds: 5 } })
    const answer = await underWay
    const { code: problem } = (await answer.json()) as Problem
    assert.ok(['claim_unsettled', 'cloud_timeout'].includes(problem), problem)
    assert.ok(Number(answer.headers.get('retry-after')) > 0)
    const { code, stdout } = await command.ended
    assert.equal(code, 0, stdout)
  })

  it('a second SIGTERM ends it at once', async t => {
    const { command, underWay } = await stopDuringClaim(t)
    command.kill('SIGTERM')
    const { code, stdout } = await command.ended
    assert.equal(code, 1)
    assert.doesNotMatch(stdout, /service stopped|did not stop/)
    await assert.rejects(underWay)
  })

  it('it exits with 1 when it cannot end in time', async t => {
    const { command, databaseUrl, claim } = await aRunning(t, { server: { shutdown_seconds: 1 } })
    const { isWaitedFor } = await lockTable(t, databaseUrl, 'claims', 'insert into claims')
    const stuck = assert.rejects(claim('web-01'))
    await isWaitedFor()
    command.kill('SIGTERM')
    const { code, stdout } = await command.ended
    assert.equal(code, 1)
    assert.match(stdout, /"msg":"service did not stop in time"/)
    await stuck
  })

  it('it exits in time even before it has started', async t => {
    const patient = await aPatient(t)
    const { isWaitedFor } = await lockTable(t, patient.databaseUrl, 'schema_migrations', 'select')
    const document = patient.document({ server: { port: 0, shutdown_seconds: 1 } })
    const command = startCommand(t, ['serve', '--config', aConfigFile(t, document)])
    await isWaitedFor()
    command.kill('SIGTERM')
    const { code, stdout } = await command.ended
    assert.equal(code, 1)
    assert.match(stdout, /"msg":"service did not stop in time"/)
  })
})
