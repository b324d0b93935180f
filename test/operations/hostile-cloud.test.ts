import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  array,
  assert as assertProperty,
  asyncProperty,
  constantFrom,
  oneof,
  record,
  string,
  tuple,
  uuid
} from 'fast-check'
import { describe, it } from 'vitest'
import type { Volume } from '../../sandbox/model.ts'
import { addType } from '../../sandbox/seed.ts'
import { volumeIn } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

interface Ticked {
  readonly left: number
  readonly adopted: number
  readonly removed: number
}

async function tick(service: TestService, path: 'replenish' | 'check' | 'reconcile'): Promise<Ticked> {
  const { status, body } = await service.call<Ticked>('POST', `/pool/${path}`)
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

async function allTicks(service: TestService): Promise<void> {
  for (let pass = 0; pass < 3; pass += 1) {
    for (const path of ['replenish', 'check', 'reconcile'] as const) await tick(service, path)
  }
}

/** One in the pool's project that differs from a spare's in what is said. */
function plant(service: TestService, differs: Partial<Volume>): Volume {
  const { cloud } = service.sandbox
  const [like] = service.volumes('pool')
  assert.ok(like)
  const volume: Volume = { ...like, id: cloud.random.uuid(), status: 'available', ...differs }
  cloud.volumes.add(volume)
  return volume
}

const OURS = { spare_pool: 'default' }

/** What somebody has made by hand, or changed. */
const ODD: Readonly<Record<string, (spareId: string) => Partial<Volume>>> = {
  'has an id that is no UUID': () => ({ name: 'spare-test', metadata: { ...OURS, spare_id: 'test' } }),
  'has no id at all': () => ({ name: 'spare-', metadata: OURS }),
  'has its id in upper case': () => {
    const id = 'ABCDEF00-0000-4000-8000-00000000000A'
    return { name: `spare-${id}`, metadata: { ...OURS, spare_id: id } }
  },
  'has another name than its id': () => ({
    name: `spare-${randomUUID()}`,
    metadata: { ...OURS, spare_id: randomUUID() }
  }),
  'copies another spare, name and all': id => ({ name: `spare-${id}`, metadata: { ...OURS, spare_id: id } }),
  'copies the metadata of another spare': id => ({ name: 'spare-copy', metadata: { ...OURS, spare_id: id } }),
  'has a size that no disk has': () => {
    const id = randomUUID()
    return { name: `spare-${id}`, metadata: { ...OURS, spare_id: id }, sizeGib: 2 ** 40 }
  }
}

describe('a volume with our metadata that we have not made', () => {
  it.for(Object.entries(ODD))('is left alone, counted and told once: it %s', async ([, odd], t) => {
    const told: string[] = []
    const service = await aService(t, { onLog: line => void (line.includes('left alone') && told.push(line)) })
    const [spare] = await service.spares()
    const volume = plant(service, odd(spare?.id ?? ''))
    const before = structuredClone(volume)
    await allTicks(service)
    assert.deepEqual(service.sandbox.cloud.volumes.get(volume.id), before)
    assert.equal((await service.stats()).orphans, 1)
    assert.equal(told.length, 1)
    const spares = await service.spares()
    assert.ok(spares.length === 5 && spares.every(({ status, armed }) => status === 'available' && armed))
  })

  it('is not taken for the volume of a creation that had no answer', async t => {
    const service = await aService(t, { filled: false, config: { pools: [{ ...DEBIAN, target: 1 }] } })
    service.sandbox.cloud.addFault({ operation: 'volume_create', kind: 'reset_after', count: 1 })
    await tick(service, 'replenish')
    const [spare] = await service.spares()
    const [made] = service.volumes('pool')
    assert.ok(spare && made)
    const metadata = { ...OURS, spare_id: spare.id }
    const copies = ['zzz', '000'].map(id => plant(service, { id, name: 'kept by hand', metadata }))
    await tick(service, 'check')
    assert.equal((await service.spares())[0]?.volume_id, made.id)
    await allTicks(service)
    assert.deepEqual(
      copies.map(({ id }) => service.sandbox.cloud.volumes.get(id)),
      copies
    )
  })
})

describe('one item that cannot be dealt with', () => {
  it('is left and counted, and all the others are dealt with', async t => {
    const pools = [{ ...DEBIAN, target: 4 }]
    const service = await aService(t, { config: { pools } })
    await service.rows("update backup_volumes set status = 'retiring'")
    const [stuck] = await service.spares()
    await service.rows(`create function refuse() returns trigger language plpgsql as
      $$ begin if old.id = '${stuck?.id}' then raise exception 'not this one'; end if; return old; end $$;
      `)
    await service.rows('create trigger refuse before delete on backup_volumes for each row execute function refuse()')
    await tick(service, 'check')
    assert.equal((await tick(service, 'check')).left, 1)
    assert.deepEqual(
      (await service.spares()).map(({ id }) => id),
      [stuck?.id]
    )
    const { body } = await service.call<string>('GET', '/metrics')
    assert.match(body, /spare_pool_tick_items_failed_total\{tick="check_state"\} 1/)
  })

  it('ends the run if the database fails', async t => {
    const service = await aService(t)
    const [spare] = await service.spares()
    service.sandbox.cloud.volumes.remove(volumeIn(service, spare?.volume_id ?? ''))
    await service.rows(`create function fall() returns trigger language plpgsql as
      $$ begin raise exception 'no room' using errcode = '53100'; end $$`)
    await service.rows('create trigger fall before delete on backup_volumes for each row execute function fall()')
    const { status, body } = await service.call('POST', '/pool/reconcile')
    assert.deepEqual([status, body.code], [503, 'database_unavailable'])
    assert.match(body.detail, /^volumes not reviewed: /)
  })
})

describe('a part of reconcile that fails', () => {
  it.for([
    ['transfer_list', 'transfers not reviewed'],
    ['volume_list', 'volumes not reviewed'],
    ['snapshot_list', 'newer images not looked for']
  ] as const)('is told, and the others are done: %s', async ([operation, part], t) => {
    const service = await aService(t, { config: { claims: { keep_days: 1 } } })
    const { cloud } = service.sandbox
    await service.claim()
    service.clock.pass(3 * 86_400)
    const [orphan, retired] = await service.spares()
    await service.rows(`delete from backup_volumes where id = '${orphan?.id}'`)
    await service.rows(`update backup_volumes set status = 'retiring' where id = '${retired?.id}'`)
    cloud.addFault({ operation, kind: 'status', status: 500 })
    for (let pass = 0; pass < 2; pass += 1) {
      const { status, body } = await service.call('POST', '/pool/reconcile')
      assert.deepEqual([status, body.code], [502, 'cloud_error'])
      assert.ok(body.detail.startsWith(`${part}: `), body.detail)
    }
    assert.match((await service.stats()).ticks['reconcile']?.last_error ?? '', new RegExp(`^${part}: `))
    assert.equal(cloud.volumes.get(retired?.volume_id ?? ''), undefined) // Its transfer is taken back by its id.
    assert.deepEqual(await service.claims(), [])
    const adopted = (await service.spares()).some(({ volume_id }) => volume_id === orphan?.volume_id)
    assert.equal(adopted, operation !== 'volume_list')
  })

  it('forgets nothing that an earlier pass has seen', async t => {
    const service = await aService(t)
    await service.rows('delete from backup_volumes where id in (select id from backup_volumes limit 1)')
    await tick(service, 'reconcile')
    service.sandbox.cloud.addFault({ operation: 'volume_list', kind: 'status', status: 500 })
    await service.call('POST', '/pool/reconcile')
    service.sandbox.cloud.faults.remove()
    assert.equal((await tick(service, 'reconcile')).adopted, 1)
  })
})

describe('a snapshot that cannot be an image', () => {
  it('is ignored by a sync, with the reason', async t => {
    const golden = [
      { name: 'a\0b_ssd_1', type: 'ceph-ssd' },
      { name: 'a\u0007b_ssd_1', type: 'ceph-ssd' },
      { name: 'alma9_ssd_1', type: 'ceph-ssd', sizeGib: 0 },
      { name: 'rocky9_ssd_1', type: 'ceph-ssd', sizeGib: 2 ** 33 }
    ]
    const service = await aService(t, { golden })
    const { status, body } = await service.sync({ purge: 'none' })
    assert.equal(status, 200)
    assert.deepEqual(body.images.map(({ os }) => os).toSorted(), ['debian12', 'debian12', 'windows2022'])
    assert.deepEqual(body.ignored.map(({ reason }) => reason).toSorted(), [
      'name has characters in it that no claim can name',
      'name has characters in it that no claim can name',
      'snapshot has a size of 0 GiB',
      'snapshot has a size of 8589934592 GiB'
    ])
  })

  it('keeps no other image from being found while its source volume cannot be read', async t => {
    const service = await aService(t, { filled: false })
    const { cloud } = service.sandbox
    const known = async (): Promise<number> => (await service.rows('select from os')).length
    cloud.addFault({ operation: 'volume_show', kind: 'status', status: 400, count: 1 })
    await tick(service, 'replenish')
    assert.equal(await known(), 2)
    await service.rows("delete from os where name = 'debian12' and type = 'ssd'")
    await tick(service, 'replenish')
    assert.equal(await known(), 3)
    cloud.addFault({ operation: 'volume_show', kind: 'status', status: 400, count: 1 })
    const { body } = await service.sync()
    assert.deepEqual([body.code, await known()], ['cloud_error', 3], 'a sync forgets no image for that')
  })
})

const texts = oneof(
  constantFrom('', 'test', '__proto__', 'constructor', '\0', 'a\u0000b', '\ud800', '{}', "'; drop table os", ' spare '),
  constantFrom('x'.repeat(255), 'ABCDEF00-0000-4000-8000-00000000000A', '{abcdef00-0000-4000-8000-00000000000a}'),
  string({ unit: 'binary', maxLength: 40 }).filter(text => !/^[0-9a-f-]{36}$/.test(text))
)

/** The id is odd, or it is another's than the name says. */
const identities = oneof(
  texts.map(id => [`spare-${id}`, id]),
  tuple(texts, uuid()).filter(([name, id]) => name !== `spare-${id}`),
  tuple(uuid(), uuid())
    .filter(([one, other]) => one !== other)
    .map(([one, other]) => [`spare-${one}`, other])
)

const volumes = record({
  identity: identities,
  size: constantFrom(0, 1, 20, -1, 2 ** 31, 2 ** 53),
  status: constantFrom('available', 'error', 'in-use', 'deleting', 'awaiting-transfer', 'error_deleting', 'odd', ''),
  type: constantFrom('', 'ceph-ssd', 'no\u0007type'),
  more: constantFrom('{}', '{"__proto__": "a", "constructor": "b"}', `{"long": "${'y'.repeat(100_000)}"}`),
  transferNames: array(texts, { maxLength: 2 })
})

const snapshots = record({
  name: oneof(
    texts,
    texts.map(text => `${text}_ssd_1`)
  ),
  size: constantFrom(0, 1, -1, 2 ** 31),
  hasSource: constantFrom(true, false)
})

describe('whatever is in the pool’s project', () => {
  it('ends no tick, is not touched, and leaves what is ours whole', async t => {
    const pools = [
      { ...DEBIAN, target: 2 },
      { os: 'not there', type: 'ssd', target: 1 } // So that each replenish reads the snapshots.
    ]
    const service = await aService(t, { config: { pools }, filled: false })
    const { cloud } = service.sandbox
    for (const name of ['', 'no\u0007type']) addType(cloud, name)
    for (const path of ['replenish', 'check'] as const) await tick(service, path)
    const property = asyncProperty(
      array(volumes, { maxLength: 6 }),
      array(snapshots, { maxLength: 3 }),
      async (odd, images) => {
        const planted = odd.map(one => plantOdd(service, one))
        const made = images.map(({ name, size, hasSource }) => {
          const snapshot = cloud.addSnapshot({ name, sizeGib: size })
          if (!hasSource) cloud.volumes.remove(volumeIn(service, snapshot.volumeId))
          return snapshot
        })
        const before = structuredClone(planted)
        await allTicks(service)
        assert.equal((await service.sync({ dry_run: true })).status, 200)
        assert.deepEqual(
          planted.map(({ id }) => cloud.volumes.get(id)),
          before
        )
        const spares = await service.spares()
        assert.ok(spares.length === 2 && spares.every(({ status, armed }) => status === 'available' && armed))
        assert.equal((await service.stats()).orphans, planted.length)
        for (const volume of planted) remove(service, volume)
        for (const { id, volumeId } of made) {
          cloud.snapshots.delete(id)
          const source = cloud.volumes.get(volumeId)
          if (source) cloud.volumes.remove(source)
        }
        await service.rows("delete from os where name not in ('debian12', 'windows2022')")
      }
    )
    await assertProperty(property, { numRuns: 25 })
  })
})

type Odd = typeof volumes extends { map: unknown } ? Parameters<Parameters<typeof volumes.map>[0]>[0] : never

function plantOdd(service: TestService, { identity, size, status, type, more, transferNames }: Odd): Volume {
  const { cloud } = service.sandbox
  const [name = '', id = ''] = identity
  const metadata = { ...JSON.parse(more), ...OURS, spare_id: id }
  const found = [...cloud.types.values()].find(one => one.name === type)
  assert.ok(found)
  const volume = plant(service, { name, metadata, sizeGib: size, status, type: found })
  for (const [index, transferName] of transferNames.entries()) {
    const secret = { authKey: 'key', sourceProjectId: volume.projectId, noSnapshots: true, createdAt: cloud.now() }
    cloud.transfers.add({ ...secret, id: `${volume.id}-${index}`, volumeId: volume.id, name: transferName })
  }
  return volume
}

function remove({ sandbox: { cloud } }: TestService, volume: Volume): void {
  for (const transfer of cloud.transfers.ofVolume(volume.id)) cloud.transfers.remove(transfer)
  cloud.volumes.remove(volume)
}
