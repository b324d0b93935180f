import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { setQuota } from '../../sandbox/quotas.ts'
import { connect } from '../../src/openstack/openstack.ts'
import { cloudSettings } from '../../src/openstack/settings.ts'
import { collect } from '../../src/operations/concurrently.ts'
import type { VolumeFilter } from '../../src/pool/ports.ts'
import { failing } from '../support/cloud-failures.ts'
import { aSandbox, CALL, listed, METADATA } from '../support/openstack-sandbox.ts'

describe('a spare', () => {
  it('is made from a snapshot, found, renamed, extended and deleted', async t => {
    const { pool, spare, snapshot } = await aSandbox(t)
    const made = await spare()
    assert.deepEqual([made.name, made.status, made.sizeGib], ['spare-1', 'creating', 20])
    const found = await pool.volumes.find(made.id, CALL)
    assert.deepEqual(
      [found?.status, found?.snapshotId, found?.volumeType, found?.projectId, found?.metadata, found?.attached],
      ['available', snapshot.id, 'ceph-ssd', pool.id, METADATA, false]
    )
    await pool.volumes.update(made.id, { name: 'web-01_sys', metadata: {} }, CALL)
    await pool.volumes.extend(made.id, 40, CALL)
    const changed = await pool.volumes.find(made.id, CALL)
    assert.deepEqual([changed?.name, changed?.metadata, changed?.sizeGib], ['web-01_sys', {}, 40])
    await pool.volumes.delete(made.id, CALL)
    assert.equal(await pool.volumes.find(made.id, CALL), undefined)
    await pool.volumes.delete(made.id, CALL)
  })

  it('is found by name, by status, by metadata and by age', async t => {
    const { pool, spare, clock } = await aSandbox(t)
    const odd = `it's "odd" \\ ü`
    clock.pass(60)
    await spare('Spare-1', { spare_pool: odd })
    clock.pass(60)
    const since = clock.now()
    const second = await spare('spare-1', { spare_pool: 'other' })
    const names = async (filter: VolumeFilter) => (await listed(pool.volumes, filter)).map(({ name }) => name)
    assert.deepEqual(
      (await listed(pool.volumes, { name: 'spare-1' })).map(({ id }) => id),
      [second.id]
    )
    assert.deepEqual(await names({ metadata: { spare_pool: odd } }), ['Spare-1'])
    assert.deepEqual(await names({ createdSince: since }), ['spare-1'])
    assert.deepEqual(await names({ status: 'creating' }), [])
    assert.equal((await names({})).filter(name => /^spare-1$/i.test(name)).length, 2)
  })

  it('is found among more than a page', async t => {
    const { pool, spare } = await aSandbox(t)
    for (let made = 0; made < 1100; made += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => spare(`spare-${made + index}`)))
    }
    const sizes: number[] = []
    for await (const page of pool.volumes.pages({ metadata: METADATA }, CALL)) sizes.push(page.length)
    assert.deepEqual(sizes, [1000, 100])
  })

  it('that failed has Cinder’s reason', async t => {
    const { pool, spare, fault } = await aSandbox(t)
    fault({ operation: 'volume_create', kind: 'error_volume' })
    const { id } = await spare()
    assert.equal((await pool.volumes.find(id, CALL))?.status, 'error')
    assert.match((await pool.volumes.faultOf(id, CALL)) ?? '', /./)
    assert.equal(await pool.volumes.faultOf((await spare()).id, CALL), undefined)
  })

  it('is refused in Cinder’s own words', async t => {
    const { pool, spare, projectId, cloud } = await aSandbox(t)
    const wish = { name: 'x', snapshotId: '00000000-0000-4000-8000-000000000000', sizeGib: 20, volumeType: 'ceph-ssd' }
    await assert.rejects(
      pool.volumes.create(wish, CALL),
      failing('not_found', /^Cinder: Snapshot .* could not be found/)
    )
    setQuota(cloud, projectId('pool'), 'volumes', 3)
    await assert.rejects(spare(), failing('over_quota', /Maximum number of volumes allowed/))
  })
})

