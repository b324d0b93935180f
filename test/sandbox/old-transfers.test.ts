import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'vitest'
import type { Release } from '../../sandbox/releases.ts'
import { addType } from '../../sandbox/seed.ts'
import type { Body } from '../support/session.ts'
import { type Answer, aCloud, assertFault, type Cloud } from './support.ts'

/** One with so many armed volumes of the tenant's. */
async function armed(t: TestContext, release: Release, count: number, listMax = 1000) {
  const cloud = await aCloud(t, { release, listMax })
  const transfers: Body[] = []
  for (let made = 0; made < count; made += 1) {
    transfers.push(await cloud.tenant.arm((await cloud.tenant.create()).id))
    await cloud.clock.advance(1000) // Lists are sorted by time, where they are sorted.
  }
  return { ...cloud, transfers, ids: transfers.map(({ id }) => String(id)) }
}
const idsIn = (answer: Answer): string[] => answer.body.transfers.map(({ id }: Body) => id)

describe('the paths of transfers', () => {
  it('are the old one up to Queens, both since Rocky, whatever the microversion, and the old one at v2', async t => {
    const statuses = async (release: Release): Promise<number[]> => {
      const { tenant } = await aCloud(t, { release })
      const paths = ['/os-volume-transfer', '/volume-transfers', '/volume-transfers/detail']
      const answers = paths.map(path => tenant.call('GET', path, undefined, 0))
      return (await Promise.all(answers)).map(({ status }) => status)
    }
    assert.deepEqual(await statuses('queens'), [200, 404, 404])
    assert.deepEqual(await statuses('rocky'), [200, 200, 200])
  })

  it('take unknown keys up to Queens, and refuse them by schema since', async t => {
    const made = async (release: Release, path: string, minor: number): Promise<Answer> => {
      const { tenant } = await aCloud(t, { release })
      const { id } = await tenant.create()
      return await tenant.call('POST', path, { transfer: { volume_id: id, no_snapshots: true }, more: 1 }, minor)
    }
    const queens = await made('queens', '/os-volume-transfer', 50)
    assert.equal(queens.status, 202)
    const { transfer } = queens.body
    assert.deepEqual(Object.keys(transfer), ['id', 'volume_id', 'name', 'links', 'created_at', 'auth_key'])
    for (const [path, minor] of [['/os-volume-transfer', 55] as const, ['/volume-transfers', 54] as const]) {
      assert.equal((await made('rocky', path, minor)).status, 400)
    }
  })

  it('made with a key that was ignored have it not after an upgrade either', async t => {
    const { sandbox, tenant } = await aCloud(t, { release: 'queens' })
    const { id } = await tenant.arm((await tenant.create()).id, { no_snapshots: true })
    sandbox.cloud.release = 'rocky'
    assert.equal((await tenant.get(`/volume-transfers/${id}`, 55)).transfer.no_snapshots, false)
  })

  it('name what is missing in a body, and refuse an empty name', async t => {
    const { tenant } = await aCloud(t, { release: 'mitaka' })
    const { id } = await tenant.create()
    const post = (body: unknown) => tenant.call('POST', '/os-volume-transfer', body)
    assertFault(await post({}), 400, 'badRequest', "Missing required element 'transfer' in request body.")
    assertFault(await post({ transfer: {} }), 400, 'badRequest', 'Incorrect request body format')
    assert.equal((await post({ transfer: { volume_id: 'none' } })).status, 404)
    assert.equal((await post({ transfer: { volume_id: id, name: ' ' } })).status, 400)
    assert.equal((await post({ transfer: { volume_id: id, name: null } })).status, 202)
  })
})

describe('the list of transfers up to Rocky', () => {
  it('is the whole project’s, whatever is asked for, in an order of its own that stays', async t => {
    const { sandbox, tenant, ids, transfers } = await armed(t, 'rocky', 12)
    const first = idsIn(await tenant.call('GET', `/volume-transfers?volume_id=${transfers[0].volume_id}`))
    const second = idsIn(await tenant.call('GET', '/os-volume-transfer/detail?name=none&sort=id:asc&marker=x'))
    assert.deepEqual(second, first)
    assert.deepEqual(first.toSorted(), ids.toSorted())
    assert.notDeepEqual(first, ids)
    sandbox.cloud.listOrder += 1
    assert.notDeepEqual(idsIn(await tenant.call('GET', '/volume-transfers')), first)
  })

  it('is cut by limit and offset, and its next link leads to the same page for ever', async t => {
    const { tenant } = await armed(t, 'queens', 5, 2)
    const whole: string[] = []
    for (const offset of [0, 2, 4, 6]) {
      const answer = await tenant.call('GET', `/os-volume-transfer/detail?limit=100&offset=${offset}`)
      const [link] = answer.body.transfers_links ?? []
      assert.equal(link === undefined, idsIn(answer).length === 0)
      if (link) {
        const next = new URL(link.href)
        assert.deepEqual(idsIn(await tenant.call('GET', `/os-volume-transfer/detail${next.search}`)), idsIn(answer))
      }
      whole.push(...idsIn(answer))
    }
    assert.equal(new Set(whole).size, 5)
    const large = await tenant.call('GET', '/os-volume-transfer?limit=1&offset=4')
    assert.deepEqual([idsIn(large).length, large.body.transfers_links.length], [1, 1])
    assert.equal((await tenant.call('GET', '/os-volume-transfer?limit=x')).status, 400)
  })

  it('has a next link as soon as it is as long as the page may be', async t => {
    const { tenant } = await armed(t, 'mitaka', 3)
    const keys = async (query: string): Promise<string[]> =>
      Object.keys((await tenant.call('GET', `/os-volume-transfer${query}`)).body)
    assert.deepEqual(await keys(''), ['transfers'])
    assert.deepEqual(await keys('?limit=4'), ['transfers'])
    assert.deepEqual(await keys('?limit=3'), ['transfers', 'transfers_links'])
  })
})

