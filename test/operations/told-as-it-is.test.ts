import assert from 'node:assert/strict'
import { beforeAll, describe, it } from 'vitest'
import { countStatements, makeVolume, setStatus, volumeIn } from '../support/cloud.ts'
import { whileTestsRun } from '../support/lifetime.ts'
import { aService, type TestService } from '../support/service.ts'

const t = whileTestsRun()
const WINDOWS = { os: 'windows2022', type: 'ssd' }
let service: TestService
let named = 0
beforeAll(async () => {
  const pools = [
    { os: 'debian12', type: 'ssd', target: 8 },
    { ...WINDOWS, target: 4 }
  ]
  service = await aService(t, { connections: 4, config: { pools } })
})
/** Nobody has claimed it yet. */
const aName = (): string => {
  named += 1
  return `host-${named}`
}
const remove = (id: string): void => service.sandbox.cloud.volumes.remove(volumeIn(service, id))
const rename = (id: string, name: string): void =>
  service.sandbox.cloud.volumes.change(volumeIn(service, id), { name: `${name}_sys` })

describe('a repeat that names another os or type than its disk was made for', () => {
  it('is refused, and told both', async () => {
    const hostname = aName()
    const first = await service.claim({ hostname })
    const { status, body } = await service.claim({ hostname, ...WINDOWS })
    assert.deepEqual([status, body.code], [409, 'claim_differs'])
    assert.match(body.detail, /os "debian12" and type "ssd" before .* now with os "windows2022" and type "ssd"/)
    assert.ok(body.detail.includes(first.body.volume_id))
    assert.equal((await service.claim({ hostname, type: 'sas' })).body.code, 'claim_differs')
    assert.deepEqual((await service.claim({ hostname, type: 'SSD' })).body, first.body)
  })

  it('is refused while that disk is being made', async u => {
    const slow = await aService(u, { filled: false, createSeconds: 60 })
    const first = await slow.claim()
    assert.deepEqual([first.status, first.body.source, first.body.os], [202, 'created', 'debian12'])
    assert.equal((await slow.claim(WINDOWS)).body.code, 'claim_differs')
    assert.deepEqual((await slow.claim()).body, first.body)
  })

  it('is refused under a key of its own, and under the same one as a key that was used again', async () => {
    const hostname = aName()
    await service.claim({ hostname }, { 'idempotency-key': 'one' })
    const other = await service.claim({ hostname, ...WINDOWS }, { 'idempotency-key': 'two' })
    assert.deepEqual([other.status, other.body.code], [409, 'claim_differs'])
    const same = await service.claim({ hostname, ...WINDOWS }, { 'idempotency-key': 'one' })
    assert.deepEqual([same.status, same.body.code], [422, 'idempotency_key_reused'])
  })

  it.for([undefined, 'the same'])('loses where both come at once, under the key %s', async key => {
    const hostname = aName()
    const headers = key ? { 'idempotency-key': `${key} for ${hostname}`.replaceAll(' ', '-') } : {}
    const answers = await Promise.all([{}, WINDOWS].map(image => service.claim({ hostname, ...image }, headers)))
    const [won, lost] = answers.toSorted((a, b) => a.status - b.status)
    assert.equal(won?.status, 200)
    assert.equal(lost?.body.code, key ? 'idempotency_key_reused' : 'claim_differs')
    const disks = service.volumes('tenant-a').filter(({ name }) => name === `${hostname}_sys`)
    assert.deepEqual([disks.length, disks[0]?.id], [1, won.body.volume_id])
  })

  it('gets a disk of that image once the first is deleted in Cinder', async () => {
    const hostname = aName()
    remove((await service.claim({ hostname })).body.volume_id)
    const { status, body } = await service.claim({ hostname, ...WINDOWS })
    assert.deepEqual([status, body.source, body.os], [200, 'pool', 'windows2022'])
  })
})

