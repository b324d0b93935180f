/** What Cinder's releases do behind their API, and what the service makes of it. */
import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Release } from '../../sandbox/releases.ts'
import { restartVolumeService } from '../../sandbox/volumes.ts'
import { cloudRequests, loginAs, setStatus } from '../support/cloud.ts'
import { aService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const reconcile = async (service: TestService): Promise<void> => {
  const { status, body } = await service.call('POST', '/pool/reconcile')
  assert.equal(status, 200, JSON.stringify(body))
}
const check = async (service: TestService): Promise<void> => {
  const { status, body } = await service.call('POST', '/pool/check')
  assert.equal(status, 200, JSON.stringify(body))
}
const available = async (service: TestService): Promise<number> =>
  (await service.stats()).pools[0]?.spares['available'] ?? 0

const pool = (target: number) => ({ pools: [{ os: 'debian12', type: 'ssd', target }] })

const OLD: readonly Release[] = ['mitaka', 'newton', 'ocata', 'pike', 'queens', 'rocky', 'train', 'latest']

describe.each(OLD)('with Cinder %s', release => {
  it('a pool fills, and serves a spare, an existing disk, a larger one and a miss', async t => {
    const service = await aService(t, { cloud: { release }, config: pool(2) })
    const [spare, larger] = [await service.claim(), await service.claim({ hostname: 'web-02', size: 30 })]
    assert.deepEqual([spare.status, spare.body.source, larger.body.source, larger.body.size], [200, 'pool', 'pool', 30])
    const miss = await service.claim({ hostname: 'web-03', wait_seconds: 30 })
    assert.deepEqual([miss.status, miss.body.source], [200, 'created'])
    assert.equal((await service.claim()).body.volume_id, spare.body.volume_id)
    const disks = service.volumes('tenant-a').map(({ name, metadata, type }) => ({ name, metadata, type: type.name }))
    const named = ['web-01_sys', 'web-02_sys', 'web-03_sys'].map(name => ({ name, metadata: {}, type: 'ceph-ssd' }))
    assert.deepEqual(new Set(disks), new Set(named))
    await service.fill()
    await reconcile(service)
    assert.equal(await available(service), 2)
    assert.equal((await service.sync({ purge: 'all' })).body.retired, 2)
    await service.fill()
    assert.equal(await available(service), 2)
  })
})

describe('where the list of transfers is cut', () => {
  it.for(['mitaka', 'queens', 'rocky', 'train', 'latest'] as const)(
    'all spares stay in stock, with transfers as they were: %s',
    async (release, t) => {
      const service = await aService(t, { cloud: { release, listMax: 20 }, config: pool(45) })
      const before = [...service.sandbox.cloud.transfers.all()].map(({ id }) => id)
      for (let pass = 0; pass < 2; pass += 1) {
        await reconcile(service)
        await check(service)
      }
      assert.equal(await available(service), 45)
      assert.deepEqual(
        [...service.sandbox.cloud.transfers.all()].map(({ id }) => id),
        before
      )
    }
  )

  it('a transfer that others moved past the reader is asked for by itself, and its spare stays in stock', async t => {
    const service = await aService(t, { cloud: { release: 'rocky' }, config: pool(3) })
    const { transfers } = service.sandbox.cloud
    const all = transfers.all.bind(transfers)
    const [passed] = [...all()]
    assert.ok(passed)
    transfers.all = () => [...all()].filter(transfer => transfer !== passed)
    const before = await cloudRequests(service)
    await reconcile(service)
    await check(service)
    const after = await cloudRequests(service)
    assert.equal((after.get('transfer_show') ?? 0) - (before.get('transfer_show') ?? 0), 1)
    assert.equal(transfers.get(passed.id), passed)
    assert.equal(await available(service), 3)
  })

  it('an armed spare that is retired is taken out of its transfer by its id, without a list', async t => {
    const service = await aService(t, { cloud: { release: 'rocky' }, config: pool(3) })
    const before = (await cloudRequests(service)).get('transfer_list')
    assert.equal((await service.sync({ purge: 'all' })).body.retired, 3)
    await check(service)
    assert.deepEqual(service.volumes('pool'), [])
    assert.equal((await cloudRequests(service)).get('transfer_list'), before)
  })

  it('a transfer whose key was lost is found among all, taken back, and another made', async t => {
    const service = await aService(t, { cloud: { release: 'mitaka', listMax: 20 }, config: pool(25), filled: false })
    service.sandbox.cloud.addFault({ operation: 'transfer_create', kind: 'reset_after', count: 3 })
    await service.fill()
    for (let pass = 0; pass < 3; pass += 1) {
      service.clock.pass(300)
      await reconcile(service)
      await check(service)
    }
    assert.equal(await available(service), 25)
    assert.equal([...service.sandbox.cloud.transfers.all()].length, 25)
  })
})

describe('an image whose source is encrypted', () => {
  it.for(['pike', 'queens', 'latest'] as const)('is refused, and nothing is made of it: %s', async (release, t) => {
    const service = await aService(t, { cloud: { release }, filled: false })
    const type = [...service.sandbox.cloud.types.values()].find(({ name }) => name === 'ceph-ssd')
    assert.ok(type)
    type.encrypted = true
    await service.call('POST', '/pool/replenish')
    const [stats] = (await service.stats()).pools
    assert.equal(stats?.condition, 'no_image')
    assert.match(stats?.last_error ?? '', /encrypted/)
    assert.deepEqual(service.volumes('pool'), [])
  })
})

describe('a volume of another type than its image’s', () => {
  it('never enters the stock, and its pool says why', async t => {
    const service = await aService(t, { filled: false, config: pool(1) })
    await service.call('POST', '/pool/replenish')
    const [volume] = service.volumes('pool')
    assert.ok(volume)
    const other = [...service.sandbox.cloud.types.values()].find(({ name }) => name === 'ceph-sas')
    assert.ok(other)
    service.sandbox.cloud.volumes.change(volume, { type: other })
    await check(service)
    const [stats] = (await service.stats()).pools
    assert.equal(stats?.spares['available'], 0)
    assert.match(stats?.last_error ?? '', /is of volume type "ceph-sas", though "ceph-ssd" was asked for/)
    await check(service)
    assert.equal(service.sandbox.cloud.volumes.get(volume.id), undefined)
  })

  it('is not made where Cinder takes the default type for what is not named', async t => {
    const pools = [{ os: 'debian12', type: 'sas', target: 2 }] // The default type is the other one, ceph-ssd.
    const service = await aService(t, { cloud: { release: 'train' }, config: { pools } })
    assert.equal(await available(service), 2)
    assert.deepEqual(new Set(service.volumes('pool').map(({ type }) => type.name)), new Set(['ceph-sas']))
  })
})

describe('what an old Cinder cannot tell', () => {
  it('a reason for a failure: it is told without one, and is no fault of the cloud', async t => {
    const service = await aService(t, { cloud: { release: 'mitaka' }, filled: false, config: pool(1) })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'error_volume', count: 1 })
    await service.call('POST', '/pool/replenish')
    await check(service)
    const { pools, cloud } = await service.stats()
    assert.match(pools[0]?.last_error ?? '', /is in status error/)
    assert.equal(cloud.reachable, true)
  })

  it('a volume by its time: a creation without an answer is found all the same', async t => {
    const service = await aService(t, { cloud: { release: 'queens' }, filled: false, config: pool(2) })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 2 })
    await service.fill()
    assert.equal(await available(service), 2)
    assert.equal(service.volumes('pool').length, 2)
  })
})

