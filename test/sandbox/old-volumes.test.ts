import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import type { Release } from '../../sandbox/releases.ts'
import type { Body } from '../support/session.ts'
import { type Answer, aCloud, assertFault, type Cloud, send } from './support.ts'

describe('a volume from a snapshot', () => {
  /** The type that it gets from a snapshot of `ceph-sas`, where `ceph-ssd` is the default. */
  const typeOf = async (t: TestContext, release: Release, more: object = {}): Promise<string | number> => {
    const { sandbox, pool } = await aCloud(t, { release })
    const snapshot = sandbox.cloud.addSnapshot({ name: 'alpine3_sas_1', type: 'ceph-sas', sizeGib: 1 })
    const wish = { volume: { snapshot_id: snapshot.id, ...more } }
    const { status, body } = await pool.call('POST', '/volumes', wish)
    return status === 202 ? body.volume.volume_type : status
  }

  it.for<[Release, string]>([
    ['mitaka', 'ceph-sas'],
    ['stein', 'ceph-sas'],
    ['train', 'ceph-ssd'],
    ['ussuri', 'ceph-ssd'],
    ['victoria', 'ceph-sas'],
    ['latest', 'ceph-sas']
  ])('of which no type is said has on %s the type %s', async ([release, type], t) => {
    assert.equal(await typeOf(t, release), type)
  })

  it.for<Release>(['mitaka', 'train', 'latest'])(
    'has the type of its source where that is said, on %s',
    async (release, t) => {
      assert.equal(await typeOf(t, release, { volume_type: 'ceph-sas' }), 'ceph-sas')
    }
  )

  it('has it up to Queens whatever is said; since, another is refused', async t => {
    const wish = { volume_type: 'ceph-ssd' }
    assert.deepEqual([await typeOf(t, 'queens', wish), await typeOf(t, 'rocky', wish)], ['ceph-sas', 400])
    assert.equal(await typeOf(t, 'mitaka', { volume_type: 'none' }), 404)
  })

  it('without a type has none either, up to Stein', async t => {
    const { sandbox, pool } = await aCloud(t, { release: 'stein' })
    const { id } = sandbox.cloud.addSnapshot({ name: 'alpine3_any_1', type: null, sizeGib: 1 })
    assert.equal((await pool.create({ snapshot_id: id })).volume_type, null)
    sandbox.cloud.release = 'train'
    assert.throws(() => sandbox.cloud.addSnapshot({ name: 'b', type: null }), /^RangeError: type: null: .* train/)
  })
})

describe('a volume that is made of nothing', () => {
  it('has no type where no default is set', async t => {
    const { pool, sandbox } = await aCloud(t, { release: 'pike', nullTypes: true })
    assert.equal((await pool.create()).volume_type, null)
    assert.equal((await pool.create({ volume_type: 'ceph-sas' })).volume_type, 'ceph-sas')
    assert.ok(![...sandbox.cloud.types.values()].some(({ name }) => name === ''))
  })

  it('may be asked for with unknown keys below 3.53', async t => {
    const { pool } = await aCloud(t, { release: 'ocata' })
    assert.equal((await pool.call('POST', '/volumes', { volume: { size: 1, colour: 'red' }, more: {} })).status, 202)
    const { pool: newer } = await aCloud(t, { release: 'rocky' })
    const wish = { volume: { size: 1, colour: 'red' } }
    assert.equal((await newer.call('POST', '/volumes', wish, 52)).status, 202)
    assert.equal((await newer.call('POST', '/volumes', wish, 53)).status, 400)
  })
})

