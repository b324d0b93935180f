import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'vitest'
import { spareName } from '../../src/pool/spare.ts'
import { cloudRequests, countStatements, volumeIn } from '../support/cloud.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

const reconcile = async (service: TestService) =>
  (await service.call<Record<string, number>>('POST', '/pool/reconcile')).body

/** Two pages of Cinder's, and a little more. */
const MANY = 2_010
const PAGE = 1_000

/** One spare that the service has made, and copies of it. */
async function aLargeStock(t: Parameters<typeof aService>[0], count = MANY, prearm = true) {
  const service = await aService(t, { config: { pools: [{ ...DEBIAN, target: 1 }], claims: { prearm } } })
  const { cloud } = service.sandbox
  const [spare] = await service.spares()
  const volume = volumeIn(service, spare?.volume_id ?? '')
  const [transfer] = cloud.transfers.ofVolume(volume.id)
  const copies = Array.from({ length: count - 1 }, () => {
    const [id, volumeId, transferId] = [randomUUID(), randomUUID(), randomUUID()]
    const name = spareName(id)
    cloud.volumes.add({ ...volume, id: volumeId, name, metadata: { ...volume.metadata, spare_id: id } })
    if (transfer) cloud.transfers.add({ ...transfer, id: transferId, volumeId, name })
    return { id, volume_id: volumeId, ...(transfer && { transfer_id: transferId }), name }
  })
  await service.rows(
    `insert into backup_volumes
     select copy.* from backup_volumes spare, jsonb_array_elements('${JSON.stringify(copies)}') as ids,
                        jsonb_populate_record(spare, ids) as copy`
  )
  const ids = [volume.id, ...copies.map(copy => copy.volume_id)].toSorted((a, b) => (a < b ? -1 : 1))
  return { service, cloud, idAt: (index: number): string => ids.at(index) ?? '' }
}

/** Of a reconcile besides those on the pages, the tick's own record among them. */
const STATEMENTS = 15
/** The type of each image's disks is asked for. */
const GOLDEN_VOLUMES = 3

/** At the edges of the pages, and within them. */
const PLACES = [0, 1, 500, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, -1]
const OTHER_PLACES = [2, 600, PAGE - 2, PAGE + 2, 2 * PAGE - 2, 2 * PAGE + 1, -2]

describe('reconcile, on a stock of several pages', () => {
  it('costs a request and two statements for each page of volumes and of transfers where all is well', async t => {
    const { service } = await aLargeStock(t)
    const before = await cloudRequests(service)
    const statements = countStatements(service)
    assert.deepEqual(await reconcile(service), { settled: 0, adopted: 0, removed: 0, dropped: 0, left: 0 })
    assert.equal(statements(), STATEMENTS + 2 * (3 + 3))
    const after = await cloudRequests(service)
    const requests = ['volume_list', 'transfer_list', 'volume_show'].map(
      name => (after.get(name) ?? 0) - (before.get(name) ?? 0)
    )
    assert.deepEqual(requests, [3, 3, GOLDEN_VOLUMES])
  })

  it('finds volumes and transfers that are gone, wherever they were', async t => {
    const { service, cloud, idAt } = await aLargeStock(t)
    for (const place of PLACES) cloud.volumes.remove(volumeIn(service, idAt(place)))
    const disarmed = OTHER_PLACES.map(idAt)
    for (const id of disarmed) {
      const [transfer] = cloud.transfers.ofVolume(id)
      assert.ok(transfer)
      cloud.transfers.remove(transfer)
      cloud.transfers.add({ ...transfer, id: randomUUID(), name: 'by hand' })
    }
    assert.deepEqual(await reconcile(service), { settled: 0, adopted: 0, removed: 0, dropped: PLACES.length, left: 0 })
    const rows = await service.rows<{ volume_id: string }>(
      "select volume_id from backup_volumes where status = 'creating' and volume_id is not null"
    )
    assert.deepEqual(new Set(rows.map(({ volume_id: id }) => id)), new Set(disarmed))
  })

  it('takes back the transfers that no row knows, wherever they are', async t => {
    const { service, cloud, idAt } = await aLargeStock(t)
    const strays = PLACES.map(place => {
      const [own] = cloud.transfers.ofVolume(idAt(place))
      assert.ok(own)
      const stray = { ...own, id: randomUUID() }
      cloud.transfers.add(stray)
      return stray
    })
    assert.equal((await reconcile(service))['removed'], 0)
    assert.equal((await service.stats()).orphans, strays.length)
    assert.equal((await reconcile(service))['removed'], strays.length)
    assert.equal((await service.stats()).orphans, 0)
    for (const { id } of strays) assert.equal(cloud.transfers.get(id), undefined)
  })

  it('drops all rows if Cinder has none of their volumes', async t => {
    const { service, cloud } = await aLargeStock(t, PAGE + 10, false)
    for (const { id } of service.volumes('pool')) cloud.volumes.remove(volumeIn(service, id))
    assert.equal((await reconcile(service))['dropped'], PAGE + 10)
    assert.equal((await service.rows('select id from backup_volumes')).length, 0)
  })
})