describe('a volume that was there before its claim', () => {
  it('is not told as what was asked for, this time or the next', async () => {
    const hostname = aName()
    await makeVolume(service, `${hostname}_sys`)
    for (const image of [WINDOWS, WINDOWS, {}]) {
      const { status, body } = await service.claim({ hostname, ...image })
      assert.deepEqual([status, body.source], [200, 'existing'])
      assert.deepEqual([body.os, body.type, body.image_version], [null, null, null])
    }
    const [record] = (await service.claims()).filter(one => one.hostname === hostname)
    assert.deepEqual([record?.os, record?.type, record?.image_version], ['windows2022', 'ssd', null])
  })

  it('is told as the disk of ours that it is, under whichever name its owner gave it', async () => {
    const [first, second, third] = [aName(), aName(), aName()]
    const { volume_id } = (await service.claim({ hostname: first })).body
    for (const hostname of [second, third]) {
      rename(volume_id, hostname)
      for (const image of [WINDOWS, {}]) {
        const { status, body } = await service.claim({ hostname, ...image })
        assert.deepEqual([status, body.source, body.volume_id], [200, 'existing', volume_id])
        assert.deepEqual([body.os, body.type, body.image_version], ['debian12', 'ssd', '20261101'])
      }
    }
    const again = await service.claim({ hostname: first })
    assert.deepEqual([again.status, again.body.source, again.body.volume_id], [200, 'pool', volume_id])
    assert.equal((await service.claim({ hostname: first, ...WINDOWS })).body.code, 'claim_differs')
  })

  it('is told as a disk that was made for its claim, too', async () => {
    const [first, second] = [aName(), aName()]
    const { body } = await service.claim({ hostname: first, type: 'sas', wait_seconds: 5 })
    assert.deepEqual([body.source, body.os, body.type], ['created', 'debian12', 'sas'])
    rename(body.volume_id, second)
    const { body: existing } = await service.claim({ hostname: second, ...WINDOWS })
    assert.deepEqual([existing.volume_id, existing.os, existing.type], [body.volume_id, 'debian12', 'sas'])
  })

  it('costs four statements beside those of its claim, and a repeat none', async () => {
    const hostname = aName()
    await service.fill()
    await makeVolume(service, `${hostname}_sys`)
    const first = countStatements(service)
    await service.claim({ hostname })
    const count = first()
    const repeat = countStatements(service)
    await service.claim({ hostname })
    assert.ok(count <= 6, `${count} statements: two of the claim, three that put its spare back, one about the volume`)
    assert.equal(repeat(), 2)
  })
})

describe('a blank volume of the claim’s name', () => {
  it('is refused, and says why, and costs no spare', async () => {
    const hostname = aName()
    const before = (await service.spares()).map(({ id }) => id).toSorted()
    const id = await makeVolume(service, `${hostname}_sys`, 'tenant-a', false)
    const { status, body } = await service.claim({ hostname })
    assert.deepEqual([status, body.code], [409, 'existing_volume_unusable'])
    assert.match(body.detail, new RegExp(`${id} .* is not bootable`))
    assert.deepEqual((await service.spares()).map(spare => spare.id).toSorted(), before)
    assert.ok((await service.claims()).every(claim => claim.hostname !== hostname))
  })

  it('is passed over for one that boots', async () => {
    const hostname = aName()
    await makeVolume(service, `${hostname}_sys`, 'tenant-a', false)
    const id = await makeVolume(service, `${hostname}_sys`)
    setStatus(service, id, 'in-use')
    assert.equal((await service.claim({ hostname })).body.volume_id, id)
  })

  it('is waited for while it is on its way, since only then it shows, and refused by the repeat', async () => {
    const hostname = aName()
    const id = await makeVolume(service, `${hostname}_sys`, 'tenant-a', false)
    setStatus(service, id, 'creating')
    assert.equal((await service.claim({ hostname })).status, 202)
    setStatus(service, id, 'available')
    const { status, body } = await service.claim({ hostname })
    assert.deepEqual([status, body.code], [409, 'existing_volume_unusable'])
    service.sandbox.cloud.volumes.change(volumeIn(service, id), { bootable: true })
    assert.deepEqual([(await service.claim({ hostname })).status], [200])
  })

  it('is no matter of a disk that its claim was given from stock', async () => {
    const hostname = aName()
    const { volume_id } = (await service.claim({ hostname })).body
    service.sandbox.cloud.volumes.change(volumeIn(service, volume_id), { bootable: false })
    assert.equal((await service.claim({ hostname })).status, 200)
  })
})

describe('the name of a claim', () => {
  it('is trimmed as Cinder trims it, so that blanks make no other claim', async () => {
    const hostname = aName()
    const first = await service.claim({ hostname: ` \u3000${hostname}` })
    assert.deepEqual([first.status, first.body.name], [200, `${hostname}_sys`])
    assert.equal(volumeIn(service, first.body.volume_id).name, `${hostname}_sys`)
    assert.deepEqual((await service.claim({ hostname })).body, first.body)
  })

  it('keeps what Cinder keeps: case, combining and bidi characters, and U+FEFF', async () => {
    const hostname = aName()
    for (const odd of ['', 'Ä', 'A\u0308', '\u202e', '\ufeff', 'x y', '\u2028 ']) {
      const { status, body } = await service.claim({
        hostname: `${odd}${hostname}`,
        on_empty: 'create',
        wait_seconds: 5
      })
      assert.equal(status, 200)
      assert.notEqual(body.source, 'existing')
      assert.equal(volumeIn(service, body.volume_id).name, body.name)
    }
  })
})
