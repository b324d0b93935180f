import assert from 'node:assert/strict'
import { beforeAll, describe, it } from 'vitest'
import type { SpareView } from '../../src/http/schemas.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, DEBIAN, type TestService } from '../support/service.ts'

interface List {
  volumes: SpareView[]
  next_marker: string | null
}
const SAS = { os: 'debian12', type: 'sas' }

describe('GET /pool/volumes', () => {
  const t = whileTestsRun()
  let service: TestService
  const list = async (query = '') => (await service.call<List>('GET', `/pool/volumes${query}`)).body
  beforeAll(async () => {
    const pools = [
      { ...DEBIAN, target: 3 },
      { ...SAS, target: 2, size: 30 }
    ]
    service = await aService(t, { config: { pools } })
  })

  it('shows the spares as table and cloud have them', async () => {
    const { volumes, next_marker } = await list()
    assert.equal(next_marker, null)
    const inCloud = service.volumes('pool').map(({ id }) => id)
    assert.deepEqual(new Set(volumes.map(({ volume_id }) => volume_id)), new Set(inCloud))
    for (const spare of volumes) {
      const volume = service.sandbox.cloud.volumes.get(spare.volume_id ?? '')
      assert.equal(volume?.name, spare.name)
      assert.equal(spare.name, `spare-${spare.id}`)
      assert.deepEqual(volume?.metadata, { spare_pool: 'default', spare_id: spare.id })
      assert.deepEqual([spare.status, spare.allocated, spare.armed, spare.kept], ['available', false, true, false])
      assert.equal(spare.size, spare.type === 'sas' ? 30 : 20)
      assert.equal(spare.volume_type, `ceph-${spare.type}`)
    }
  })

  it('never shows the key of a transfer', async () => {
    const text = JSON.stringify(await list())
    for (const { authKey } of service.sandbox.cloud.transfers.all()) assert.ok(!text.includes(authKey))
    assert.ok(!/auth_key|sealed/.test(text))
  })

  it('is filtered by os, type and status', async () => {
    const count = async (query: string) => (await list(query)).volumes.length
    assert.equal(await count('?os=debian12'), 5)
    assert.equal(await count('?os=debian'), 0)
    assert.equal(await count('?type=sas'), 2)
    assert.equal(await count('?type=SAS'), 2)
    assert.equal(await count('?status=available'), 5)
    assert.equal(await count('?status=creating'), 0)
    assert.equal(await count('?os=debian12&type=ssd&status=available'), 3)
  })

  it('comes in pages, each spare once', async () => {
    const seen: string[] = []
    let query = '?limit=2'
    for (const size of [2, 2, 1]) {
      const { volumes, next_marker } = await list(query)
      assert.equal(volumes.length, size)
      seen.push(...volumes.map(({ id }) => id))
      query = `?limit=2&marker=${next_marker}`
      assert.equal(next_marker === null, size === 1)
    }
    assert.equal(new Set(seen).size, 5)
  })
})

describe('DELETE /pool/volumes/{volume_id}', () => {
  it('retires the spare: it is never handed out, is deleted in Cinder, and another is made', async t => {
    const service = await aService(t, { config: { pools: [{ ...DEBIAN, target: 1 }] } })
    const [spare] = await service.spares()
    const path = `/pool/volumes/${spare?.volume_id}`
    const { status, body } = await service.call<object>('DELETE', path)
    assert.deepEqual([status, body], [202, { volume_id: spare?.volume_id, status: 'retiring' }])
    assert.equal((await service.claim({ on_empty: 'fail' })).body.code, 'pool_empty')
    assert.deepEqual(await service.call<object>('DELETE', path).then(({ status, body }) => [status, body]), [202, body])
    await service.fill()
    assert.equal((await service.call('DELETE', path)).status, 404)
    assert.deepEqual(
      service.volumes('pool').map(({ id }) => id === spare?.volume_id),
      [false]
    )
  })

  it.for([
    ['another name', { name: 'mine' }],
    ['other metadata', { metadata: { owner: 'me' } }]
  ] as const)('leaves a volume alone that somebody has given %s since', async ([, change], t) => {
    const service = await aService(t, { config: { claims: { prearm: false } } })
    const [spare] = await service.spares()
    const volume = service.sandbox.cloud.volumes.get(spare?.volume_id ?? '')
    assert.ok(volume)
    await service.call('DELETE', `/pool/volumes/${volume.id}`)
    service.sandbox.cloud.volumes.change(volume, change)
    await service.call('POST', '/pool/check')
    assert.equal(service.sandbox.cloud.volumes.get(volume.id)?.status, 'available')
    assert.ok((await service.spares()).every(({ volume_id }) => volume_id !== volume.id))
  })

  it('is 404 for a volume that is not a spare, whoever owns it', async t => {
    const service = await aService(t, { filled: false })
    const golden = [...service.sandbox.cloud.snapshots.values()][0]?.volumeId
    for (const id of [golden, 'nonsense', '%25%27']) {
      const { status, body } = await service.call('DELETE', `/pool/volumes/${id}`)
      assert.deepEqual([status, body.code], [404, 'volume_not_found'])
    }
    assert.ok(service.sandbox.cloud.volumes.get(golden ?? ''))
  })

  it('is 409 spare_reserved while a claim takes the spare, and harms neither', async t => {
    const service = await aService(t, { config: { pools: [{ ...DEBIAN, target: 1 }] } })
    const [spare] = await service.spares()
    const { cloud } = service.sandbox
    cloud.addFault({ operation: 'transfer_accept', kind: 'status', status: 500, count: 2 })
    cloud.addFault({ operation: 'volume_show', kind: 'status', status: 500, after: 1, count: 4 })
    assert.equal((await service.claim()).body.code, 'claim_unsettled')
    cloud.faults.remove()
    const { status, body, headers } = await service.call('DELETE', `/pool/volumes/${spare?.volume_id}`)
    assert.deepEqual([status, body.code], [409, 'spare_reserved'])
    assert.ok(Number(headers['retry-after']) > 0)
    assert.equal((await service.spares())[0]?.allocated, true)
    const claim = await service.claim()
    assert.deepEqual([claim.status, claim.body.volume_id], [200, spare?.volume_id])
  })
})