describe('handing over', () => {
  it('moves the volume to the project whose token accepts, by the service’s user', async t => {
    const { client, pool, projectId, spare } = await aSandbox(t)
    const { id } = await spare()
    const armed = await pool.transfers.create(id, 'spare one', CALL)
    assert.equal((await pool.volumes.find(id, CALL))?.status, 'awaiting-transfer')
    assert.deepEqual(await pool.transfers.ofVolume(id, CALL), [{ id: armed.id, volumeId: id, name: 'spare one' }])
    assert.equal((await collect(pool.transfers.pages(CALL))).length, 1)
    await pool.volumes.update(id, { name: 'web-01_sys', metadata: {} }, CALL)
    const tenant = await client.project(projectId('tenant-a'), CALL)
    await tenant.transfers.accept(armed.id, armed.authKey, CALL)
    const accepted = await tenant.volumes.find(id, CALL)
    assert.deepEqual([accepted?.status, accepted?.name, accepted?.projectId], ['available', 'web-01_sys', tenant.id])
    assert.equal(await pool.volumes.find(id, CALL), undefined)
    await assert.rejects(tenant.transfers.accept(armed.id, armed.authKey, CALL), failing('not_found'))
  })

  it('moves it to the caller when the caller’s token accepts', async t => {
    const { client, pool, spare, as, cloud, projectId } = await aSandbox(t)
    const { id } = await spare()
    const armed = await pool.transfers.create(id, 'spare', CALL)
    await as('tenant-a-user').poolProject(CALL)
    const token = [...cloud.tokens.values()].find(({ user }) => user.name === 'tenant-a-user')?.id ?? ''
    const identity = await client.identify(token, CALL)
    assert.ok(identity)
    assert.equal(identity.projectId, projectId('tenant-a'))
    assert.ok(identity.roles.includes('member'))
    const tenant = client.withToken(identity)
    await tenant.transfers.accept(armed.id, armed.authKey, CALL)
    assert.equal(cloud.volumes.get(id)?.userId, identity.userId)
    assert.equal((await tenant.volumes.find(id, CALL))?.status, 'available')
  })

  it('is called off by deleting the transfer, gone or not', async t => {
    const { pool, spare } = await aSandbox(t)
    const { id } = await spare()
    const armed = await pool.transfers.create(id, 'spare', CALL)
    await assert.rejects(pool.transfers.create(id, 'again', CALL), failing('bad_request', /status must be available/))
    await pool.transfers.delete(armed.id, CALL)
    await pool.transfers.delete(armed.id, CALL)
    assert.equal((await pool.volumes.find(id, CALL))?.status, 'available')
  })

  it('fails on a wrong key and on a full quota, and leaves the transfer as it is', async t => {
    const { client, pool, projectId, spare, cloud } = await aSandbox(t)
    const { id } = await spare()
    const armed = await pool.transfers.create(id, 'spare', CALL)
    const tenant = await client.project(projectId('tenant-a'), CALL)
    await assert.rejects(tenant.transfers.accept(armed.id, 'wrong', CALL), failing('bad_request', /Invalid auth key/))
    setQuota(cloud, tenant.id, 'volumes', 0)
    await assert.rejects(tenant.transfers.accept(armed.id, armed.authKey, CALL), failing('over_quota'))
    setQuota(cloud, tenant.id, 'volumes', 1)
    await tenant.transfers.accept(armed.id, armed.authKey, CALL)
  })
})

describe('a project', () => {
  it('tells its quota, without what is not limited', async t => {
    const { client, pool, projectId, cloud } = await aSandbox(t)
    assert.equal((await pool.volumes.quota(CALL)).has('volumes'), false)
    setQuota(cloud, projectId('tenant-a'), 'volumes', 7)
    const tenant = await client.project(projectId('tenant-a'), CALL)
    assert.equal((await tenant.volumes.quota(CALL)).get('volumes'), 7)
  })

  it('lists its snapshots with the volumes that they were made from', async t => {
    const { pool } = await aSandbox(t)
    const snapshots = await pool.snapshots.list(CALL)
    const shown = snapshots.map(({ name, status, sizeGib }) => `${name} ${status} ${sizeGib}`)
    assert.deepEqual(
      new Set(shown),
      new Set([
        'debian12_sas_20261101 available 20',
        'debian12_ssd_20261101 available 20',
        'windows2022_ssd_20261101 available 40'
      ])
    )
    for (const { volumeId } of snapshots)
      assert.match((await pool.volumes.find(volumeId, CALL))?.name ?? '', /^golden-/)
  })

  it('in which the user has no role is refused', async t => {
    const { client, projectId } = await aSandbox(t, { user: 'tenant-a-user' })
    await assert.rejects(client.project(projectId('tenant-b'), CALL), failing('project_refused', /^Keystone: /))
    await assert.rejects(client.project('0'.repeat(32), CALL), failing('project_refused'))
  })

  it('tells the user’s roles', async t => {
    const { client, projectId } = await aSandbox(t, { user: 'admin' })
    assert.ok((await client.project(projectId('tenant-b'), CALL)).roles.includes('admin'))
  })
})

