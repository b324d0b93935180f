import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import { parse } from 'yaml'
import { cloudsYaml, startSandbox } from '../../sandbox/server.ts'
import { systemClock } from '../../src/clock.ts'
import { type Answer, aCloud, assertFault, type Cloud, passwordAuth, send, settled } from './support.ts'

async function broken(t: TestContext, rule: object): Promise<Cloud> {
  const cloud = await aCloud(t)
  const { status, text } = await send('POST', `${cloud.sandbox.url}/sandbox/faults`, {}, rule)
  assert.equal(status, 201, text)
  return cloud
}
const lost = async (call: Promise<Answer>): Promise<void> => await assert.rejects(call, /ECONNRESET|other side closed/)

describe('faults', () => {
  it('answer with a status, as often as they should, in the words of the service', async t => {
    const { sandbox, pool } = await broken(t, { operation: 'volume_show', kind: 'status', status: 500, count: 2 })
    const { id } = await pool.create()
    for (const _ of [1, 2])
      assertFault(await pool.call('GET', `/volumes/${id}`), 500, 'computeFault', /^The server has either erred/)
    assert.equal((await pool.call('GET', `/volumes/${id}`)).status, 200)
    sandbox.cloud.addFault({ operation: 'volume_list', kind: 'status', status: 503 })
    const { body } = await pool.call('GET', '/volumes')
    assert.deepEqual(body, {
      message:
        'The server is currently unavailable. Please try again at a later time.<br /><br />\n' +
        'The Keystone service is temporarily unavailable.\n\n',
      code: '503 Service Unavailable',
      title: 'Service Unavailable'
    })
    sandbox.cloud.addFault({ operation: 'token_issue', kind: 'status', status: 503 })
    const login = await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth('pool-svc', 'pool'))
    assert.equal(login.body.error.code, 503)
  })

  it('can answer with a status after the call was carried out', async t => {
    const { pool } = await broken(t, { operation: 'volume_create', kind: 'status', status: 504, acts: true })
    assert.equal((await pool.call('POST', '/volumes', { volume: { size: 1, name: 'made' } })).status, 504)
    assert.deepEqual(await pool.names('name=made'), ['made'])
  })

  it('cut the connection before the call, or after it', async t => {
    const { sandbox, pool } = await broken(t, { operation: 'volume_create', kind: 'reset_before', count: 1 })
    await lost(pool.call('POST', '/volumes', { volume: { size: 1, name: 'a' } }))
    sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 1 })
    await lost(pool.call('POST', '/volumes', { volume: { size: 1, name: 'b' } }))
    assert.deepEqual([await pool.names('name=a'), await pool.names('name=b')], [[], ['b']])
  })

  it('delay an answer', async t => {
    const { clock, pool } = await broken(t, { operation: 'volume_list', kind: 'delay', ms: 5000 })
    let done = false
    const call = pool.call('GET', '/volumes').finally(() => (done = true))
    await clock.asleep(1)
    await pool.get('/limits') // Later than the list, and answered before it.
    await clock.advance(4999)
    assert.equal(done, false)
    await clock.advance(1)
    assert.equal((await call).status, 200)
  })

  it('let a call hang, with or without having carried it out', async t => {
    const { sandbox, pool } = await broken(t, { operation: 'volume_create', kind: 'hang', acts: true, count: 1 })
    const call = lost(pool.call('POST', '/volumes', { volume: { size: 1, name: 'hung' } }))
    while ((await pool.names('name=hung')).length === 0) await settled()
    await sandbox.close()
    await call
  })

  it.for([
    ['error_volume', 'error'],
    ['stuck_creating', 'creating']
  ])('leave a new volume with %s in %s', async ([kind, status], t) => {
    const { pool } = await broken(t, { kind, operation: 'volume_create', count: 1 })
    const { id } = await pool.create()
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, status)
    const { messages } = await pool.get(`/messages?resource_uuid=${id}`)
    assert.deepEqual(
      messages.map((message: { user_message: string }) => message.user_message),
      kind === 'error_volume' ? ['schedule allocate volume:Could not find any available weighted backend.'] : []
    )
    assert.equal((await pool.call('GET', '/messages', undefined, 2)).status, 404)
  })

  it('let a new volume vanish', async t => {
    const { pool } = await broken(t, { kind: 'vanish' })
    const { id } = await pool.create()
    assert.equal((await pool.call('GET', `/volumes/${id}`)).status, 404)
  })

  it('let a deletion end in error_deleting, or find the volume busy', async t => {
    const { sandbox, pool } = await broken(t, { operation: 'volume_delete', kind: 'error_volume', count: 1 })
    sandbox.cloud.addFault({ operation: 'volume_delete', kind: 'busy_delete' })
    for (const status of ['error_deleting', 'available']) {
      const { id } = await pool.create()
      await pool.call('DELETE', `/volumes/${id}`)
      assert.equal((await pool.get(`/volumes/${id}`)).volume.status, status)
    }
  })

  it('revoke the tokens of the user who calls', async t => {
    const { pool, tenant } = await broken(t, { operation: 'volume_list', kind: 'revoke_tokens', count: 1 })
    assert.equal((await pool.call('GET', '/volumes')).status, 401)
    assert.equal((await pool.call('GET', '/limits')).status, 401)
    assert.equal((await tenant.call('GET', '/limits')).status, 200)
  })

  it('exhaust a quota', async t => {
    const { pool, tenant } = await broken(t, { operation: 'transfer_accept', kind: 'over_quota', count: 1 })
    const transfer = await pool.arm((await pool.create()).id)
    assertFault(
      await tenant.accept(transfer),
      413,
      'overLimit',
      /^Requested volume or snapshot exceeds allowed gigabytes quota/
    )
    assert.equal((await tenant.accept(transfer)).status, 202)
  })

  it('strike by chance, the same for the same seed', async t => {
    const series = async (seed: number): Promise<number[]> => {
      const { sandbox, pool } = await aCloud(t, { seed })
      sandbox.cloud.addFault({ operation: 'volume_list', kind: 'status', status: 500, probability: 0.5 })
      const statuses: number[] = []
      for (let call = 0; call < 20; call += 1) statuses.push((await pool.call('GET', '/volumes')).status)
      return statuses
    }
    const [first, again, other] = [await series(7), await series(7), await series(8)]
    assert.deepEqual(first, again)
    assert.notDeepEqual(first, other)
    assert.ok(first.includes(200) && first.includes(500))
  })

  it('are listed with how often they struck, and removed one by one or all', async t => {
    const { sandbox, pool } = await broken(t, { operation: 'volume_list', kind: 'delay', ms: 0 })
    await pool.get('/volumes')
    const url = `${sandbox.url}/sandbox/faults`
    assert.deepEqual((await send('GET', url)).body.faults, [
      { operation: 'volume_list', kind: 'delay', ms: 0, id: 1, strikes: 1 }
    ])
    await send('POST', url, {}, { kind: 'hang' })
    assert.equal((await send('DELETE', `${url}/1`)).status, 204)
    assert.equal((await send('DELETE', `${url}/1`)).status, 404)
    assert.equal((await send('DELETE', url)).status, 204)
    assert.deepEqual((await send('GET', url)).body.faults, [])
  })

  it.for<[object, RegExp]>([
    [{}, /^body: must have required property 'kind'$/],
    [{ kind: 'explode' }, /^kind: must be equal to one of the allowed values: status, delay/],
    [{ kind: 'delay', operation: 'dance' }, /^operation: must be equal to one of the allowed values: \*, token_issue/],
    [{ kind: 'status' }, /^status: is required for this kind$/],
    [{ kind: 'status', status: 200 }, /^status: must be >= 400$/],
    [{ kind: 'delay' }, /^ms: is required for this kind$/],
    [{ kind: 'hang', probability: 2 }, /^probability: must be <= 1$/],
    [{ kind: 'hang', often: 1 }, /^body: must NOT have additional properties: often$/],
    [{ kind: 'vanish', operation: 'volume_show' }, /^operation: vanish strikes only volume_create$/]
  ])('refuse a wrong rule, naming the field: %j', async ([rule, message], t) => {
    const { sandbox } = await aCloud(t)
    assertFault(await send('POST', `${sandbox.url}/sandbox/faults`, {}, rule), 400, 'error', message)
  })
})