describe('the list of transfers since Stein', () => {
  it('knows filters at every microversion, but pages since 3.59 only', async t => {
    const { tenant, transfers, ids } = await armed(t, 'stein', 3)
    const list = async (path: string, minor: number) => idsIn(await tenant.call('GET', path, undefined, minor))
    const one = `volume_id=${transfers[1].volume_id}`
    assert.deepEqual(await list(`/os-volume-transfer?${one}`, 0), [ids[1]])
    assert.deepEqual(await list('/os-volume-transfer', 0), ids)
    assert.deepEqual(await list('/volume-transfers?limit=1', 58), [])
    assert.deepEqual(await list('/os-volume-transfer?offset=1', 59), [])
    assert.deepEqual(await list(`/volume-transfers?limit=1&marker=${ids[0]}&sort=created_at:asc,id:asc`, 59), [ids[1]])
  })

  it('is empty for members that ask for all projects, up to Ussuri', async t => {
    const length = async (release: Release): Promise<number> => {
      const { tenant } = await armed(t, release, 1)
      return idsIn(await tenant.call('GET', '/volume-transfers?all_tenants=1')).length
    }
    assert.deepEqual([await length('rocky'), await length('ussuri'), await length('victoria')], [1, 0, 1])
  })
})

describe('an accept', () => {
  const racing = { transfer_accept: 500, transfer_create: 500 }

  /** Both begin before either is done; their statuses, sorted. */
  async function both(cloud: Cloud, calls: readonly (() => Promise<Answer>)[]): Promise<number[]> {
    const { sandbox, clock } = cloud
    sandbox.cloud.delays = { ...sandbox.cloud.delays, ...racing }
    const answers = calls.map(call => call())
    await clock.asleep(calls.length)
    await clock.advance(500)
    const statuses = (await Promise.all(answers)).map(({ status }) => status)
    return statuses.toSorted((left, right) => left - right)
  }
  const used = async ({ sandbox, tenant, rival }: Cloud): Promise<number[]> =>
    [tenant, rival].map(({ projectId }) => sandbox.cloud.usage.of(projectId, 'volumes'))

  it('beside another succeeds as well up to Newton: the later has the volume, and both quotas count it', async t => {
    const cloud = await aCloud(t, { release: 'newton' })
    const { pool, tenant, rival, sandbox } = cloud
    const { id } = await pool.create()
    const transfer = await pool.arm(id)
    assert.deepEqual(await both(cloud, [() => tenant.accept(transfer), () => rival.accept(transfer)]), [202, 202])
    const moves = sandbox.cloud.journal.after().filter(({ change }) => change === 'volume.moved')
    assert.deepEqual(moves.map(({ to }) => String(to)).toSorted(), [tenant.projectId, rival.projectId].toSorted())
    assert.equal(sandbox.cloud.volumes.get(id)?.projectId, moves.at(-1)?.to)
    assert.deepEqual(await used(cloud), [1, 1])
  })

  it('that began before the transfer was deleted succeeds all the same up to Newton', async t => {
    const { sandbox, clock, pool, tenant } = await aCloud(t, { release: 'newton' })
    const { id } = await pool.create()
    const transfer = await pool.arm(id)
    sandbox.cloud.delays = { ...sandbox.cloud.delays, ...racing }
    const accepting = tenant.accept(transfer)
    await clock.asleep(1)
    assert.equal((await pool.call('DELETE', `${pool.transfersPath}/${transfer.id}`)).status, 202)
    assert.equal((await pool.get(`/volumes/${id}`)).volume.status, 'available')
    await clock.advance(500)
    assert.equal((await accepting).status, 202)
    assert.equal((await tenant.get(`/volumes/${id}`)).volume.status, 'available')
  })

  it('of a second transfer after the first moved the volume counts it once', async t => {
    const cloud = await aCloud(t)
    const { pool, tenant, rival, admin } = cloud
    const { id } = await pool.create()
    const [first, second] = [await pool.arm(id), await rearmed()]
    assert.equal((await tenant.accept(first)).status, 202)
    await admin.action(id, 'os-reset_status', { status: 'awaiting-transfer' })
    assert.equal((await rival.accept(second)).status, 202)
    assert.deepEqual(await used(cloud), [0, 1])

    async function rearmed(): Promise<Body> {
      await admin.action(id, 'os-reset_status', { status: 'available' })
      return await pool.arm(id)
    }
  })

  it('beside another finds nothing from Ocata on', async t => {
    const cloud = await aCloud(t, { release: 'ocata' })
    const { pool, tenant, rival } = cloud
    const transfer = await pool.arm((await pool.create()).id)
    const statuses = await both(cloud, [() => tenant.accept(transfer), () => rival.accept(transfer)])
    assert.deepEqual(statuses, [202, 404])
    assert.equal(
      (await used(cloud)).reduce((sum, count) => sum + count),
      1
    )
  })

  it('may come of either of two creates at once up to Newton, and of one from Ocata on', async t => {
    for (const [release, expected] of [['newton', [202, 202]] as const, ['ocata', [202, 400]] as const]) {
      const cloud = await aCloud(t, { release })
      const { id } = await cloud.pool.create()
      const arm = () => cloud.pool.call('POST', '/os-volume-transfer', { transfer: { volume_id: id } })
      assert.deepEqual(await both(cloud, [arm, arm]), expected)
      assert.equal(cloud.sandbox.cloud.transfers.ofVolume(id).length, release === 'newton' ? 2 : 1)
    }
  })

  it('leaves the snapshots with the donor up to Queens, whatever their state, and takes them along since', async t => {
    const owner = async (release: Release): Promise<string> => {
      const { sandbox, pool, tenant } = await aCloud(t, { release })
      const { id } = await pool.create()
      await pool.call('POST', '/snapshots', { snapshot: { volume_id: id } })
      const [snapshot] = [...sandbox.cloud.snapshots.values()].filter(({ volumeId }) => volumeId === id)
      assert.ok(snapshot)
      assert.equal((await tenant.accept(await pool.arm(id))).status, 202)
      return snapshot.projectId === tenant.projectId ? 'tenant' : 'pool'
    }
    assert.deepEqual([await owner('queens'), await owner('rocky')], ['pool', 'tenant'])
  })

  it('asks for room for no snapshots at all, where they could move along', async t => {
    const { sandbox, pool, tenant } = await aCloud(t, { release: 'rocky' })
    const { id } = await tenant.create()
    await tenant.call('POST', '/snapshots', { snapshot: { volume_id: id } })
    sandbox.cloud.quotas.set(`${tenant.projectId} snapshots`, 0)
    const refused = await tenant.accept(await pool.arm((await pool.create()).id))
    assertFault(refused, 413, 'overLimit', /^SnapshotLimitExceeded/)
    assert.equal((await tenant.accept(await pool.arm((await pool.create()).id, { no_snapshots: true }))).status, 202)
  })

  it('moves updated_at since Queens', async t => {
    const moved = async (release: Release): Promise<boolean> => {
      const { pool, tenant, clock } = await aCloud(t, { release })
      const { id } = await pool.create()
      const transfer = await pool.arm(id)
      const before = (await pool.get(`/volumes/${id}`)).volume.updated_at
      await clock.advance(5000)
      await tenant.accept(transfer)
      return (await tenant.get(`/volumes/${id}`)).volume.updated_at !== before
    }
    assert.deepEqual([await moved('pike'), await moved('queens')], [false, true])
  })

  it('knows a limit for each volume’s size since Newton', async t => {
    const status = async (release: Release): Promise<number> => {
      const { pool, tenant, admin } = await aCloud(t, { release })
      const quota = { quota_set: { per_volume_gigabytes: 1 } }
      assert.equal((await admin.call('PUT', `/os-quota-sets/${tenant.projectId}`, quota)).status, 200)
      return (await tenant.accept(await pool.arm((await pool.create({ size: 2 })).id))).status
    }
    assert.deepEqual([await status('mitaka'), await status('newton')], [202, 413])
  })

  it('gives an encrypted volume away without its key up to Pike; then nobody gets it below 3.70', async t => {
    const arm = async (release: Release, minor: number) => {
      const cloud = await aCloud(t, { release })
      const { sandbox, pool } = cloud
      addType(sandbox.cloud, 'luks', true, true)
      const { id } = await pool.create({ volume_type: 'luks' })
      const made = await pool.call('POST', pool.transfersPath, { transfer: { volume_id: id } }, minor)
      return { ...cloud, made }
    }
    const pike = await arm('pike', 43)
    assert.equal((await pike.tenant.accept(pike.made.body.transfer)).status, 202)
    const left = pike.sandbox.cloud.journal.after().filter(({ change }) => change === 'volume.key_left')
    assert.deepEqual(
      left.map(({ from }) => from),
      [pike.pool.projectId]
    )
    const refusal = 'Invalid volume: transferring encrypted volume is not supported'
    assertFault((await arm('queens', 50)).made, 400, 'badRequest', refusal)
    assert.equal((await arm('yoga', 68)).made.status, 400)
    assert.equal((await arm('zed', 70)).made.status, 202)
  })
})