describe('Cinder downgraded while the service runs', () => {
  it('is asked once more, by what it speaks now, and does each thing once', async t => {
    const service = await aService(t, { cloud: { release: 'latest' }, config: pool(3) })
    service.sandbox.cloud.release = 'queens'
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source], [200, 'pool'])
    await service.fill()
    assert.equal(await available(service), 3)
  })
})

describe('in Chinese', () => {
  it.for(['mitaka', 'queens', 'latest'] as const)(
    'a hidden type is told as such, and costs no spare (case 12): %s',
    async (release, t) => {
      const service = await aService(t, { cloud: { release, locale: 'zh_CN' }, config: pool(3) })
      const type = [...service.sandbox.cloud.types.values()].find(({ name }) => name === 'ceph-ssd')
      assert.ok(type)
      type.isPublic = false
      type.projectIds.add(service.project('pool'))
      const { status, body } = await service.claim()
      assert.deepEqual([status, body.code], [422, 'volume_type_hidden'])
      assert.equal(await available(service), 3)
      assert.deepEqual(await service.claims(), [])
    }
  )

  it('what speaks Chinese does so in its errors', async t => {
    const service = await aService(t, { cloud: { locale: 'zh_CN' }, filled: false })
    service.sandbox.cloud.quotas.set(`${service.project('tenant-a')} volumes`, 0)
    await service.fill()
    assert.match((await service.claim()).body.detail, /[\u4e00-\u9fff]/)
  })
})

describe('an accept whose answer is lost', () => {
  it.for([
    ['newton', 503, 1],
    ['ocata', 200, 2]
  ] as const)(
    'while it may still be carried out is sent again where of two only one counts (case 13): %s',
    async ([release, status, accepts], t) => {
      const service = await aService(t, { cloud: { release }, config: pool(3) })
      service.sandbox.cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 504, count: 1 })
      assert.equal((await service.claim()).status, status)
      assert.equal((await cloudRequests(service)).get('transfer_accept'), accepts)
      assert.equal((await service.claim()).body.source, 'pool')
      assert.equal(service.volumes('tenant-a').length, 1)
    }
  )

  it('behind a flatten that stops cinder-volume is sent again with the same key, and uses up one spare (case 15)', async t => {
    const service = await aService(t, { cloud: { release: 'newton' }, config: pool(2), cloudSeconds: 25 })
    await service.claim({ hostname: 'web-00' })
    const [left] = await service.spares()
    service.sandbox.cloud.delays = { ...service.sandbox.cloud.delays, creating: 70_000 }
    await service.call('POST', '/pool/replenish')
    const { status, body } = await service.claim()
    assert.deepEqual([status, body.source, body.volume_id], [200, 'pool', left?.volume_id])
    assert.equal((await cloudRequests(service)).get('transfer_accept'), 3)
    assert.equal(service.volumes('tenant-a').length, 2)
  })
})

