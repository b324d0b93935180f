import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { openDatabase } from '../../src/store/connection/database.ts'
import { failAt, mendAll } from '../support/database-faults.ts'
import { type Answer, aService, type TestService } from '../support/service.ts'

/** The changes that a claim and its refill are made of. */
const CHANGES = {
  'a claim is opened': { change: 'insert on claims' },
  'a claim is settled': { change: 'update on claims', when: "new.status = 'available'" },
  'a handed over spare goes': { change: 'delete on backup_volumes' },
  'a creation is recorded': { change: 'insert on backup_volumes' },
  'its volume is noted': { change: 'update on backup_volumes', when: "new.status = 'creating'" },
  'a volume comes into stock': { change: 'insert on lead_times' },
  'a tick is recorded': { change: 'insert or update on ticks' }
} as const
type Change = keyof typeof CHANGES

/** A claim, and all ticks, with the time that they take. */
async function aDay(service: TestService): Promise<Answer<{ code?: string }>[]> {
  const answers: Answer<{ code?: string }>[] = [await service.claim()]
  for (const tick of ['replenish', 'check', 'reconcile']) {
    answers.push(await service.call('POST', `/pool/${tick}`))
    service.clock.pass(15)
  }
  return answers
}

/** One disk for the one claim, all else in stock, and nothing left over. */
async function assertWhole(service: TestService): Promise<void> {
  const { status, body } = await service.claim()
  assert.deepEqual([status, body.source], [200, 'pool'], JSON.stringify(body))
  service.clock.pass(600) // Whatever was given up is over.
  await service.call('POST', '/pool/reconcile')
  await service.fill()
  assert.deepEqual(
    service.volumes('tenant-a').map(({ id, name }) => [id, name]),
    [[body.volume_id, 'web-01_sys']]
  )
  assert.deepEqual(
    (await service.claims()).map(({ volume_id, status }) => [volume_id, status]),
    [[body.volume_id, 'available']]
  )
  const spares = await service.spares()
  assert.ok(spares.every(spare => spare.status === 'available' && spare.armed))
  assert.deepEqual(new Set(service.volumes('pool').map(({ id }) => id)), new Set(spares.map(spare => spare.volume_id)))
  assert.equal(spares.length, 5)
}

/** So that what is found in the project does not hide a claim that was lost. */
const TRUSTING = { claims: { check_existing: 'claims' } }

const all = (how: string, ...changes: Change[]): [string, Change][] => changes.map(change => [how, change])

describe('a database that fails', () => {
  it.for([
    ...all('53100', ...(Object.keys(CHANGES) as Change[])),
    ...all('cut', 'a claim is opened', 'a claim is settled', 'its volume is noted', 'a volume comes into stock')
  ])('with %s when %s is unavailable, and nothing is lost or done twice', async ([how, change], t) => {
    const service = await aService(t, { config: TRUSTING })
    const db = openDatabase({ url: service.url, connectionsMax: 1 })
    t.onTestFinished(() => db.destroy())
    await failAt(db, { ...CHANGES[change], how })
    for (const { status, body, headers } of await aDay(service)) {
      if (status === 200) continue
      assert.deepEqual([status, body.code, headers['retry-after']], [503, 'database_unavailable', '1'])
    }
    const [strikes = 0] = await mendAll(db)
    assert.ok(strikes > 0)
    service.clock.pass(200) // A creation whose answer could not be noted may have been lost.
    await assertWhole(service)
  })

  it.for(['40001', '40P01'])('once with %s at every step is asked again, and nobody hears of it', async (how, t) => {
    const service = await aService(t, { config: TRUSTING })
    const db = openDatabase({ url: service.url, connectionsMax: 1 })
    t.onTestFinished(() => db.destroy())
    for (const change of Object.values(CHANGES)) await failAt(db, { ...change, how, times: 1 })
    for (const { status, body } of await aDay(service)) assert.equal(status, 200, JSON.stringify(body))
    for (const strikes of await mendAll(db)) assert.ok(strikes > 1, 'it failed, and was asked again')
    await assertWhole(service)
  })
})