describe('tokens in the sandbox', () => {
  it('are renewed when they run out, and when they are revoked', async t => {
    const { pool, clock, cloud, count } = await aSandbox(t)
    clock.pass(3601)
    await listed(pool.volumes)
    assert.equal(count('token_issue'), 2)
    cloud.tokens.clear()
    await Promise.all(Array.from({ length: 50 }, () => listed(pool.volumes)))
    assert.equal(count('token_issue'), 3)
  })

  it('revoked under a claim do not keep it from being finished', async t => {
    const { client, pool, projectId, spare, fault } = await aSandbox(t)
    const { id } = await spare()
    fault({ operation: 'transfer_create', kind: 'revoke_tokens' })
    const armed = await pool.transfers.create(id, 'spare', CALL)
    const tenant = await client.project(projectId('tenant-a'), CALL)
    fault({ operation: 'transfer_accept', kind: 'revoke_tokens' })
    await tenant.transfers.accept(armed.id, armed.authKey, CALL)
    assert.equal((await tenant.volumes.find(id, CALL))?.status, 'available')
  })

  it('of callers are known while they are good', async t => {
    const { client, as, cloud, clock } = await aSandbox(t)
    await as('tenant-a-user').poolProject(CALL)
    const token = [...cloud.tokens.values()].find(({ user }) => user.name === 'tenant-a-user')?.id ?? ''
    assert.ok(await client.identify(token, CALL))
    assert.equal(await client.identify('gAAAAABnonsense', CALL), undefined)
    clock.pass(3601)
    assert.equal(await client.identify(token, CALL), undefined)
  })

  it('come from an application credential as well, for one project', async t => {
    const { sandbox, cloud, clock, projectId } = await aSandbox(t)
    const [credential] = cloud.applicationCredentials.values()
    assert.ok(credential)
    const { id, secret } = credential
    const auth = { auth_url: sandbox.authUrl, application_credential_id: id, application_credential_secret: secret }
    const client = connect({ settings: cloudSettings({ auth }, {}), clock })
    t.onTestFinished(() => client.close())
    const pool = await client.poolProject(CALL)
    assert.equal(pool.id, projectId('pool'))
    assert.equal((await listed(pool.volumes)).length, 3)
    await assert.rejects(
      client.project(projectId('tenant-a'), CALL),
      failing('project_refused', /application credential/)
    )
  })
})

describe('what goes wrong in the sandbox', () => {
  it('a creation whose answer is lost may have acted, is not repeated, and is found by its metadata', async t => {
    const { pool, spare, fault, count } = await aSandbox(t)
    for (const kind of ['reset_after', 'reset_before'] as const) {
      fault({ operation: 'volume_create', kind })
      await assert.rejects(spare(kind, { spare_id: kind }), failing('failed', /connection broke/, true))
    }
    assert.equal(count('volume_create'), 2)
    assert.equal((await listed(pool.volumes, { metadata: { spare_id: 'reset_after' } })).length, 1)
    assert.equal((await listed(pool.volumes, { metadata: { spare_id: 'reset_before' } })).length, 0)
  })

  it('an accept that fails may have acted', async t => {
    const { client, pool, projectId, spare, fault } = await aSandbox(t)
    const { id } = await spare()
    const armed = await pool.transfers.create(id, 'spare', CALL)
    const tenant = await client.project(projectId('tenant-a'), CALL)
    fault({ operation: 'transfer_accept', kind: 'status', status: 500 })
    await assert.rejects(tenant.transfers.accept(armed.id, armed.authKey, CALL), failing('failed', /erred/, true))
    fault({ operation: 'transfer_accept', kind: 'status', status: 502, acts: true })
    await assert.rejects(tenant.transfers.accept(armed.id, armed.authKey, CALL), failing('failed', /./, true))
    assert.equal((await tenant.volumes.find(id, CALL))?.status, 'available')
  })

  it('a deletion whose answer is lost is repeated and done', async t => {
    const { pool, spare, fault, count } = await aSandbox(t)
    const { id } = await spare()
    fault({ operation: 'volume_delete', kind: 'reset_after' })
    await pool.volumes.delete(id, CALL)
    assert.equal(count('volume_delete'), 2)
    assert.equal(await pool.volumes.find(id, CALL), undefined)
  })

  it('reads get through short outages', async t => {
    const { pool, fault, count } = await aSandbox(t)
    fault({ operation: 'volume_list', kind: 'status', status: 503, count: 2 })
    assert.equal((await listed(pool.volumes)).length, 3)
    assert.equal(count('volume_list'), 3)
  })
})