describe('a creation', () => {
  it('that stays on its way since cinder-volume is down is given up after a while, and goes when it is made (case 22)', async t => {
    const service = await aService(t, { cloud: { release: 'ocata' }, config: pool(1), filled: false })
    const { volumeService } = service.sandbox.cloud
    volumeService.stop()
    await service.call('POST', '/pool/replenish')
    const [lost] = service.volumes('pool')
    await check(service)
    assert.equal((await service.stats()).pools[0]?.last_error, null)
    service.clock.pass(700)
    await check(service)
    assert.match((await service.stats()).pools[0]?.last_error ?? '', /has been in status creating since/)
    volumeService.start()
    service.clock.pass(600)
    await service.fill()
    assert.equal(await available(service), 1)
    assert.equal(service.sandbox.cloud.volumes.get(lost?.id ?? ''), undefined)
  })

  it.for([
    ['newton', 'available'],
    ['ocata', undefined]
  ] as const)(
    'in error after a restart of cinder-volume rests where it may be made yet, and is deleted once (case 23): %s',
    async ([release, later], t) => {
      const service = await aService(t, { cloud: { release }, config: pool(1), filled: false, createSeconds: 60 })
      const { cloud } = service.sandbox
      await service.call('POST', '/pool/replenish')
      const [volume] = service.volumes('pool')
      assert.ok(volume)
      restartVolumeService(cloud)
      assert.equal(volume.status, 'error')
      await check(service)
      await check(service)
      assert.equal(cloud.volumes.get(volume.id)?.status, later && 'error')
      service.clock.pass(60)
      await until(() => cloud.volumes.get(volume.id)?.status === later)
      await service.fill()
      await reconcile(service)
      assert.equal(await available(service), 1)
      assert.equal(service.volumes('pool').length, 1)
      const deletions = cloud.journal.after(0).filter(({ to }) => to === 'deleting')
      assert.deepEqual(
        deletions.map(({ volume_id }) => volume_id),
        [volume.id]
      )
    }
  )
})

describe('a spare that has failed since it was made', () => {
  it('is deleted at once, where one that is being made would rest', async t => {
    const service = await aService(t, { cloud: { release: 'newton' }, config: pool(1) })
    const [spare] = service.volumes('pool')
    assert.ok(spare)
    setStatus(service, spare.id, 'error')
    await reconcile(service)
    await check(service)
    assert.equal(service.sandbox.cloud.volumes.get(spare.id), undefined)
  })
})

describe('a Cinder whose file of filters is missing', () => {
  it('is asked without it: the pool is whole, and the log says so once (case 18)', async t => {
    const lines: string[] = []
    const cloud = { release: 'latest', resourceFilters: false } as const
    const service = await aService(t, { cloud, config: pool(2), onLog: line => lines.push(line) })
    await reconcile(service)
    assert.equal((await service.claim()).body.source, 'pool')
    assert.equal(lines.filter(line => line.includes('refused to filter a list')).length, 1)
  })
})

describe('a Cinder that speaks /v2 only', () => {
  it('fills a pool, serves claims, and finds a disk with v3 in its name (case 26)', async t => {
    const service = await aService(t, { cloud: { release: 'wallaby', withoutV3: true }, config: pool(2) })
    assert.equal((await service.claim()).body.source, 'pool')
    const first = await service.claim({ hostname: 'srv3', size: 30 })
    assert.deepEqual([first.body.source, first.body.size, first.body.name], ['pool', 30, 'srv3_sys'])
    await service.rows('delete from claims')
    const { status, body } = await service.claim({ hostname: 'srv3' })
    assert.deepEqual([status, body.source, body.volume_id], [200, 'existing', first.body.volume_id])
    await reconcile(service)
    await service.fill()
    assert.equal(await available(service), 2)
  })
})

describe('a claimer', () => {
  it('with the role _member_ is served where access.roles says so', async t => {
    const access = { mode: 'keystone', roles: { claimer: ['_member_'] } }
    const service = await aService(t, {
      cloud: { release: 'mitaka', memberRole: '_member_' },
      config: { access },
      filled: false
    })
    const token = await loginAs(service, 'tenant-a-user', 'tenant-a')
    const { status, body } = await service.claim({ wait_seconds: 30 }, { 'x-auth-token': token })
    assert.deepEqual([status, body.source], [200, 'created'])
  })
})