describe('delays', () => {
  it('are as measured or none, or set one by one', async t => {
    const { sandbox, clock, pool, tenant } = await aCloud(t, { delays: 'measured' })
    let done = false
    const call = pool.call('GET', '/volumes').finally(() => (done = true))
    await clock.asleep(1)
    await clock.advance(21)
    assert.equal(done, false)
    await clock.advance(1)
    assert.equal((await call).status, 200)
    const put = async (body: object) => await send('PUT', `${sandbox.url}/sandbox/delays`, {}, body)
    const { body } = await put({ preset: 'none', creating: 3000 })
    assert.deepEqual([body.creating, body.creating_per_gib, body.volume_list], [3000, 0, 0])
    assert.equal((await tenant.call('GET', '/volumes')).status, 200)
    assertFault(await put({ naps: 1 }), 400, 'error', 'body: must NOT have additional properties: naps')
    assertFault(await put({ creating: -1 }), 400, 'error', 'creating: must be >= 0')
  })
})

describe('the journal', () => {
  it('keeps every change in order, with who made it', async t => {
    const { sandbox, pool, tenant } = await aCloud(t)
    const start = sandbox.cloud.journal.after().at(-1)?.sequence ?? 0
    const { id } = await pool.create({ name: 'a' })
    await pool.call('PUT', `/volumes/${id}`, { volume: { name: 'b', metadata: { k: 'v' } } })
    await tenant.accept(await pool.arm(id))
    await tenant.call('DELETE', `/volumes/${id}`)
    const { entries } = (await send('GET', `${sandbox.url}/sandbox/journal?after=${start}`)).body
    assert.deepEqual(
      entries.map(({ change, from, to }: { change: string; from?: unknown; to?: unknown }) => [
        change,
        from ?? null,
        to ?? null
      ]),
      [
        ['volume.created', null, 'a'],
        ['volume.status', 'creating', 'available'],
        ['volume.renamed', 'a', 'b'],
        ['volume.metadata', {}, { k: 'v' }],
        ['transfer.created', null, null],
        ['volume.status', 'available', 'awaiting-transfer'],
        ['transfer.accepted', null, null],
        ['volume.moved', pool.projectId, tenant.projectId],
        ['volume.status', 'awaiting-transfer', 'available'],
        ['volume.status', 'available', 'deleting'],
        ['volume.deleted', 'b', null]
      ]
    )
    assert.deepEqual([entries[7].user_id, entries[7].volume_id, entries[7].sequence], [tenant.userId, id, start + 8])
    assert.equal((await send('GET', `${sandbox.url}/sandbox/journal?after=x`)).status, 400)
  })

  it('forgets what is too old, but not the count', async t => {
    const { sandbox, tenant } = await aCloud(t, { journalMax: 5 })
    for (let made = 0; made < 20; made += 1) await tenant.create()
    const entries = sandbox.cloud.journal.after()
    assert.ok(entries.length >= 5 && entries.length <= 10)
    assert.deepEqual(sandbox.cloud.journal.after(entries.at(-2)?.sequence), entries.slice(-1))
    assert.equal(entries.at(-1)?.sequence, 46)
  })
})