describe('PUT of name and metadata', () => {
  const change = { volume: { name: 'web', metadata: { claim: '1' } } }

  /** The answer to it, while the volume moves to the tenant between what may be two writes. */
  async function overtaken(cloud: Cloud): Promise<{ id: string; answer: Answer }> {
    const { sandbox, pool, tenant, clock } = cloud
    const { id } = await pool.create({ name: 'spare', metadata: { spare_id: '7' } })
    const transfer = await pool.arm(id)
    sandbox.cloud.delays = { ...sandbox.cloud.delays, renaming: 1000 }
    const answer = pool.call('PUT', `/volumes/${id}`, change)
    if (sandbox.cloud.traits.renamesInTwoWrites) await clock.asleep(1)
    else await answer
    assert.equal((await tenant.accept(transfer)).status, 202)
    await clock.advance(1000)
    return { id, answer: await answer }
  }

  it('is half done up to Newton where the volume moves in its middle', async t => {
    const cloud = await aCloud(t, { release: 'newton' })
    const { id, answer } = await overtaken(cloud)
    assertFault(answer, 404, 'itemNotFound', `Volume ${id} could not be found.`)
    const { name, metadata } = (await cloud.tenant.get(`/volumes/${id}`)).volume
    assert.deepEqual([name, metadata], ['spare', { claim: '1' }])
  })

  it('is whole up to Newton too where nothing comes between', async t => {
    const { sandbox, clock, pool } = await aCloud(t, { release: 'mitaka' })
    const { id } = await pool.create()
    sandbox.cloud.delays = { ...sandbox.cloud.delays, renaming: 1000 }
    const answer = pool.call('PUT', `/volumes/${id}`, change)
    await clock.asleep(1)
    assert.deepEqual((await pool.get(`/volumes/${id}`)).volume.name, 'disk')
    await clock.advance(1000)
    assert.equal((await answer).body.volume.name, 'web')
  })

  it('is one write from Ocata on', async t => {
    const cloud = await aCloud(t, { release: 'ocata' })
    const { id, answer } = await overtaken(cloud)
    const { name, metadata } = (await cloud.tenant.get(`/volumes/${id}`)).volume
    assert.deepEqual([answer.status, name, metadata], [200, 'web', { claim: '1' }])
  })
})

describe('lists', () => {
  it('drop created_at as a filter below 3.31, refuse it from Pike to Train, and know it since Ussuri', async t => {
    const found = async (release: Release, minor?: number): Promise<number> => {
      const { tenant } = await aCloud(t, { release })
      await tenant.create()
      const path = '/volumes?created_at=gt:2027-01-01T00:00:00'
      const { status, body } = await tenant.call('GET', path, undefined, minor)
      return status === 200 ? body.volumes.length : status
    }
    const [ocata, train30, train, ussuri30, ussuri] = [
      await found('ocata'),
      await found('train', 30),
      await found('train'),
      await found('ussuri', 30),
      await found('ussuri')
    ]
    assert.deepEqual([ocata, train30, train, ussuri30, ussuri], [1, 1, 400, 1, 0])
  })

  it('refuse every filter from 3.31 on where the file that names them is missing, but to administrators', async t => {
    const { pool, admin } = await aCloud(t, { release: 'pike', resourceFilters: false })
    for (const path of ['/volumes', '/snapshots/detail']) {
      const message = 'Invalid filters name are found in query options.'
      assertFault(await pool.call('GET', `${path}?name=a&limit=1`, undefined, 31), 400, 'badRequest', message)
      assert.equal((await pool.call('GET', `${path}?limit=1&sort=id:asc`, undefined, 31)).status, 200)
      assert.equal((await pool.call('GET', `${path}?name=a`, undefined, 30)).status, 200)
      assert.equal((await admin.call('GET', `${path}?name=a`, undefined, 31)).status, 200)
    }
  })

  it('have pages of at most as many rows as the operator allows', async t => {
    const { pool, snapshotId } = await aCloud(t, { release: 'rocky', listMax: 2 })
    const { volumes, volumes_links: links } = await pool.get('/volumes?limit=100')
    assert.deepEqual([volumes.length, links.length], [2, 1])
    assert.equal((await pool.get(`/volumes?limit=100&marker=${volumes[1].id}`)).volumes.length, 1)
    const { snapshots } = await pool.get('/snapshots/detail?sort=id:asc')
    assert.equal(snapshots.length, 2)
    assert.ok(snapshotId)
  })

  it('of snapshots know metadata as a filter since 3.22, and the name as an order since 3.30', async t => {
    const { pool } = await aCloud(t, { release: 'pike' })
    const path = `/snapshots?metadata=${encodeURIComponent("{'a': 'b'}")}`
    const found = async (minor: number) => (await pool.get(path, minor)).snapshots.length
    assert.deepEqual([await found(21), await found(22)], [3, 0])
    assert.equal((await pool.call('GET', '/snapshots?sort=name:asc', undefined, 29)).status, 400)
    assert.equal((await pool.call('GET', '/snapshots?sort=name:asc', undefined, 30)).status, 200)
  })

  it('of messages are not there on Mitaka and at v2, begin at 3.3, and tell one volume’s since 3.5', async t => {
    const failed = async (release: Release) => {
      const cloud = await aCloud(t, { release })
      cloud.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume' })
      await cloud.pool.create()
      const { id } = await cloud.pool.create()
      return { ...cloud, path: `/messages?resource_uuid=${id}` }
    }
    const mitaka = await failed('mitaka')
    const missing = await mitaka.pool.call('GET', mitaka.path)
    assert.deepEqual([missing.status, missing.body], [404, undefined])
    const { pool, path } = await failed('newton')
    assertFault(await pool.call('GET', path, undefined, 2), 404, 'itemNotFound', /./)
    const messages = async (minor: number): Promise<Body> => (await pool.get(path, minor)).messages
    assert.deepEqual([(await messages(3)).length, (await messages(5)).length], [2, 1])
    assert.doesNotMatch((await messages(5))[0].user_message, /weighted backend/)
    const old = await send('GET', `${pool.cinderUrl.replace('/v3/', '/v2/')}/messages`, { 'x-auth-token': pool.token })
    assert.deepEqual([old.status, old.body], [404, undefined])
  })
})

