import assert from 'node:assert/strict'
import { beforeAll, describe, it, type TestContext } from 'vitest'
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
})