describe('the sandbox', () => {
  it('has the same ids for the same seed, and others for another', async t => {
    const ids = async (seed: number) => (await aCloud(t, { seed })).pool.projectId
    assert.equal(await ids(1), await ids(1))
    assert.notEqual(await ids(1), await ids(2))
  })

  it('shows all that it holds, keys included', async t => {
    const { sandbox, pool } = await aCloud(t)
    const transfer = await pool.arm((await pool.create()).id)
    const { body } = await send('GET', `${sandbox.url}/sandbox/state`)
    assert.equal(body.transfers[0].auth_key, transfer.auth_key)
    assert.deepEqual(
      body.projects.map(({ name }: { name: string }) => name),
      ['pool', 'tenant-a', 'tenant-b']
    )
    assert.deepEqual(body.users[0].roles, { pool: ['member'], 'tenant-a': ['member'], 'tenant-b': ['member'] })
    assert.equal(body.volumes.length, 4)
  })

  it('goes back to its start on a reset', async t => {
    const { sandbox, pool } = await aCloud(t)
    await pool.create({ name: 'gone' })
    assert.equal((await send('POST', `${sandbox.url}/sandbox/reset`)).status, 204)
    assert.equal(sandbox.cloud.volumes.size, 3)
    assert.equal((await pool.call('GET', '/volumes')).status, 401)
  })

  it('writes a clouds.yaml with an entry for each user', async t => {
    const { sandbox } = await aCloud(t)
    const { clouds } = parse(cloudsYaml(sandbox))
    assert.deepEqual(Object.keys(clouds), ['pool-svc', 'tenant-a-user', 'tenant-b-user', 'admin'])
    assert.deepEqual([clouds.admin.auth.auth_url, clouds.admin.auth.project_name], [sandbox.authUrl, 'pool'])
  })

  it('closes at once, whatever is on its way', async () => {
    const sandbox = await startSandbox({ clock: systemClock, delays: 'measured' })
    const login = send('POST', `${sandbox.authUrl}/auth/tokens`, {}, passwordAuth('pool-svc', 'pool'))
    await Promise.all([assert.rejects(login), settled().then(() => sandbox.close())])
  })
})