describe('extending and deleting', () => {
  it('look at the status first on Mitaka, and at the size since Newton', async t => {
    const said = async (release: Release): Promise<string> => {
      const { pool } = await aCloud(t, { release })
      const { id } = await pool.create({ size: 2 })
      await pool.arm(id)
      const { status, body } = await pool.action(id, 'os-extend', { new_size: 1 })
      assert.equal(status, 400)
      return body.badRequest.message
    }
    assert.match(await said('mitaka'), /^Invalid volume: /)
    assert.match(await said('newton'), /^Invalid input received: New size/)
  })

  it('know a limit for each volume’s size since Newton, and error_managing since Ocata', async t => {
    const statuses = async (release: Release): Promise<number[]> => {
      const { pool, admin } = await aCloud(t, { release })
      await admin.call('PUT', `/os-quota-sets/${pool.projectId}`, { quota_set: { per_volume_gigabytes: 1 } })
      const { id } = await pool.create()
      const extended = await pool.action(id, 'os-extend', { new_size: 2 })
      const { id: other } = await pool.create()
      await admin.action(other, 'os-reset_status', { status: 'error_managing' })
      return [extended.status, (await pool.call('DELETE', `/volumes/${other}`)).status]
    }
    assert.deepEqual(
      [await statuses('mitaka'), await statuses('newton'), await statuses('ocata')],
      [
        [202, 400],
        [413, 400],
        [413, 202]
      ]
    )
  })
})

describe('what a policy or a cloud decides', () => {
  it('leaves out of the limits what is used', async t => {
    const { pool } = await aCloud(t, { release: 'queens', usedLimits: false })
    const { absolute } = (await pool.get('/limits')).limits
    assert.deepEqual([absolute.maxTotalVolumes, absolute.totalVolumesUsed], [-1, undefined])
  })

  it('gives users another role than member', async t => {
    const { sandbox, pool } = await aCloud(t, { release: 'mitaka', memberRole: '_member_' })
    const shown = await send('GET', `${sandbox.authUrl}/auth/tokens`, {
      'x-auth-token': pool.token,
      'x-subject-token': pool.token
    })
    assert.deepEqual(
      shown.body.token.roles.map(({ name }: Body) => name),
      ['_member_']
    )
    assert.match(pool.token, /^[0-9a-f]{32}$/)
  })

  it('knows application credentials since Queens', async t => {
    const status = async (release: Release): Promise<number> => {
      const { sandbox } = await aCloud(t, { release })
      const [seeded] = sandbox.cloud.applicationCredentials.values()
      const application_credential = { id: seeded?.id, secret: 'sandbox' }
      const identity = { methods: ['application_credential'], application_credential }
      return (await send('POST', `${sandbox.authUrl}/auth/tokens`, {}, { auth: { identity } })).status
    }
    assert.deepEqual([await status('pike'), await status('queens')], [401, 201])
  })
})
